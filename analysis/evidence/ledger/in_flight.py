"""The attempts of one ledger that were sent and have not ended yet, in bounded memory.

Beyond a bound they wait in a database of their own on disk, as they would where no attempt of
millions ever ended. They leave in the order in which they came.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

IN_MEMORY = 20_000  # about 15 MB

Fields = tuple[str, ...]


class InFlight:
    """Attempts by their ids. `folder` is where the overflow goes; without one, memory takes all."""

    def __init__(self, *, folder: Path | None = None, in_memory: int = IN_MEMORY) -> None:
        self._folder = folder
        self._in_memory = in_memory
        self._recent: dict[str, Fields] = {}
        self._older: _Overflow | None = None

    def put(self, attempt_id: str, fields: Fields) -> Fields | None:
        """Add an attempt, and return the earlier one of the same id where there is one."""
        earlier = self.take(attempt_id)
        self._recent[attempt_id] = fields
        if len(self._recent) > self._in_memory and self._folder is not None:
            if self._older is None:
                self._older = _Overflow(self._folder / "in_flight.sqlite")
            self._older.put(self._recent)
            self._recent = {}
        return earlier

    def take(self, attempt_id: str) -> Fields | None:
        """Remove an attempt and return it; None if it is not there."""
        found = self._recent.pop(attempt_id, None)
        if found is None and self._older is not None:
            return self._older.take(attempt_id)
        return found

    def take_all(self) -> Iterator[Fields]:
        """Remove and yield all that are left, the first sent first."""
        if self._older is not None:
            with closing(self._older):
                yield from self._older.all()
            self._older = None
        yield from self._recent.values()
        self._recent = {}


class _Overflow:
    """Ids are kept as bytes and fields as JSON: neither has to be valid Unicode."""

    def __init__(self, path: Path) -> None:
        # Nobody needs it after a crash, or beside us: no journal, no fsync, no name.
        path.unlink(missing_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-16384"):
            self._database.execute(f"PRAGMA {setting}").fetchall()
        self._database.execute("CREATE TABLE attempts (at INTEGER PRIMARY KEY, id BLOB, fields)")
        self._database.execute("CREATE UNIQUE INDEX by_id ON attempts (id)")
        path.unlink()

    def put(self, attempts: dict[str, Fields]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO attempts (id, fields) VALUES (?, ?)",
            ((_key(each), json.dumps(fields)) for each, fields in attempts.items()),
        )
        self._database.execute("COMMIT")

    def take(self, attempt_id: str) -> Fields | None:
        found = self._database.execute(
            "SELECT at, fields FROM attempts WHERE id = ?", (_key(attempt_id),)
        ).fetchone()
        if found is None:
            return None
        self._database.execute("DELETE FROM attempts WHERE at = ?", (found[0],))
        return tuple(json.loads(found[1]))

    def all(self) -> Iterator[Fields]:
        for (fields,) in self._database.execute("SELECT fields FROM attempts ORDER BY at"):
            yield tuple(json.loads(fields))

    def close(self) -> None:
        self._database.close()


def _key(attempt_id: str) -> bytes:
    return attempt_id.encode("utf-8", "surrogatepass")
