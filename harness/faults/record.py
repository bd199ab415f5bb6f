"""What run.json says of the faults of a run: `faults` has all, `fault` the first that began."""

from typing import Any

from harness.record.journal import Journal

__all__ = ["FaultRecord", "FaultRecords"]


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
