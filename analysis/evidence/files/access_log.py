"""The load balancer's access log in a run: elb_access.log, or a folder elb_access/ of files."""

import gzip
import shutil
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from analysis.evidence.errors import EvidenceError
from analysis.evidence.files.writing import whole_file

_NAME = "elb_access"
# What AWS lays beside it, of connections and of health checks.
_OTHER_LOGS = ("conn_log.", "health_check_log.")


class AccessLogFiles:
    """The files of a log, gzip or not."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self.folder = run / _NAME

    def are_there(self) -> bool:
        """Whether elb_access.log, or a folder elb_access/ of such files, is there."""
        return bool(self._files())

    def keep(self, log: Path, *, offset: int) -> None:
        """Copy a log from this byte on; OSError where that cannot be done."""
        with log.open("rb") as source, whole_file(self._run / f"{_NAME}.log") as sink:
            source.seek(offset)
            shutil.copyfileobj(source, sink)

    def size_of(self, name: str) -> int | None:
        """How many bytes a file of elb_access/ has; None where it is not there."""
        path = self.folder / name
        return path.stat().st_size if path.is_file() else None

    def keep_file(self, name: str, parts: Iterable[bytes]) -> None:
        """Write a file of elb_access/ that was fetched from elsewhere; it appears whole."""
        self.folder.mkdir(exist_ok=True)
        with whole_file(self.folder / name) as file:
            file.writelines(parts)

    def lines(self) -> Iterator[str]:
        """Yield the lines of every file of the log, gzip or not; EvidenceError on damage."""
        for path in self._files():
            try:
                open_log = gzip.open if path.suffix == ".gz" else open
                with open_log(path, "rt", encoding="utf-8", errors="replace") as lines:
                    yield from lines
            except (OSError, EOFError, zlib.error) as error:
                raise EvidenceError(f"{path} cannot be read: {error}; fetch it again") from error

    def _files(self) -> list[Path]:
        return sorted(
            each
            for each in (*self._run.glob(f"{_NAME}*"), *self.folder.rglob("*"))
            if each.suffix in (".log", ".gz")
            and not each.name.startswith(_OTHER_LOGS)
            and each.is_file()
        )
