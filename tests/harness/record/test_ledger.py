"""What the ledger promises to those who send orders."""

import errno
import os
import re
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import gevent
import pytest

from analysis.evidence.ledger.line_records import (
    LEDGER_VERSION,
    AttemptEnded,
    AttemptSent,
    EndedFields,
    LedgerClosed,
    LedgerOpened,
    RequestDone,
    RequestFields,
    parse_line,
)
from analysis.evidence.ledger.tail import lines_beyond, tail_of
from analysis.evidence.records import Outcome
from analysis.evidence.run_directory import RunDirectory
from harness.errors import LedgerFailed
from harness.record.ledger import Ledger, LedgerKeeper, process_id
from tests.harness.ledgers import files_of_at_most, put_off, recorded, write


def _sent(name: str = "a") -> AttemptSent:
    return AttemptSent(
        attempt_id=name,
        order_key=str(uuid.uuid4()),
        attempt_no=1,
        user_id="u",
        product_id=1,
        quantity=1,
        due_at=None,
        sent_at=5,
        trace_id="Root=1-0-0",
    )


def _end(name: str = "a") -> EndedFields:
    return ("ended", name, 6, Outcome.INDETERMINATE, 502, "", None, "", 0)


_READ: RequestFields = ("request", "u", "/products", "GET", None, 1, 2, 200, "", 3, "i-1")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl", process_id="p-1", at=1)


def _kinds(ledger: Ledger) -> list[type]:
    return [type(parse_line(line)) for line in recorded(ledger.path).splitlines(keepends=True)]


def _fill_disk(ledger: Ledger) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), ledger._file)


def test_attempt_is_recorded_when_that_returns(ledger: Ledger) -> None:
    write(ledger, _sent())
    assert _kinds(ledger) == [LedgerOpened, AttemptSent]


def test_end_is_recorded_when_that_returns(ledger: Ledger) -> None:
    write(ledger, _sent("a"), _end("a"), _sent("b"))
    assert _kinds(ledger) == [LedgerOpened, AttemptSent, AttemptEnded, AttemptSent]


def test_what_is_put_is_appended_to_the_file_by_a_flush(ledger: Ledger) -> None:
    before = ledger.path.read_bytes()
    line = _sent().to_line()
    ledger.put(line)
    assert ledger.path.read_bytes() == before
    ledger.flush()
    assert ledger.path.read_bytes() == before + line
    assert _kinds(ledger) == [LedgerOpened, AttemptSent]


def test_tail_is_there_until_the_ledger_is_closed(ledger: Ledger) -> None:
    assert tail_of(ledger.path).exists()
    ledger.put(_sent().to_line())
    ledger.close(at=9)
    assert not tail_of(ledger.path).exists()
    assert ledger.path.read_bytes().endswith(LedgerClosed(at=9).to_line())


def test_requests_wait_for_a_flush_and_keep_no_attempt_waiting(ledger: Ledger) -> None:
    put_off(ledger, _READ)
    write(ledger, _sent())
    assert _kinds(ledger) == [LedgerOpened, AttemptSent]
    ledger.flush()
    assert _kinds(ledger) == [LedgerOpened, AttemptSent, RequestDone]


def test_closing_writes_what_waits_and_the_last_line_once(ledger: Ledger) -> None:
    write(ledger, _end())
    put_off(ledger, _READ, times=2)
    ledger.close(at=9)
    ledger.close(at=10)
    assert _kinds(ledger) == [LedgerOpened, AttemptEnded, RequestDone, RequestDone, LedgerClosed]


_FORKS = """
import os, sys
from pathlib import Path
from harness.errors import LedgerFailed
from harness.record.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]), process_id="p", at=1)
ledger.put(b"before\\n")
child = os.fork()
if not child:
    for record in (ledger.put, ledger.write):
        try:
            record(b"of the child\\n")
        except LedgerFailed:
            continue
        os._exit(1)
    ledger.close(at=2)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
ledger.put(b"after\\n")
os.kill(os.getpid(), 9)
"""


def test_fork_of_the_process_takes_nothing_from_its_ledger(tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    subprocess.run([sys.executable, "-c", _FORKS, path], check=False, timeout=60)
    assert recorded(path).split(b"\n", 1)[1] == b"before\nafter\n"


def test_others_see_by_its_lock_that_it_is_being_written(tmp_path: Path) -> None:
    run = RunDirectory.create(root=tmp_path, experiment="test", at=1)
    ledger = Ledger(run.ledger_file("p"), process_id="p", at=1)
    assert run.is_being_written(ledger.path)
    ledger.close(at=9)
    assert not run.is_being_written(ledger.path)


def test_nothing_is_recorded_after_closing(ledger: Ledger) -> None:
    ledger.close(at=9)
    for record in (ledger.put, ledger.write):
        with pytest.raises(LedgerFailed, match="closed"):
            record(_sent().to_line())


def test_ledger_that_cannot_be_written_fails_for_good_and_says_so_once(tmp_path: Path) -> None:
    heard: list[LedgerFailed] = []
    ledger = Ledger(tmp_path / "l", process_id="p", at=1, on_failure=heard.append)
    _fill_disk(ledger)
    ledger.put(_sent().to_line())
    with pytest.raises(LedgerFailed, match="No space left"):
        ledger.flush()
    for record in (ledger.put, ledger.write):
        with pytest.raises(LedgerFailed, match="No space left"):
            record(_sent("b").to_line())
    assert [str(each) for each in heard] == [
        f"cannot write the ledger {ledger.path}: No space left on device"
    ]
    ledger.close(at=2)
    assert _kinds(ledger) == [LedgerOpened, AttemptSent]  # what was recorded is not lost


def test_disk_that_takes_a_part_first_says_why_it_takes_no_more(
    ledger: Ledger,
) -> None:
    before = ledger.path.stat().st_size
    ledger.put(_sent().to_line())
    with files_of_at_most(before + 10), pytest.raises(LedgerFailed, match="File too large"):
        ledger.flush()
    assert ledger.path.stat().st_size == before + 10
    assert _kinds(ledger) == [LedgerOpened, AttemptSent]


def test_disk_that_is_full_from_the_first_has_no_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.record.tail.os.write", lambda _file, content: len(content) // 2)
    with pytest.raises(LedgerFailed, match=r"cannot open .* No space left"):
        Ledger(tmp_path / "l.jsonl", process_id="p", at=1)
    assert not list(tmp_path.iterdir())  # nobody waits for one that nothing is written to


def test_ledger_whose_first_line_finds_no_room_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[LedgerFailed] = []
    write, written = os.write, iter([True])

    def write_once(file: int, content: bytes) -> int:
        if next(written, False):
            return write(file, content)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("harness.record.tail.os.write", write_once)
    with pytest.raises(LedgerFailed, match=r"cannot write .* No space left"):
        Ledger(tmp_path / "l.jsonl", process_id="p", at=1, on_failure=heard.append)
    assert not list(tmp_path.iterdir())
    assert len(heard) == 1


@pytest.mark.parametrize("what", ["files are no memory here", "nothing names the machine's start"])
def test_without_a_tail_each_line_is_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what.startswith("files"):

        def refuse(_file: int, _size: int) -> NoReturn:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

        monkeypatch.setattr("harness.record.tail.mmap.mmap", refuse)
    else:
        monkeypatch.setattr("harness.record.tail.start_of_machine", lambda: b"")
    ledger = Ledger(tmp_path / "l.jsonl", process_id="p", at=1)
    assert not tail_of(ledger.path).exists()
    line = _sent().to_line()
    for record in (ledger.put, ledger.write):
        record(line)
        assert ledger.path.read_bytes().endswith(line)
    opened = parse_line(ledger.path.read_bytes().splitlines(keepends=True)[0])
    assert isinstance(opened, LedgerOpened)
    assert opened.version == LEDGER_VERSION  # so nobody misses its tail
    ledger.close(at=9)


@pytest.mark.parametrize("name", ["l.jsonl", "l.tail"])
def test_file_of_another_is_never_written_to(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(LedgerFailed, match="cannot open"):
        Ledger(tmp_path / "l.jsonl", process_id="p", at=1)
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_process_killed_while_it_opens_its_ledger_leaves_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent yet."""
    path = tmp_path / "l.jsonl"
    left: list[bytes | None] = []
    monkeypatch.setattr(
        "harness.record.ledger.fcntl.flock", lambda *_: left.append(lines_beyond(path))
    )
    Ledger(path, process_id="p", at=1).close(at=2)
    assert left[0] == b""  # what `finish` finds of a file that was just made, and believes


def test_process_id_is_safe_in_a_file_name() -> None:
    assert process_id().replace("-", "").replace("_", "").isalnum()


class _Gate:
    """What the thread that waits here really waits for: a pipe, which gevent knows nothing of."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def wait(self) -> None:
        os.read(self._reader, 1)

    def set(self) -> None:
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1


class _Disk:
    """An os.fsync that hangs until it is let go, or fails; it counts those under way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_free = _Gate()
        self.failure: OSError | None = None
        self.synced_to: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()
        monkeypatch.setattr("harness.record.disk_sync.os.fsync", self.fsync)

    def fsync(self, file: int) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            size = os.fstat(file).st_size
        self.is_free.wait()
        with self._lock:
            self.at_once -= 1
        if self.failure is not None:
            raise self.failure
        self.synced_to.append(size)


@pytest.fixture
def disk(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Disk]:
    monkeypatch.setattr("harness.record.ledger.KEEP_EVERY_S", 0.01)
    hanging = _Disk(monkeypatch)
    yield hanging
    hanging.is_free.set()


def _wait_until(is_so: Callable[[], object]) -> None:
    with gevent.Timeout(20):
        while not is_so():
            gevent.sleep(0.002)


def test_what_was_written_is_made_last_while_users_go_on(ledger: Ledger, disk: _Disk) -> None:
    disk.is_free.set()
    keeper = LedgerKeeper(ledger)
    write(ledger, _sent())
    size = len(recorded(ledger.path))
    _wait_until(lambda: size in disk.synced_to)
    syncs = len(disk.synced_to)
    gevent.sleep(0.05)
    assert len(disk.synced_to) == syncs  # nothing new, nothing to do
    keeper.close(at=9)
    assert disk.synced_to[-1] == ledger.path.stat().st_size


@pytest.mark.timeout(60)
def test_users_order_on_while_the_disk_hangs_and_never_two_fsyncs_run_at_once(
    ledger: Ledger, disk: _Disk
) -> None:
    keeper = LedgerKeeper(ledger)
    write(ledger, _sent("0"))
    _wait_until(lambda: disk.at_once)
    for number in range(1, 100):
        write(ledger, _sent(str(number)))
        put_off(ledger, _READ)
        gevent.sleep(0.001)
    _wait_until(lambda: _kinds(ledger).count(RequestDone) == 99)  # they are written all the same
    assert _kinds(ledger).count(AttemptSent) == 100
    assert not disk.synced_to
    closing = gevent.spawn(keeper.close, at=9)
    gevent.sleep(0.05)
    assert not closing.ready()  # closed means that it lasts
    disk.is_free.set()
    closing.get(timeout=20)
    assert disk.most_at_once == 1
    assert disk.synced_to[-1] == ledger.path.stat().st_size


def test_whoever_asks_for_an_fsync_during_another_waits_for_one_of_its_own(
    ledger: Ledger, disk: _Disk
) -> None:
    first = gevent.spawn(ledger.sync)
    _wait_until(lambda: disk.at_once)
    write(ledger, _sent())
    second = gevent.spawn(ledger.sync)
    gevent.sleep(0.05)
    disk.is_free.set()
    gevent.joinall([first, second], timeout=20, raise_error=True)
    assert disk.most_at_once == 1
    assert disk.synced_to[-1] == ledger.path.stat().st_size > disk.synced_to[0]
    ledger.close(at=9)


def test_failed_fsync_stops_the_load_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.record.ledger.KEEP_EVERY_S", 0.01)
    heard: list[LedgerFailed] = []
    ledger = Ledger(tmp_path / "l", process_id="p", at=1, on_failure=heard.append)
    broken = _Disk(monkeypatch)
    broken.failure = OSError(errno.EIO, os.strerror(errno.EIO))
    broken.is_free.set()
    keeper = LedgerKeeper(ledger)
    _wait_until(lambda: heard)
    broken.failure = None  # the next would succeed, and prove nothing
    with pytest.raises(LedgerFailed, match="fsync: Input/output error"):
        write(ledger, _sent())
    keeper.close(at=9)
    assert len(heard) == 1
    assert _kinds(ledger) == [LedgerOpened]


def test_slow_fsync_is_told_of_while_it_hangs_and_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.record.ledger.KEEP_EVERY_S", 0.01)
    monkeypatch.setattr("harness.record.disk_sync.SLOW_S", 0.05)
    told: list[str] = []
    ledger = Ledger(tmp_path / "l", process_id="p", at=1, on_slow=told.append)
    disk = _Disk(monkeypatch)
    keeper = LedgerKeeper(ledger)
    _wait_until(lambda: told)
    assert told == ["an fsync has taken 0.05 s and goes on"]
    disk.is_free.set()
    _wait_until(lambda: len(told) > 1)
    assert re.fullmatch(r"an fsync took \d+\.\d s", told[1])
    keeper.close(at=9)


def test_ledgers_name_lasts_as_its_lines_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def fsync(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    run = RunDirectory.create(root=tmp_path / "runs", experiment="test", at=1)
    assert {run.path, run.path.parent} <= set(synced)
    synced.clear()
    ledger = Ledger(run.ledger_file("p"), process_id="p", at=1)
    assert synced == [ledger.path.parent]
    ledger.close(at=9)
    assert synced[-1] == ledger.path
    run.update_run(ended_at=None)
    assert synced[-1] == run.path  # after the file itself, whose name it holds
