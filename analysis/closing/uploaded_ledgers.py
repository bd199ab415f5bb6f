"""The ledgers that workers have uploaded to S3, as segments named by their first byte.

What `harness.workers.upload` puts there: <prefix>/<run-id>/ledger/<process>/<first byte>.jsonl, and
`closed` beside them, which holds the size of the whole.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from analysis.closing.bucket import Bucket, Object

_CLOSED = "closed"
_ENDING = ".jsonl"
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(Object):
    """A piece of a ledger: an object, and at which byte of the ledger it begins."""

    start: int


@dataclass(slots=True, kw_only=True)
class Uploaded:
    """What there is of one ledger."""

    segments: list[Segment] = field(default_factory=list)
    is_closed: bool = False

    @property
    def size(self) -> int:
        """How many bytes are there, gaps or not."""
        return sum(each.size for each in self.segments)

    def without_gaps(self) -> list[Segment]:
        """Return the segments from the first byte up to the first that is missing."""
        found: list[Segment] = []
        end = 0
        for each in sorted(self.segments, key=lambda segment: segment.start):
            if each.start != end:
                break
            found.append(each)
            end += each.size
        return found


class SegmentStore:
    """One run's place in S3. Every error is an EvidenceError of one line that says the way out."""

    def __init__(self, uri: str, *, run_id: str) -> None:
        self._bucket = Bucket(uri, about="the ledgers", way_out="run `finish` again")
        self._folder = "/".join(part for part in (self._bucket.prefix, run_id, "ledger") if part)

    def ledgers(self) -> dict[str, Uploaded]:
        """Return what has been uploaded so far, by the names of the ledgers."""
        found: dict[str, Uploaded] = defaultdict(Uploaded)
        for each in self._bucket.objects(f"{self._folder}/"):
            name, _, piece = each.key.removeprefix(f"{self._folder}/").rpartition("/")
            if "/" in name:
                continue
            if piece == _CLOSED:
                found[name].is_closed = True
            elif piece.endswith(_ENDING) and piece.removesuffix(_ENDING).isdecimal():
                start = int(piece.removesuffix(_ENDING))
                found[name].segments.append(Segment(start=start, size=each.size, key=each.key))
        return dict(found)

    def await_ledgers(self, *, limit_s: float) -> dict[str, Uploaded]:
        """Return them when all are closed, or nothing has been added for `limit_s`."""
        found = self.ledgers()
        grew_at = time.monotonic()
        while time.monotonic() - grew_at < limit_s:
            if found and all(each.is_closed for each in found.values()):
                break
            time.sleep(_LOOK_EVERY_S)
            earlier, found = found, self.ledgers()
            if found != earlier:
                grew_at = time.monotonic()
        return found

    def read(self, segments: Iterable[Segment]) -> Iterator[bytes]:
        """Yield the bytes of segments, one after the other."""
        for segment in segments:
            yield from self._bucket.read(segment)
