"""Locust's history: the figure and its interval are of the same stretch of time."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.__main__ import main
from analysis.compare.comparison import Comparison, compare
from analysis.compare.locust_history import ALL, last_rise, moments_of
from analysis.compare.samples import load_side

FIGURES = ("Type", "Name", "Request Count", "Failure Count", "Median Response Time")
HISTORY = (
    *("Timestamp", "User Count", "Type", "Name"),
    *("Total Request Count", "Total Failure Count", "Total Max Response Time"),
)
NAMES = (("GET", "/"), ("", "Aggregated"))
LATER_S = 1_800_000_000


@dataclass
class Locust:
    """A process of Locust's, as its statistics see it: a row each second."""

    rows: list[tuple[object, ...]] = field(default_factory=list)
    at: int = LATER_S
    counted: int = 0
    failed: int = 0
    lasted_s: int = 0

    def idle(self, seconds: int) -> "Locust":
        for _ in range(seconds):
            self._write(users=0)
        return self

    def reset(self) -> "Locust":
        self.counted = self.failed = self.lasted_s = 0
        return self

    def test(self, per_second: list[int], *, users: int = 5) -> "Locust":
        for count in per_second:
            self.counted += count
            self.failed += count // 4
            self.lasted_s += 1
            self._write(users=users)
        return self

    def _write(self, *, users: int) -> None:
        total = (self.counted, self.failed, 99.0 if self.counted else 0)
        self.rows += [(self.at, users, *name, *total) for name in NAMES]
        self.at += 1

    def save(self, prefix: Path, *, percentiles: tuple[str, ...] = ("50%", "95%", "99%")) -> Path:
        per_second = self.counted / self.lasted_s if self.lasted_s else 0.0
        head = (*FIGURES, "Max Response Time", "Requests/s", *percentiles)
        times = [9] * len(percentiles)
        figures = (self.counted, self.failed, 9, 99, per_second, *times)
        write(prefix, "stats", head, [(*name, *figures) for name in NAMES])
        write(prefix, "stats_history", HISTORY, self.rows)
        return prefix


def write(prefix: Path, kind: str, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with prefix.with_name(f"{prefix.name}_{kind}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def compared(base: Path, run: Path) -> Comparison:
    return compare(load_side(base), [load_side(run)], confidence=0.99)[0]


def changes(comparison: Comparison, measure: str) -> set[str]:
    return {row.change.value for row in comparison.rows if row.measure == measure}


busy = st.lists(st.integers(1, 40), min_size=10, max_size=40)
tests = st.lists(st.tuples(st.integers(0, 30), busy, st.integers(0, 30)), max_size=3)


@given(earlier=tests, last=busy, after=st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_what_came_before_and_after_a_test_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    earlier: list[tuple[int, list[int], int]],
    last: list[int],
    after: int,
) -> None:
    folder = tmp_path_factory.mktemp("histories")
    whole = Locust().idle(1)
    for idle_before, counts, idle_after in earlier:
        whole.idle(idle_before).reset().test(counts).idle(idle_after)
    # A test that is reset as soon as all users are there: what was counted until then was more.
    whole.reset().test([1_000]).reset().test(last).idle(after)
    alone = Locust().idle(1).test(last)
    found = compared(alone.save(folder / "alone"), whole.save(folder / "whole"))
    assert changes(found, "rps") <= {"no change", "not proven"}
    assert changes(found, "failures") <= {"no change", "not proven"}
    for row in found.rows:
        if row.measure in ("rps", "failures"):
            assert row.interval is not None, row
            assert row.run is not None
            assert row.interval.holds(row.run), row


def test_a_reset_is_seen_though_the_count_is_back_within_a_second() -> None:
    process = Locust().idle(1).test([10, 10, 10]).reset().test([30])
    process.rows[-1] = (*process.rows[-1][:-2], 2, 99.0)  # of 30 as before, two failed and not six
    process.test([30, 30])
    moments = moments_of([dict(zip(HISTORY, map(str, row), strict=True)) for row in process.rows])
    rise = last_rise(moments)
    assert [each.total for each in rise] == [0, 30, 60, 90]


def test_lengths_are_seconds_and_not_rows(tmp_path: Path) -> None:
    """A process that stood still wrote no rows meanwhile: its rate is not twice as high."""
    even = Locust().idle(1).test([20] * 60)
    sparse = Locust(
        **{**vars(even), "rows": [each for each in even.rows if int(str(each[0])) % 4 < 2]}
    )
    found = compared(even.save(tmp_path / "even"), sparse.save(tmp_path / "sparse"))
    row = found.find(ALL, "rps")
    assert row is not None
    assert row.interval is not None
    assert (row.interval.low, row.interval.high) == pytest.approx((20, 20))


def test_figures_of_another_time_than_the_history_prove_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = Locust().idle(1).test([20] * 60).save(tmp_path / "base")
    other = Locust().idle(1).test([20] * 60)
    other.rows = other.rows[:40]  # a disk that was full
    other.save(tmp_path / "other")
    assert main(["compare", str(base), str(tmp_path / "other"), "--fail-if", "rps < 2x"]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "its figures are of 60 s, the last rise in other_stats_history.csv of 19 s" in shown


def test_the_largest_number_of_users_of_the_test_is_told_first_and_rates_are_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = Locust().test([20] * 20, users=50).reset().test([20] * 20).save(tmp_path / "base")
    run = Locust().idle(1).test([200] * 20, users=50).save(tmp_path / "run")
    condition = "rps < 0.9x"
    assert main(["compare", str(base), str(run), "--json", "--fail-if", condition]) == 2
    content = json.loads(capsys.readouterr().out)
    assert content["runs"][0]["differences"] == [{"setting": "users", "base": "5", "run": "50"}]
    rates = [each for each in content["runs"][0]["rows"] if each["measure"] == "rps"]
    assert {(each["change"], each["reason"]) for each in rates} == {
        ("not judged", "users: 5 and 50")
    }
    assert "not comparable: users: 5 and 50" in content["conditions"][0]["measured"]
    assert main(["compare", str(base), str(run), "--fail-if", "rps < 5"]) == 0  # of the run alone
    shown = capsys.readouterr().out
    assert shown.index("users") < shown.index("rps")


def test_other_percentiles_leave_the_rest_to_be_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = Locust().idle(1).test([20] * 20).save(tmp_path / "base")
    run = Locust().idle(1).test([20] * 20).save(tmp_path / "run", percentiles=("90%", "99.9%"))
    assert main(["compare", str(base), str(run), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    found = {each["measure"]: each for each in content["runs"][0]["rows"]}
    assert (found["p95"]["base"], found["p95"]["run"]) == (0.009, None)
    assert found["p50"]["run"] == 0.009  # Locust's Median Response Time
    assert found["rps"]["change"] == "no change"
    assert "run: its statistics have no 50%, 95%, 99% (PERCENTILES_TO_REPORT)" in content["notes"]
    assert main(["compare", str(base), str(run), "--fail-if", "p95 > 1.2x"]) == 2


# --- files that others saved ---


def encoded(text: str) -> dict[str, bytes]:
    return {
        "is empty": b"",
        "is UTF-16, as PowerShell's > writes it; save it as UTF-8": text.encode("utf-16"),
        "is not UTF-8; save it as UTF-8": text.replace(
            "/", "/caf\N{LATIN SMALL LETTER E WITH ACUTE}"
        ).encode("cp1252"),
        "it lacks the column 'Requests/s'": text.replace("Requests/s", "RPS").encode(),
        "its header names Name twice": text.replace("Type", "Name").encode(),
        "the row Aggregated, its last, is missing": "".join(
            text.splitlines(keepends=True)[:1]
        ).encode(),
        "line 3: it has": text[:-20].encode(),
        "'nan' is no number to measure by": text.replace("20.0", "nan").encode(),
        "is no number to measure": text.replace("20.0", "1e300").encode(),
    }


@pytest.mark.parametrize("said", encoded("").keys())
def test_statistics_that_cannot_be_read_are_one_line_with_the_way_out(
    tmp_path: Path, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = Locust().idle(1).test([20] * 20).save(tmp_path / "good")
    bad = Locust().idle(1).test([20] * 20).save(tmp_path / "bad")
    file = bad.with_name("bad_stats.csv")
    file.write_bytes(encoded(file.read_bytes().decode())[said])
    assert main(["compare", str(good), str(bad)]) == 64
    error = capsys.readouterr().err
    assert said in error
    assert str(file) in error
    assert error.count("\n") == 1


def test_a_mark_names_with_line_ends_and_a_last_line_cut_off_are_no_trouble(
    tmp_path: Path,
) -> None:
    odd = 'a,"b"\r\nc'
    process = Locust().idle(1).test([20] * 20)
    process.save(tmp_path / "good")
    process.save(tmp_path / "odd")
    for kind, lost in (("stats", 0), ("stats_history", 9)):
        file = tmp_path / f"odd_{kind}.csv"
        with file.open(newline="") as lines:
            rows = [[odd if cell == "/" else cell for cell in row] for row in csv.reader(lines)]
        write(tmp_path / "odd", kind, tuple(rows[0]), [tuple(row) for row in rows[1:]])
        content = file.read_bytes()
        file.write_bytes(b"\xef\xbb\xbf" + content[: len(content) - lost])
    found = compared(tmp_path / "good", tmp_path / "odd")
    assert found.find(f"GET {odd}", "rps") is not None
    assert changes(found, "rps") == {"no change", "unknown"}  # of two names, one on either side
