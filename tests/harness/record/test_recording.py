"""What customers record, in processes of their own: importing Locust changes the one it is in."""

import pytest

from tests.harness.programs import output_of

_BEGINNING = """
import os, sys
from dataclasses import replace
from pathlib import Path
from locustfiles import shoppers
from harness.customers.attempts import first_attempt
from harness.customers.exchange import Reply
from harness.record.ledger import Ledger, NoLedger
from harness.customers.outcome import Conclusion
from harness.record.recording import Over, Recording
from harness.demand.watermarks import Cell
from analysis.evidence.records import Outcome
from tests.harness.ledgers import recorded

folder = Path(sys.argv[1])
attempt = first_attempt(Cell(product_id=1, quantity=1), user_id="u", due_at=None)
conclusion = Conclusion(outcome=Outcome.UNSENT, error="connect_refused")
recording = Recording(NoLedger())

def read():
    reply = Reply(status=200, body=b"", failure=None, found={"served_by": ["no text"]})
    recording.read("u", reply, "/products", 1, "")

def refusals():
    found = 0
    records = (
        lambda: recording.sent(attempt), lambda: recording.ended(attempt, conclusion, 0), read
    )
    for record in records:
        try:
            record()
        except Over:
            found += 1
    return found
"""
_OPEN = """
path = folder / "{}.jsonl"
ledger = recording.ledger = Ledger(path, process_id="p", at=1)
"""

_BETWEEN_RUNS = "print(refusals())\n"
_READS = """
for _ in range(1050):
    read()
print(recorded(path).count(b'["request"'))
ledger.close(at=9)
print(recorded(path).count(b'["request"'))
"""
# Half of a surrogate pair, and a number of more than 64 bits, are what the quick spelling refuses.
_MANY = """
for number in range(2000):
    user = "\\ud800" if number % 7 == 0 else "u"
    product = 2**70 if number % 5 == 0 else 1
    recording.sent(replace(attempt, attempt_id=f"a{number}", user_id=user, product_id=product))
    ended = replace(conclusion, order_id=product)
    recording.ended(replace(attempt, attempt_id=f"a{number}"), ended, 0)
lines = recorded(path).splitlines()[1:]
names = [line.split(b'"')[3] for line in lines]
print(names == [b"a%d" % number for number in range(2000) for _ in range(2)])
print(sum(b"d800" in line for line in lines), sum(str(2**70).encode() in line for line in lines))
"""
_FULL = """
os.dup2(os.open("/dev/full", os.O_WRONLY), ledger._file)
try:
    ledger.flush()
    recording.sent(attempt)
    ledger.flush()
except Exception as error:
    print(type(error).__name__)
print(refusals())
"""
_WITH_LEDGER = {"reads": _READS, "many": _MANY, "full": _FULL}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What all of them print, one after the other in one process."""
    programs = (_BETWEEN_RUNS, *(_OPEN.format(n) + each for n, each in _WITH_LEDGER.items()))
    folder = tmp_path_factory.mktemp("recording")
    return output_of(_BEGINNING + "".join(programs), str(folder)).split()


def test_between_runs_nothing_can_be_recorded(told: list[str]) -> None:
    assert told[:1] == ["3"]


def test_reads_that_wait_are_bounded(told: list[str]) -> None:
    assert told[1:3] == ["1000", "1050"]


def test_every_attempt_is_recorded_in_its_turn_however_it_is_spelled(told: list[str]) -> None:
    assert told[3:6] == ["True", "286", "800"]


def test_what_cannot_be_recorded_ends_the_customer(told: list[str]) -> None:
    assert told[6:] == ["LedgerFailed", "3"]
