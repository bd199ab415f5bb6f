"""`python -m locustfiles fis-stop`: stop the experiments that dead runs have left behind."""

import sys
from pathlib import Path

from analysis.evidence.errors import EvidenceError
from analysis.evidence.records import Event
from analysis.evidence.run_directory import RunDirectory
from harness.errors import EXIT_OUR_FAULT, EXIT_USAGE
from harness.faults.fis.experiments import stop_leftovers
from harness.faults.fis.targets import AWS_ERRORS, Clients, reason_of
from harness.record.journal import now


def stop_what_is_left(of_run: Path | None, *, also_elsewhere: bool) -> int:
    """Stop those of one run, which hears of it in its events, or of all.

    `also_elsewhere` also stops those whose owner is on another machine, where nobody here can know
    whether it lives. Returns 0 where nothing is left, 70 where something is, 64 where AWS cannot
    be asked.
    """
    try:
        run = RunDirectory(of_run) if of_run else None
    except EvidenceError as error:
        print(f"fis-stop: {error}", file=sys.stderr)
        return EXIT_USAGE
    if run is not None and not _has_templates(run):
        return 0
    said: list[str] = []

    def say(event: str, what: str) -> None:
        said.append(event)
        print(f"fis-stop: {event.removeprefix('fis_').replace('_', ' ')}: {what}", flush=True)
        if run is not None and run.read_run().get("ended_at") is None:
            run.append_event(
                Event(at=now(), source="harness", subject=run.run_id, event=event, detail=what)
            )

    try:
        run_id = run.run_id if run is not None else ""
        is_clean = stop_leftovers(
            Clients.connect(), say, run_id=run_id, also_elsewhere=also_elsewhere
        )
    except AWS_ERRORS as error:
        print(f"fis-stop: {reason_of(error)}", file=sys.stderr)
        return EXIT_USAGE
    if not said:
        print("fis-stop: no experiment of a dead run is on", flush=True)
    return 0 if is_clean else EXIT_OUR_FAULT


def _has_templates(run: RunDirectory) -> bool:
    faults = run.read_run().get("faults") or []
    return any(each.get("client_token") for each in faults)
