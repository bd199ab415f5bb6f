"""A real ledger, cut at every byte of its last write: `finish` recognises it and judges the run.

What is cut off was never certain to its writer: an attempt whose line is not whole was not sent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest

from analysis.__main__ import main
from analysis.records import AttemptEnded, AttemptSent, Outcome, RequestDone
from analysis.run_directory import RunDirectory
from locustfiles._ledger import Ledger
from tests.analysis.histories import NOON, acknowledged, evidence, indeterminate, row, store

A, B = acknowledged("a", 1), indeterminate("b")
HELD = 0
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


def _acknowledged(name: str, order_id: int) -> AttemptEnded:
    return AttemptEnded(
        attempt_id=name,
        ended_at=NOON + 1,
        outcome=Outcome.ACKNOWLEDGED,
        http_status=201,
        error="",
        order_id=order_id,
        served_by="i-1",
        bytes=90,
    )


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


def _write_attempt_b(ledger: Ledger) -> None:
    ledger.put_off(("request", *astuple(_READ)))
    ledger.flush()
    ledger.sent(_sent("b"))


def _write_end_of_b(ledger: Ledger) -> None:
    ledger.sent(_sent("b"))
    ledger.write(_acknowledged("b", 2).to_line())


def _end_there(content: bytes, at: int) -> bytes:
    return content[:at]


def _end_in_zeros(content: bytes, at: int) -> bytes:
    """What a power cut may leave: the length was stored, the last bytes were not."""
    return content[:at] + bytes(len(content) - at)


@pytest.mark.parametrize("cut", [_end_there, _end_in_zeros])
@pytest.mark.parametrize("write", [_write_attempt_b, _write_end_of_b])
def test_ledger_cut_at_any_byte_of_its_last_line_is_judged_by_what_is_whole(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Ledger], None],
    cut: Cut,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # hundreds of runs, none to be kept
    b_has_row = write is _write_end_of_b
    run = RunDirectory.create(root=tmp_path, experiment="test", at=NOON)
    store(run, evidence([A, B], [row(1, A), *([row(2, B)] if b_has_row else [])]))
    path = run.ledger_file("p1")
    ledger = Ledger(path, process_id="p1", at=NOON)
    ledger.sent(_sent("a"))
    ledger.write(_acknowledged("a", 1).to_line())
    write(ledger)
    whole = path.read_bytes()
    ledger.close(at=NOON + 2)
    start = whole.rindex(b"\n", 0, -1) + 1
    for at in range(start, len(whole), 1 if cut is _end_there else 5):
        path.write_bytes(cut(whole, at))
        for name in ("attempts.csv", "requests.csv"):
            (run.path / name).unlink(missing_ok=True)
        assert main(["finish", "--no-report", str(run.path)]) == HELD, capsys.readouterr()
        capsys.readouterr()
        summary = json.loads((run.path / "summary.json").read_text())
        is_torn = cut is _end_in_zeros or at > start
        found = run.read_run()["ledger"]
        assert (found["torn_last_lines"], found["torn_lines"]) == (is_torn, 0)
        assert summary["attempts"]["acknowledged"] == 1
        assert summary["orders"]["confirmed"] == 1
        # b was not sent where its own line is torn, and in flight where only its end's is.
        assert summary["attempts"]["total"] == 1 + b_has_row
        assert summary["orders"]["committed"] == int(b_has_row)
        assert summary["orders"]["unexpected"] == 0
