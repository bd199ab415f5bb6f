"""The ledgers that workers have uploaded to S3, as segments named by their first byte.

What `locustfiles._upload` puts there: <prefix>/<run-id>/ledger/<process>/<first byte>.jsonl, and
`closed` beside them, which holds the size of the whole.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from analysis.errors import EvidenceError

_CLOSED = "closed"
_ENDING = ".jsonl"
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A piece of a ledger: which bytes, and where they are."""

    start: int
    size: int
    key: str


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
        self._uri = uri
        self._bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        self._folder = "/".join(part for part in (prefix, run_id, "ledger") if part) + "/"
        config = Config(
            connect_timeout=5,
            read_timeout=20,
            retries={"total_max_attempts": 4, "mode": "standard"},
        )
        try:
            self._client: Any = boto3.Session().client("s3", config=config)
        except (BotoCoreError, ClientError, ValueError) as error:  # a wrong AWS_ENDPOINT_URL
            raise self._complaint(error) from error

    def ledgers(self) -> dict[str, Uploaded]:
        """Return what has been uploaded so far, by the names of the ledgers."""
        found: dict[str, Uploaded] = defaultdict(Uploaded)
        try:
            for each in self._objects():
                name, _, piece = each["Key"].removeprefix(self._folder).rpartition("/")
                if "/" in name:
                    continue
                if piece == _CLOSED:
                    found[name].is_closed = True
                elif piece.endswith(_ENDING) and piece.removesuffix(_ENDING).isdecimal():
                    start = int(piece.removesuffix(_ENDING))
                    segment = Segment(start=start, size=each["Size"], key=each["Key"])
                    found[name].segments.append(segment)
        except (BotoCoreError, ClientError) as error:
            raise self._complaint(error) from error
        return dict(found)

    def await_ledgers(self, *, limit_s: float) -> dict[str, Uploaded]:
        """Return them when all are closed, or nothing has been added for `limit_s`."""
        found = self.ledgers()
        grew_at = time.monotonic()
        while not _are_closed(found) and time.monotonic() - grew_at < limit_s:
            time.sleep(_LOOK_EVERY_S)
            earlier, found = found, self.ledgers()
            if found != earlier:
                grew_at = time.monotonic()
        return found

    def read(self, segments: Iterable[Segment]) -> Iterator[bytes]:
        """Yield the bytes of segments, one after the other."""
        for segment in segments:
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=segment.key)["Body"]
                content: bytes = body.read()
            except (BotoCoreError, ClientError) as error:
                raise self._complaint(error) from error
            if len(content) != segment.size:
                message = (
                    f"s3://{self._bucket}/{segment.key} has {len(content)} bytes instead of "
                    f"{segment.size}; run `finish` again"
                )
                raise EvidenceError(message)
            yield content

    def _objects(self) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._folder):
            yield from page.get("Contents", ())

    def _complaint(self, error: Exception) -> EvidenceError:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return EvidenceError(
            f"the ledgers in {self._uri} cannot be read: {why}; "
            "put that right and run `finish` again"
        )


def _are_closed(found: dict[str, Uploaded]) -> bool:
    return bool(found) and all(each.is_closed for each in found.values())
