"""What the servers and the load fleet run, packed: the same bytes from the same files.

An archive has its packages, the boot scripts, and a requirements.lock of its own: the part of the
clone's lock that those packages need, versions and hashes untouched.
"""

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra import ROOT
from infra.aws.errors import PackError

FOLDER = ROOT / "build" / "aws"
BOOT = "infra/aws/boot"

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==")
_PARENT = re.compile(r"\s+#\s+(?:via\s+)?([A-Za-z0-9][A-Za-z0-9._-]*)(?:\s+\(.*\))?\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Of one archive: folders of the clone, and the distributions that they import."""

    name: str
    folders: tuple[str, ...]
    needs: tuple[str, ...]


SHOP = Contents(
    name="shop",
    folders=("shop", BOOT),
    needs=("flask", "gunicorn", "prometheus-client", "psycopg"),
)
LOAD = Contents(
    name="load",
    folders=("analysis", "harness", "locustfiles", "infra/experiments", BOOT),
    needs=(
        *("boto3", "duckdb", "gevent", "geventhttpclient", "jinja2", "locust", "msgspec"),
        *("psutil", "psycopg", "pyzmq", "rich", "vl-convert-python"),
    ),
)


def pack(contents: Contents, *, root: Path = ROOT, folder: Path = FOLDER) -> Path:
    """Write <folder>/<name>.tar.gz and return its path; PackError where something is missing."""
    files = dict(_files(contents, root))
    lock = (root / "requirements.lock").read_text(encoding="utf-8")
    files["requirements.lock"] = needed_part(lock, contents.needs).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{contents.name}.tar.gz"
    path.write_bytes(_archive(files))
    return path


def sha256(path: Path) -> str:
    """The checksum that user data compares, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def needed_part(lock: str, needs: tuple[str, ...]) -> str:
    """The blocks of a lock that `needs` and what they need in turn are pinned in.

    Who needs whom is what the lock's own comments say (`# via flask`).
    """
    blocks: dict[str, str] = {}
    for name, block in _blocks(lock):  # one for each Python, where they differ
        blocks[name] = blocks.get(name, "") + block
    if missing := [name for name in needs if name not in blocks]:
        raise PackError(f"requirements.lock has no {', '.join(missing)}: write it with `make lock`")
    wanted = set(needs)
    while more := {
        name for name, block in blocks.items() if name not in wanted and wanted & _parents(block)
    }:
        wanted |= more
    return "".join(block for name, block in blocks.items() if name in wanted)


def _blocks(lock: str) -> Iterator[tuple[str, str]]:
    block, name = "", ""
    for line in lock.splitlines(keepends=True):
        if pin := _PIN.match(line):
            if name:
                yield name, block
            block, name = "", pin[1].lower()
        if name:
            block += line
    if name:
        yield name, block


def _parents(block: str) -> set[str]:
    return {found[1].lower() for line in block.splitlines() if (found := _PARENT.fullmatch(line))}


def _files(contents: Contents, root: Path) -> Iterator[tuple[str, bytes]]:
    for folder in contents.folders:
        if not (root / folder).is_dir():
            raise PackError(f"{folder} is not in {root}: pack from a whole clone")
        for path in (root / folder).rglob("*"):
            name = path.relative_to(root)
            hidden = any(part.startswith((".", "__pycache__")) for part in name.parts)
            if path.is_file() and not hidden and path.suffix != ".tftpl":
                yield name.as_posix(), path.read_bytes()


def _archive(files: dict[str, bytes]) -> bytes:
    """A tar.gz in which only names and contents count: no times, owners or orders."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()
