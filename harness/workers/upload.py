"""A worker's ledger on its way to S3, as segments named by their first byte; for large fleets.

Where the ledger's disk is the queue, in memory is no more than one segment. A failure is said once
and tried again: it never stops the load, but the ledger is not whole before all has arrived.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent

from analysis.evidence.aws_client import aws_clients
from harness.errors import BadArgument
from harness.faults.fis.targets import AWS_ERRORS, reason_of
from harness.workers.stream import Delivery

SEGMENT = 8 * 1024 * 1024
_EVERY_S = 3.0
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceStore:
    """The place in S3 that --evidence-uri names; `uploaded_ledgers` of the analysis reads it."""

    client: Any
    bucket: str
    prefix: str

    @classmethod
    def connect(cls, uri: str) -> "EvidenceStore":
        """Make the client, which asks nothing yet; BadArgument where boto3 lacks a setting."""
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        try:
            (client,) = aws_clients(
                "s3",
                connect_timeout=5,
                read_timeout=20,
                retries={"total_max_attempts": 3, "mode": "standard"},
            )
        except (*AWS_ERRORS, ValueError) as error:  # the latter for a wrong AWS_ENDPOINT_URL
            raise BadArgument(f"--evidence-uri cannot be used: {reason_of(error)}") from error
        return cls(client=client, bucket=bucket, prefix=prefix)

    def folder(self, run_id: str) -> str:
        """Return what the keys of one run's ledgers begin with."""
        return "/".join(part for part in (self.prefix, run_id, "ledger") if part) + "/"

    def check(self, run_id: str) -> None:
        """See that the place can be read and holds nothing of this run; BadArgument."""
        place = f"s3://{self.bucket}/{self.folder(run_id)}"
        try:
            found = self.client.list_objects_v2(
                Bucket=self.bucket, Prefix=self.folder(run_id), MaxKeys=1
            )
        except AWS_ERRORS as error:
            raise BadArgument(
                f"--evidence-uri: {place} cannot be read: {reason_of(error)}"
            ) from error
        if found.get("KeyCount"):
            raise BadArgument(
                f"--evidence-uri: {place} holds a run's ledgers already; name another prefix"
            )

    def put(self, key: str, content: bytes) -> None:
        """Store one object; AWS_ERRORS."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)


class LedgerUpload(Delivery):
    """Uploads one ledger."""

    how = "uploaded"

    def __init__(
        self, ledger: Path, store: EvidenceStore, *, folder: str, tell: Callable[..., bool]
    ) -> None:
        super().__init__(ledger, tell=tell)
        self._store = store
        self._folder = folder
        self._uploaded = 0
        # A segment that failed is tried again as it was: a late success must not differ from it.
        self._until = 0
        self._tried_at = time.monotonic()
        self._is_failing = False
        self._is_final = False

    def start(self) -> None:
        """Begin to upload."""
        self._tell(state="open")
        self._greenlet = gevent.spawn(self._run)

    def received(self, answer: Mapping[str, Any]) -> None:
        """Take no answer: the master gives none."""

    def finish(self) -> None:
        """Note that the ledger grows no more."""
        self.progressed_at = time.monotonic()
        self._is_final = True

    def _run(self) -> None:
        with self._ledger.open("rb") as file:
            while not self.is_done:
                try:
                    self._advance(file)
                except AWS_ERRORS as error:
                    self._fail(reason_of(error))
                gevent.sleep(_LOOK_EVERY_S)

    def _advance(self, file: Any) -> None:
        is_final = self._is_final  # what is read from now on is all there is
        waited_s = time.monotonic() - self._tried_at
        size = self._ledger.stat().st_size
        is_due = is_final or waited_s >= _EVERY_S or size - self._uploaded >= SEGMENT
        if not is_due or (self._is_failing and waited_s < _EVERY_S):
            return
        self._tried_at = time.monotonic()
        while self._uploaded < size:
            if self._until <= self._uploaded:
                self._until = min(self._uploaded + SEGMENT, size)
            file.seek(self._uploaded)
            content = file.read(self._until - self._uploaded)
            self._store.put(f"{self._folder}{self._uploaded:020d}.jsonl", content)
            self._uploaded = self._until
            self._progressed()
        if is_final:
            self._store.put(f"{self._folder}closed", str(size).encode())
            self.is_done = True
            self._tell(state="closed", size=size)

    def _progressed(self) -> None:
        self.progressed_at = time.monotonic()
        self._is_failing = False
        self._tell(state="uploaded", size=self._uploaded)

    def _fail(self, why: str) -> None:
        if not self._is_failing:
            self._tell(state="trouble", why=f"the ledger cannot be uploaded: {why}")
        self._is_failing = True
