"""Objects in S3, listed and read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from analysis.evidence.aws_client import aws_clients
from analysis.evidence.errors import EvidenceError, UsageError

_CHUNK = 1 << 20
_SCHEME = "s3://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """Where an object is, and how many bytes it has."""

    key: str
    size: int


class Bucket:
    """A place in S3, given as s3://bucket/prefix. Errors are an EvidenceError of one line.

    `about` says what is kept there and `way_out` what to do when that has been put right.
    """

    def __init__(self, uri: str, *, about: str, way_out: str) -> None:
        if not uri.startswith(_SCHEME):
            raise UsageError(f"{uri!r} is no place in S3; write s3://bucket/prefix")
        self.uri = uri
        self.name, _, self.prefix = uri.removeprefix(_SCHEME).partition("/")
        self._about, self._way_out = about, way_out
        with self._translated():
            (self._client,) = aws_clients(
                "s3",
                connect_timeout=5,
                read_timeout=20,
                retries={"total_max_attempts": 4, "mode": "standard"},
            )

    def objects(self, folder: str) -> Iterator[Object]:
        """Yield all objects whose key begins so, page by page."""
        for page in self._pages(Prefix=folder):
            for each in page.get("Contents", ()):
                yield Object(key=each["Key"], size=each["Size"])

    def folders(self, folder: str) -> list[str]:
        """Return the folders right below one, each with the whole of its key and a slash."""
        return [
            each["Prefix"]
            for page in self._pages(Prefix=folder, Delimiter="/")
            for each in page.get("CommonPrefixes", ())
        ]

    def read(self, found: Object) -> Iterator[bytes]:
        """Yield an object's bytes; EvidenceError if there are not as many as were listed."""
        size = 0
        with self._translated():
            body = self._client.get_object(Bucket=self.name, Key=found.key)["Body"]
            for chunk in body.iter_chunks(_CHUNK):
                size += len(chunk)
                yield chunk
        if size != found.size:
            raise EvidenceError(
                f"s3://{self.name}/{found.key} has {size} bytes instead of {found.size}; "
                f"{self._way_out}"
            )

    def _pages(self, **place: str) -> Iterator[dict[str, Any]]:
        with self._translated():
            yield from self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, **place
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        # A wrong AWS_ENDPOINT_URL is a ValueError.
        except (BotoCoreError, ClientError, ValueError) as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise EvidenceError(
                f"{self._about} in {self.uri} cannot be read: {why}; "
                f"put that right and {self._way_out}"
            ) from error
