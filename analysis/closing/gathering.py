"""Bring together what lies elsewhere: ledgers of workers on other machines, the access log.

What was streamed is here already. What was uploaded is fetched. run.json then names those that are
not whole: the run's master has listed all that were not written on its own disk.
"""

from pathlib import Path
from typing import Any

from analysis.closing.uploaded_ledgers import SegmentStore
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import ATTEMPTS

_TELLING = 6


def gather_ledgers(directory: RunDirectory, *, limit_s: float) -> None:
    """Fetch what was uploaded, and keep in run.json only the ledgers that are not whole.

    EvidenceError if S3 cannot be read. Where the evidence is closed already, nothing is done.
    """
    run = directory.read_run()
    listed = run.get("incomplete_ledgers")
    if not isinstance(listed, list) or directory.has_table(ATTEMPTS):
        return
    names = {str(each) for each in listed}
    settings = run.get("settings")
    uri = settings.get("evidence_uri") if isinstance(settings, dict) else None
    if uri:
        names |= _fetch(directory, run, uri=str(uri), limit_s=limit_s)
    left = sorted(name for name in names if not directory.has_whole_ledger(name))
    directory.update_run(incomplete_ledgers=left)


def gather_access_log(directory: RunDirectory) -> None:
    """Keep what the load balancer wrote to its log during the run, if it is still there."""
    place = directory.read_run().get("access_log")
    if not isinstance(place, dict) or directory.access_log.are_there():
        return
    try:
        directory.access_log.keep(Path(str(place["path"])), offset=int(place["offset"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        # It is a witness more; the verdict does not rest on it.
        why = getattr(error, "strerror", None) or error
        directory.note_event("access_log_not_kept", f"{place.get('path')}: {why}")


def _fetch(directory: RunDirectory, run: dict[str, Any], *, uri: str, limit_s: float) -> set[str]:
    """Write the uploaded ledgers as far as they have no gap; returns their names."""
    store = SegmentStore(uri, run_id=directory.run_id)
    # A run that was closed in good order has waited for its workers itself.
    is_over = run.get("ended_at") is not None
    found = store.ledgers() if is_over else store.await_ledgers(limit_s=limit_s)
    # Another run of the same name may be in the same place: names end with the run's nonce.
    nonce = str(run.get("nonce") or "")[:_TELLING]
    ours = {name: each for name, each in found.items() if name.endswith(f"-{nonce}")}
    for name, uploaded in ours.items():
        if not directory.has_whole_ledger(name):
            directory.write_ledger(name, store.read(uploaded.without_gaps()))
    return set(ours)
