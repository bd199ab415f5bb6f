"""A fault, and what run.json says of a run's: `faults` has all, `fault` the first that began."""

from abc import ABC, abstractmethod
from typing import Any

from harness.faults.moment import FireAt
from harness.record.journal import Journal


class FaultRecords:
    """All faults of one run, in the order in which they were asked for."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._records: list[FaultRecord] = []

    def add(self, **facts: Any) -> "FaultRecord":
        """Add a fault that is to come."""
        record = FaultRecord(self, number=len(self._records) + 1, facts=facts)
        self._records.append(record)
        self.write()
        return record

    def write(self) -> None:
        """Write all, on the disk before this returns."""
        faults = [{"number": each.number, **each.facts} for each in self._records]
        begun = [each for each in faults if each["started_at"]]
        first = min(begun, key=lambda each: str(each["started_at"])) if begun else faults[0]
        self._journal.update(fault=first, faults=faults)


class FaultRecord:
    """One fault: what is known of it, kept as soon as it is learnt."""

    def __init__(self, records: FaultRecords, *, number: int, facts: dict[str, Any]) -> None:
        self._records = records
        self.number = number
        self.facts: dict[str, Any] = {
            "client_token": None,
            "template_id": None,
            "experiment_id": None,
            "action": "",
            "targets": [],
            "started_at": None,
            "ended_at": None,
            "state": None,
            # Why it did not happen, as soon as that is known; what ends without is judged later.
            "why_not": None,
            **facts,
        }

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    def learn(self, **facts: Any) -> None:
        """Keep what has come to be known."""
        self.facts = {**self.facts, **facts}
        self._records.write()


class Fault(ABC):
    """What may go wrong once, at its moment, and stands as its record says."""

    def __init__(self, record: FaultRecord, *, at: FireAt, name: str) -> None:
        self.at = at
        self.name = name
        self._record = record

    @property
    @abstractmethod
    def was_started(self) -> bool:
        """Whether anything was asked for."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether there is nothing left to wait for."""

    @property
    def is_ruled_out(self) -> bool:
        """Whether it is known that it will not come any more, and why."""
        return bool(self._record["why_not"])

    @property
    def state(self) -> str:
        """How it stands, in a word; empty before it was asked for."""
        return self._record["state"] or ""

    def rule_out(self, why: str) -> None:
        """Write down why it will not come."""
        self._record.learn(why_not=why)

    @abstractmethod
    def announce(self) -> None:
        """Write down what is to come; BadArgument for what would have to be mended first."""

    @abstractmethod
    def why_refuse(self) -> str:
        """Return what speaks against it now; empty if nothing does."""

    @abstractmethod
    def fire(self) -> None:
        """Begin, and follow it to its end."""

    @abstractmethod
    def stop(self) -> None:
        """End it before its time, and wait until it is over."""
