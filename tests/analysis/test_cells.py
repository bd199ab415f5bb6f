"""What arrays are read from text is what Python reads from it, and from no other spelling."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.cells import ID_LENGTH, Block, Layout, find_ids, hashed, in_order_of, same_ids
from analysis.plain_lines import _times
from analysis.records import format_time, is_time, parse_time
from tests.examples import examples

FIRST, LAST = parse_time("0001-01-01T00:00:00Z"), parse_time("9999-12-31T23:59:59.999999Z")
OTHERS = [chr(each) for each in range(128) if chr(each) not in '",\r\n']
TIMES = st.integers(FIRST, LAST)
AMOUNTS = st.integers(0, 10**12).map(lambda cents: f"{cents // 100}.{cents % 100:02}")
EXAMPLES = ["2026-11-23T12:59:09.017982Z", "1234567890123456", "10.50", "7", "acknowledged"]
TEXTS = st.text(st.sampled_from(OTHERS), max_size=30) | st.sampled_from(
    [
        *("", "0", "00", "-1", "+1", "1.5", "1e3", "007", "12345678", "123456789", "9" * 17),
        *("0.00", "00.10", ".10", "1.1", "1.123", "-1.00", "12345678.99", "123456789012.99"),
        *("2026-02-30T12:00:00.000000Z", "2024-02-29T23:59:59.999999Z", "2026-13-01T00:00:00.0Z"),
        *("2026-11-23T24:00:00.000000Z", "2026-11-23T12:00:60.000000Z", "0000-01-01T00:00:00Z"),
        *("2026-11-23 12:00:00.000000Z", "2026-11-23T12:00:00.000000+", "2026-W48-1T12:00:00.00Z"),
    ]
)


def near(example: str) -> list[str]:
    """A text with every other character at every place, and a place less and one more."""
    changed = [
        example[:place] + other + example[place + 1 :]
        for place in range(len(example))
        for other in OTHERS
    ]
    return [*changed, example[1:], example[:-1], example + "0", "0" + example]


def block_of(texts: Iterable[str]) -> Block:
    """A block of a file in which each text is a cell between two others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cells.csv")
        lines = [f"{place},{text},x\r\n" for place, text in enumerate(texts)]
        path.write_text("".join(["a,b,c\r\n", *lines]), encoding="utf-8", newline="")
        layout = Layout(path, ["a", "b", "c"])
        ((low, high),) = layout.spans()
        return layout.block(low, high)


def whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"0|[1-9][0-9]{0,15}", text) else None


def cents(text: str) -> int | None:
    is_ours = re.fullmatch(r"(0|[1-9][0-9]*)\.[0-9]{2}", text) and len(text) < 16
    return int(text.replace(".", "")) if is_ours else None


def time(text: str) -> int | None:
    try:
        at = parse_time(text)
    except ValueError:
        return None
    return at if is_time(at) and format_time(at) == text else None


READERS = {"wholes": whole, "money": cents, "times": time}


def check(kind: str, texts: Sequence[str]) -> None:
    found = getattr(block_of(texts), kind)("b")
    read = np.where(found.are_ours, found.values, -1 << 63).tolist()
    expected = map(READERS[kind], texts)
    assert read == [-1 << 63 if each is None else each for each in expected]


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("kind", READERS)
def test_no_other_spelling_passes(kind: str, example: str) -> None:
    check(kind, [example, *near(example)])


@pytest.mark.parametrize("kind", READERS)
@examples(50)
@given(
    texts=st.lists(
        TEXTS | TIMES.map(format_time) | AMOUNTS | st.integers(0, 10**17).map(str), min_size=1
    )
)
def test_arrays_hold_what_the_texts_say(kind: str, texts: list[str]) -> None:
    check(kind, texts)


@pytest.mark.parametrize("word", ["", "1", "confirm", "rejected", "acknowledged", "x" * 16])
def test_a_word_is_that_word_and_no_other(word: str) -> None:
    texts = [word, *near(word)]
    assert block_of(texts).are("b", word.encode()).tolist() == [each == word for each in texts]


@examples(50)
@given(st.lists(TIMES, min_size=1))
def test_times_are_spelled_as_elsewhere(times: list[int]) -> None:
    spelled = _times(np.array(times, np.int64))
    assert [each.tobytes().decode() for each in spelled] == list(map(format_time, times))


@examples(50)
@given(st.lists(st.uuids().map(str), min_size=1), st.integers(0, ID_LENGTH - 1))
def test_ids_differ_wherever_a_character_does(texts: list[str], place: int) -> None:
    others = [text[:place] + "~" + text[place + 1 :] for text in texts]
    ids, changed = find_ids(texts), find_ids(others)
    assert same_ids(ids, find_ids(texts)).all()
    assert not same_ids(ids, changed).any()
    assert (hashed(ids) == hashed(find_ids(texts))).all()
    order = np.lexsort(in_order_of(ids))
    assert [texts[each] for each in order] == sorted(texts)


def test_only_some_of_many_ids_differ() -> None:
    texts = [str(uuid.UUID(int=each)) for each in range(100)]
    others = [*texts]
    others[7] = others[8]
    found = np.flatnonzero(~same_ids(find_ids(texts), find_ids(others)))
    assert found.tolist() == [7]


def test_texts_of_another_length_are_no_ids() -> None:
    id_ = str(uuid.UUID(int=1))
    assert len(find_ids(["", "x", id_[1:], id_ + "x", "é" + id_[1:], "é" + id_[2:], id_])) == 2


LINES: dict[str, tuple[str, list[list[str]]]] = {
    "a quoted comma": ('1,"a,b",x\r\n', [["1", "a,b", "x"]]),
    "a quoted line end": ('1,"a\r\nb",x\r\n', [["1", "a\r\nb", "x"]]),
    "a quote within": ('1,a"b,x\r\n2,c"d,x\r\n', [["1", 'a"b', "x"], ["2", 'c"d', "x"]]),
    "another line end": ("1,a,x\n", [["1", "a", "x"]]),
    "half a line end": ("1,a\rb,x\r\n", [["1", "a"], ["b", "x"]]),
    "text within a line end": ("1,a,x\rb\n", [["1", "a", "x"], ["b"]]),
    "too many cells": ("1,a,b,x\r\n", [["1", "a", "b", "x"]]),
    "too few": ("1,x\r\n", [["1", "x"]]),
    "a blank line": ("\r\n", []),
    "a long cell": (f"1,{'a' * 70_000},x\r\n", [["1", "a" * 70_000, "x"]]),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("text", ["é z", "z"])
def test_a_line_of_another_form_is_read_by_itself(
    name: str, place: int, text: str, tmp_path: Path
) -> None:
    line, cells = LINES[name]
    lines = ["7,y,x\r\n", f"8,{text},x\r\n"]
    lines.insert(place, line)
    path = tmp_path / "cells.csv"
    path.write_text("".join(["a,b,c\r\n", *lines]), encoding="utf-8", newline="")
    layout = Layout(path, ["a", "b", "c"])
    block = layout.block(*layout.spans()[0])
    assert block.odd == cells
    assert block.texts("b", np.arange(2)) == [b"y", text.encode()]
    assert block.wholes("a").values.tolist() == [7, 8]
    again = [*layout.lines_at(block.places().tolist())]
    assert again == [["7", "y", "x"], ["8", text, "x"]]


REFUSED: dict[str, bytes] = {
    "an open quote": b'1,"a,x\r\n2,b,x\r\n',
    "a quote that opens late": b'1,a"b,"x\r\n2,b,x\r\n',
    "no UTF-8": b"1,\xff,x\r\n",
    "text behind a quote": b'1,"a"b,x\r\n',
    "nothing": b"",
    "a line as long as a block": b"1," + b"a" * (5 << 20) + b",x\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_bytes(b"a,b,c\r\n" + REFUSED[name])
    layout = Layout(path, ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"."):
        [layout.block(*each) for each in layout.spans()]


def test_a_line_that_is_gone_is_not_looked_for_without_end(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_bytes(b"a,b,c\r\n1,a,x\r\n")
    layout = Layout(path, ["a", "b", "c"])
    places = layout.block(*layout.spans()[0]).places().tolist()
    path.write_bytes(b"a,b,c\r\n1,a")
    with pytest.raises(ValueError, match=r"."):
        [*layout.lines_at(places)]


@examples(50)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=40), st.data())
def test_blocks_hold_all_lines_once(texts: list[str], data: st.DataObject) -> None:
    clean: Callable[[str], str] = lambda text: re.sub(r'[",\r\n]', "", text)  # noqa: E731
    lines = [f"{place},{clean(text)},x\r\n" for place, text in enumerate(texts)] or ["0,,x\r\n"]
    size = data.draw(st.integers(60, 200))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.cells._BLOCK", size)
        path = Path(folder, "cells.csv")
        path.write_text("".join(["a,b,c\r\n", *lines]), encoding="utf-8", newline="")
        layout = Layout(path, ["a", "b", "c"])
        blocks = [layout.block(*each) for each in layout.spans()]
    numbers = [number for each in blocks for number in each.wholes("a").values.tolist()]
    assert numbers == list(range(len(lines)))
