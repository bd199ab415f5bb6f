"""A real ledger, cut at every byte of its last write: `finish` recognises it and judges the run.

What is cut off was never certain to its writer: an attempt whose line is not whole was not sent.
An attempt whose end is cut off was in flight, whatever its customer knew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.records import AttemptSent, EndedFields, Outcome, RequestDone
from analysis.run_directory import RunDirectory
from locustfiles._ledger import Ledger
from tests.analysis.histories import NOON, acknowledged, evidence, indeterminate, row, store

A, B = acknowledged("a", 1), indeterminate("b")
HELD = 0
_BEGINNINGS = (b'["sent"', b'["ended"')
Cut = Callable[[bytes, int], bytes]


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


_READ = RequestDone(
    user_id="u1",
    name="/products",
    method="GET",
    due_at=None,
    sent_at=NOON,
    ended_at=NOON + 1,
    http_status=200,
    error="",
    bytes=3,
    served_by="i-1",
)


def _write_attempt_b(ledger: Ledger) -> bytes:
    ledger.put_off(("request", *astuple(_READ)))
    ledger.flush()
    ledger.sent(_sent("b"))
    return b'["sent","b"'


def _write_end_of_b(ledger: Ledger) -> bytes:
    ledger.sent(_sent("b"))
    ledger.ended(_acknowledged("b", 2))
    ledger.flush()
    return b'["ended","b"'


def _write_end_of_b_with_attempt_c(ledger: Ledger) -> bytes:
    ledger.sent(_sent("b"))
    ledger.ended(_acknowledged("b", 2))
    ledger.sent(_sent("c"))
    return b'["ended","b"'


def _end_there(content: bytes, at: int) -> bytes:
    return content[:at]


def _end_in_zeros(content: bytes, at: int) -> bytes:
    """What a power cut may leave: the length was stored, the last bytes were not."""
    return content[:at] + bytes(len(content) - at)


@pytest.mark.parametrize("cut", [_end_there, _end_in_zeros])
@pytest.mark.parametrize(
    "write", [_write_attempt_b, _write_end_of_b, _write_end_of_b_with_attempt_c]
)
def test_ledger_cut_at_any_byte_of_its_last_write_is_judged_by_what_is_whole(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Ledger], bytes],
    cut: Cut,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # hundreds of runs, none to be kept
    b_has_row = write is not _write_attempt_b
    run = RunDirectory.create(root=tmp_path, experiment="test", at=NOON)
    rows = [row(1, A), *([row(2, B)] if b_has_row else [])]
    store(run, evidence([A, B], rows))
    path = run.ledger_file("p1")
    ledger = Ledger(path, process_id="p1", at=NOON)
    ledger.sent(_sent("a"))
    ledger.ended(_acknowledged("a", 1))
    ledger.flush()
    last_write = write(ledger)
    whole = path.read_bytes()
    ledger.close(at=NOON + 2)
    start = whole.index(last_write)
    for at in range(start, len(whole), 1 if cut is _end_there else 5):
        path.write_bytes(cut(whole, at))
        for name in ("attempts.csv", "requests.csv"):
            (run.path / name).unlink(missing_ok=True)
        assert main(["finish", "--no-report", str(run.path)]) == HELD, capsys.readouterr()
        capsys.readouterr()
        summary = json.loads((run.path / "summary.json").read_text())
        lines = [line for line in whole[:at].splitlines(keepends=True) if line.endswith(b"\n")]
        sent, ended = (sum(line.startswith(each) for line in lines) for each in _BEGINNINGS)
        is_torn = cut is _end_in_zeros or not whole[:at].endswith(b"\n")
        found = run.read_run()["ledger"]
        assert (found["torn_last_lines"], found["torn_lines"]) == (is_torn, 0)
        # One was not sent where its own line is torn, and in flight where only its end's is.
        assert summary["attempts"]["total"] == sent
        assert summary["attempts"]["acknowledged"] == ended
        assert summary["orders"]["confirmed"] == ended
        assert summary["orders"]["committed"] == len(rows) - ended
        assert summary["orders"]["unexpected"] == 0
