"""A real ledger, cut somewhere in what it holds last: `finish` recognises it, and judges.

What is cut off was never certain to its writer: an attempt whose line is not whole was not sent.
An attempt whose end is cut off was in flight, whatever its customer knew.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from analysis.__main__ import main
from analysis.evidence.ledger.line_records import AttemptSent, EndedFields, RequestFields
from analysis.evidence.records import Outcome
from analysis.evidence.run_directory import RunDirectory
from harness.record.ledger import Ledger
from tests.analysis.histories import NOON, acknowledged, evidence, indeterminate, row, store
from tests.analysis.ledgers import leave_tail
from tests.harness.ledgers import put_off, recorded, write

A, B = acknowledged("a", 1), indeterminate("b")
HELD = 0
_BEGINNINGS = (b'["sent"', b'["ended"')


class Cut(Protocol):
    """Leaves a ledger as it is found when not all of what came after `start` is there."""

    def __call__(self, path: Path, whole: bytes, *, start: int, at: int) -> None: ...


def _sent(name: str) -> AttemptSent:
    return AttemptSent(
        attempt_id=name,
        order_key=f"order-{name}",
        attempt_no=1,
        user_id="u1",
        product_id=1,
        quantity=1,
        due_at=None,
        sent_at=NOON,
        trace_id="",
    )


def _acknowledged(name: str, order_id: int) -> EndedFields:
    return ("ended", name, NOON + 1, Outcome.ACKNOWLEDGED, 201, "", order_id, "i-1", 90)


_READ: RequestFields = (
    "request",
    "u1",
    "/products",
    "GET",
    None,
    NOON,
    NOON + 1,
    200,
    "",
    3,
    "i-1",
)


def _write_attempt_b(ledger: Ledger) -> bytes:
    put_off(ledger, _READ)
    ledger.flush()
    write(ledger, _sent("b"))
    return b'["sent","b"'


def _write_end_of_b(ledger: Ledger) -> bytes:
    write(ledger, _sent("b"))
    write(ledger, _acknowledged("b", 2))
    ledger.flush()
    return b'["ended","b"'


def _write_end_of_b_with_attempt_c(ledger: Ledger) -> bytes:
    write(ledger, _sent("b"))
    write(ledger, _acknowledged("b", 2))
    write(ledger, _sent("c"))
    return b'["ended","b"'


def _cut_tail(path: Path, whole: bytes, *, start: int, at: int) -> None:
    """What a kill leaves: the last bytes are in the tail, and stop somewhere."""
    path.write_bytes(whole[:start])
    leave_tail(path, whole[start:at])


def _cut_file(path: Path, whole: bytes, *, start: int, at: int) -> None:
    """What a kill leaves in the middle of a write to the file."""
    path.write_bytes(whole[:at])
    leave_tail(path)


def _end_file_in_zeros(path: Path, whole: bytes, *, start: int, at: int) -> None:
    """What a power cut may leave: the length was stored, the last bytes were not."""
    path.write_bytes(whole[:at] + bytes(len(whole) - at))
    leave_tail(path)


def _cuts(whole: bytes, start: int) -> list[int]:
    """Every place around a line's ends, and some within: there a ledger's reader tries them all."""
    ends = [at for at in range(start, len(whole)) if whole[at : at + 1] == b"\n"]
    around = {end + beside for end in ends for beside in (-1, 0, 1, 2)}
    return sorted({*range(start, len(whole), 11), start + 1, *around} & {*range(start, len(whole))})


@pytest.mark.parametrize("cut", [_cut_tail, _cut_file, _end_file_in_zeros])
@pytest.mark.parametrize(
    "write_last", [_write_attempt_b, _write_end_of_b, _write_end_of_b_with_attempt_c]
)
def test_ledger_cut_anywhere_in_its_last_write_is_judged_by_what_is_whole(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    write_last: Callable[[Ledger], bytes],
    cut: Cut,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # hundreds of runs, none to be kept
    b_has_row = write_last is not _write_attempt_b
    run = RunDirectory.create(root=tmp_path, experiment="test", at=NOON)
    rows = [row(1, A), *([row(2, B)] if b_has_row else [])]
    store(run, evidence([A, B], rows))
    path = run.ledger_file("p1")
    ledger = Ledger(path, process_id="p1", at=NOON)
    write(ledger, _sent("a"))
    write(ledger, _acknowledged("a", 1))
    ledger.flush()
    last_write = write_last(ledger)
    whole = recorded(path)
    ledger.close(at=NOON + 2)
    start = whole.index(last_write)
    for at in _cuts(whole, start):
        cut(path, whole, start=start, at=at)
        for name in ("attempts.csv", "requests.csv"):
            (run.path / name).unlink(missing_ok=True)
        assert main(["finish", "--no-report", str(run.path)]) == HELD, capsys.readouterr()
        capsys.readouterr()
        summary = json.loads((run.path / "summary.json").read_text())
        lines = [line for line in whole[:at].splitlines(keepends=True) if line.endswith(b"\n")]
        sent, ended = (sum(line.startswith(each) for line in lines) for each in _BEGINNINGS)
        is_torn = cut is _end_file_in_zeros or not whole[:at].endswith(b"\n")
        found = run.read_run()["ledger"]
        assert (found["torn_last_lines"], found["torn_lines"]) == (is_torn, 0)
        # One was not sent where its own line is torn, and in flight where only its end's is.
        assert summary["attempts"]["total"] == sent
        assert summary["attempts"]["acknowledged"] == ended
        assert summary["orders"]["confirmed"] == ended
        assert summary["orders"]["committed"] == len(rows) - ended
        assert summary["orders"]["unexpected"] == 0
