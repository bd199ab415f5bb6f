"""A ledger's tail, killed and interrupted at any moment: nothing that was taken is lost or twice.

Where a test kills, the memory is a stand-in that stops at one store and leaves some of its bytes
stored, in any order, as a processor may.
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.errors import EvidenceError
from analysis.evidence.ledger import tail as ledger_tail
from analysis.evidence.ledger.tail import HEAD, SIZE, complete, tail_of
from harness.record import tail as _tail
from harness.record.tail import LedgerTail
from tests.examples import examples
from tests.harness.ledgers import files_of_at_most, recorded

_ROOM = 300
_FIRST = b"opened\n"
_lengths = st.one_of(st.integers(2, 40), st.integers(2, 2 * _ROOM))
# How long each text is, and None for a flush.
_works = st.lists(st.one_of(_lengths, _lengths, _lengths, st.none()), max_size=25)


class Killed(BaseException):
    """The process is no more."""


class _Memory:
    """A file as memory, as `mmap` gives it, that dies during its n-th store."""

    def __init__(self, path: Path, *, dies_at: int, chance: random.Random) -> None:
        self._path = path
        self._bytes = bytearray(path.read_bytes())
        self._position = 0
        self._stores_left = dies_at
        self._chance = chance

    def _store(self, start: int, content: bytes) -> None:
        self._stores_left -= 1
        if self._stores_left >= 0:
            self._bytes[start : start + len(content)] = content
            self._path.write_bytes(self._bytes)
            return
        # Eight bytes in their place are stored at once, or not at all.
        for at in range(start - start % 8, start + len(content), 8):
            if self._chance.random() < 0.5:
                for each in range(max(at, start), min(at + 8, start + len(content))):
                    self._bytes[each] = content[each - start]
        self._path.write_bytes(self._bytes)
        raise Killed

    def write(self, content: bytes) -> None:
        if self._position + len(content) > len(self._bytes):
            raise ValueError
        self._store(self._position, content)
        self._position += len(content)

    def __setitem__(self, where: slice, content: bytes) -> None:
        start, stop, _ = where.indices(len(self._bytes))
        assert stop - start == len(content)
        self._store(start, content)

    def __getitem__(self, where: slice) -> bytes:
        return bytes(self._bytes[where])

    def seek(self, position: int, whence: int = os.SEEK_SET) -> None:
        self._position = position if whence == os.SEEK_SET else len(self._bytes) + position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        pass


class _Place:
    """A ledger in a folder of its own, with a small tail."""

    def __init__(self, folder: Path) -> None:
        self.ledger = folder / "p.jsonl"
        self.ledger.write_bytes(_FIRST)
        self.file = os.open(self.ledger, os.O_WRONLY | os.O_APPEND)
        self.taken: list[bytes] = []
        self.under_way = b""

    def open(self) -> LedgerTail:
        tail = LedgerTail(tail_of(self.ledger), fail=_raise)
        tail.begin(self.file)
        return tail

    def work(self, tail: LedgerTail, works: list[int | None]) -> None:
        """Put texts and flush; `taken` is what was promised to be kept."""
        for number, length in enumerate(works):
            if length is None:
                tail.spill()
                continue
            self.under_way = str(number).encode().ljust(length - 1, b".")[: length - 1] + b"\n"
            try:
                tail.put(self.under_way)
            except ValueError:
                tail.write(self.under_way)
            self.taken.append(self.under_way)
            self.under_way = b""


def _raise(error: OSError) -> NoReturn:
    raise error


@contextmanager
def _place() -> Iterator[_Place]:
    """Small enough for a few texts to fill it."""
    folder = Path(tempfile.mkdtemp())
    with pytest.MonkeyPatch.context() as patch:
        for module in (ledger_tail, _tail):
            patch.setattr(module, "SIZE", HEAD + _ROOM)
        patch.setattr(os, "fsync", lambda _file: None)
        place = _Place(folder)
        try:
            yield place
        finally:
            os.close(place.file)
            shutil.rmtree(folder)


@given(_works, st.integers(0, 120), st.randoms(use_true_random=False))
@examples(400)
def test_killed_at_any_store_it_keeps_all_that_was_taken(
    works: list[int | None], dies_at: int, chance: random.Random
) -> None:
    with _place() as place, pytest.MonkeyPatch.context() as patch:

        def fake(path: Path) -> Any:
            path.write_bytes(bytes(HEAD + _ROOM))
            return _Memory(path, dies_at=dies_at, chance=chance)

        patch.setattr(_tail, "_map", fake)
        try:
            tail = place.open()
        except Killed:
            return  # nothing was taken, and the ledger has no line yet that asks for a tail
        with suppress(Killed):
            place.work(tail, works)
        assert complete(place.ledger)
        _assert_kept(place)
        whole = place.ledger.read_bytes()
        assert complete(place.ledger)  # once more: a `finish` that was killed is run again
        assert place.ledger.read_bytes() == whole


@given(_works, st.integers(0, 30), st.integers(0, 2 * _ROOM))
@examples(200)
def test_killed_in_a_write_to_the_file_it_keeps_all_that_was_taken(
    works: list[int | None], dies_at: int, cut: int
) -> None:
    with _place() as place, pytest.MonkeyPatch.context() as patch:
        write = os.write
        left = iter(range(dies_at, -1, -1))
        tail = place.open()

        def write_part(file: int, text: bytes) -> int:
            if next(left):
                return write(file, text)
            write(file, text[:cut])
            raise Killed

        patch.setattr("harness.record.tail.os.write", write_part)
        with suppress(Killed):
            place.work(tail, works)
        patch.undo()
        with pytest.MonkeyPatch.context() as again:
            again.setattr(ledger_tail, "SIZE", HEAD + _ROOM)
            assert complete(place.ledger)
        _assert_kept(place)


def _assert_kept(place: _Place) -> None:
    """All that was taken is there, once and in order, and after it at most a part of the next."""
    kept = _FIRST + b"".join(place.taken)
    found = place.ledger.read_bytes()
    assert found.startswith(kept)
    assert place.under_way.startswith(found[len(kept) :])


@given(st.lists(_lengths, min_size=1, max_size=12), st.integers(1, 60))
@examples(300)
def test_interrupted_at_any_line_it_goes_on_with_all_that_was_taken(
    works: list[int], interrupted_at: int
) -> None:
    """Ctrl-C is raised wherever the process is just then."""
    with _place() as place:
        tail = place.open()
        with _interrupted(interrupted_at):
            place.work(tail, list(works))
        halfway = place.under_way
        before = len(place.taken)
        assert recorded(place.ledger).startswith(_FIRST + b"".join(place.taken))  # killed now
        place.work(tail, [7, 50, None, _ROOM, 9])
        tail.spill()
        found = place.ledger.read_bytes()
        first, rest = (b"".join(each) for each in (place.taken[:before], place.taken[before:]))
        assert found in (_FIRST + first + rest, _FIRST + first + halfway + rest)
        tail.close()


@contextmanager
def _interrupted(at_line: int) -> Iterator[None]:
    """Raise KeyboardInterrupt before the n-th line that is executed of the module."""
    left = at_line

    def trace(frame: FrameType, event: str, _argument: object) -> Callable[..., Any] | None:
        nonlocal left
        if frame.f_code.co_filename != _tail.__file__:
            return None
        if event == "line":
            left -= 1
            if not left:
                raise KeyboardInterrupt
        return trace

    tracer = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(tracer)


def test_ledger_that_cannot_be_completed_says_what_to_do_and_can_be_later(place: _Place) -> None:
    line = _left_by_a_kill(place)
    said = "File too large; put that right and run `finish`"
    room = files_of_at_most(place.ledger.stat().st_size + 10)
    with room, pytest.raises(EvidenceError, match=said):
        complete(place.ledger)
    assert complete(place.ledger)
    assert place.ledger.read_bytes().count(line) == 1


# --- what is not to be trusted ---


@pytest.fixture
def place(tmp_path: Path) -> Iterator[_Place]:
    one = _Place(tmp_path)
    yield one
    os.close(one.file)


def _left_by_a_kill(place: _Place) -> bytes:
    place.work(place.open(), [30, None, 40])
    return place.taken[-1]


def _start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_tail, "start_of_machine", lambda: b"another")


def test_what_was_left_before_the_machine_started_anew_is_not_taken(
    place: _Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _left_by_a_kill(place)
    before = place.ledger.read_bytes()
    _start_again(monkeypatch)
    assert not complete(place.ledger)
    assert place.ledger.read_bytes() == before


def test_head_of_zeros_is_not_taken_where_no_start_of_the_machine_is_known(
    place: _Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail_of(place.ledger).write_bytes(bytes(SIZE))
    monkeypatch.setattr(ledger_tail, "start_of_machine", lambda: b"")
    assert not complete(place.ledger)


def test_what_was_completed_can_be_moved_to_another_machine(
    place: _Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = _left_by_a_kill(place)
    assert complete(place.ledger)
    _start_again(monkeypatch)
    assert complete(place.ledger)
    assert place.ledger.read_bytes().endswith(line)
    os.truncate(place.ledger, place.ledger.stat().st_size - 1)  # and not copied whole
    assert not complete(place.ledger)


@pytest.mark.parametrize("damage", ["no tail", "short tail", "short ledger", "another ledger"])
def test_files_that_do_not_fit_each_other_are_left_as_they_are(place: _Place, damage: str) -> None:
    _left_by_a_kill(place)
    tail = tail_of(place.ledger)
    match damage:
        case "no tail":
            tail.unlink()
        case "short tail":
            os.truncate(tail, SIZE // 2)
        case "short ledger":
            os.truncate(place.ledger, place.ledger.stat().st_size - 1)
        case _:
            with place.ledger.open("ab") as file:
                file.write(b"what is not in the tail\n")
    before = place.ledger.read_bytes()
    assert not complete(place.ledger)
    assert place.ledger.read_bytes() == before
