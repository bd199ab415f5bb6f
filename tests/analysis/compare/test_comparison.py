"""Comparing runs: a change is called one, noise is not, and conditions say what they mean."""

import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import __main__ as command
from analysis.compare.bootstrap import Stretches, percentile_of
from analysis.compare.comparison import Change, compare
from analysis.compare.locust_history import ALL
from analysis.compare.samples import Sample, Side
from analysis.evidence.records import Request, format_time
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import REQUESTS
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    request,
    row,
    store,
)

LASTS_S = 60
P95 = "p95(POST /orders) > 1.2x"


def make_run(
    root: Path, name: str, *, slower: float = 1.0, failing: float = 0.01, seed: int = 1
) -> Path:
    """A minute of 20 orders and 20 listings a second, whose replies take 10 ms in the middle."""
    directory = RunDirectory.create(root=root, experiment="", at=NOON, path=root / name)
    told, hidden = acknowledged("a", 1), indeterminate("b")
    store(directory, evidence([told, hidden], [row(1, told), row(2, hidden)]))
    chance = random.Random(seed)
    with directory.new_table(REQUESTS) as put:
        for number in range(LASTS_S * 20):
            for line, factor in (("POST /orders", slower), ("GET /products", 1.0)):
                put(make_request(line, number, factor, failing, chance))
    return directory.path


def make_request(
    line: str, number: int, factor: float, failing: float, chance: random.Random
) -> Request:
    sent_at = NOON + number * SECOND // 20
    took = int(factor * chance.lognormvariate(9.2, 0.3))
    status = 502 if chance.random() < failing else 200
    return request(line, due_at=None, sent_at=sent_at, ended_at=sent_at + took, http_status=status)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {
        "base": make_run(root, "base"),
        "same": make_run(root, "same", seed=2),
        "slow": make_run(root, "slow", slower=1.5, seed=3),
        "bad": make_run(root, "bad", failing=0.1, seed=4),
    }


def call(*arguments: object) -> int:
    return command.main(["compare", *(str(each) for each in arguments)])


def changes(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[tuple[str, str], str]:
    call(*arguments, "--json")
    content = json.loads(capsys.readouterr().out)
    return {
        (each["endpoint"], each["measure"]): each["change"] for each in content["runs"][0]["rows"]
    }


def test_noise_is_no_change_or_not_proven(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = changes(capsys, runs["base"], runs["same"])
    assert set(found.values()) == {"no change", "not proven", "unknown"}
    assert {measure for (_, measure), change in found.items() if change == "unknown"} == {"max"}
    # 1,200 orders tell the middle to 10 %; their 99th percentile they tell by twelve.
    assert found["POST /orders", "p50"] == "no change"
    assert found["POST /orders", "p99"] == "not proven"


def test_a_slower_endpoint_is_worse_and_the_other_is_not(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    found = changes(capsys, runs["base"], runs["slow"])
    assert [found["POST /orders", measure] for measure in ("p50", "p95", "p99")] == ["worse"] * 3
    assert found["GET /products", "p95"] == "no change"
    assert found["POST /orders", "rps"] == "no change"
    assert changes(capsys, runs["slow"], runs["base"])["POST /orders", "p95"] == "better"


def test_more_failures_are_worse(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = changes(capsys, runs["base"], runs["bad"])
    assert found["all requests", "failures"] == "worse"


def test_figures_are_those_of_the_tables(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    call(runs["base"], runs["slow"], "--json")
    rows = json.loads(capsys.readouterr().out)["runs"][0]["rows"]
    with (runs["slow"] / "requests.csv").open(newline="") as file:
        orders = [each for each in csv.DictReader(file) if each["name"] == "/orders"]
    failed = sum(each["http_status"] == "502" for each in orders)
    found = {each["measure"]: each["run"] for each in rows if each["endpoint"] == "POST /orders"}
    assert found["failures"] == pytest.approx(100 * failed / len(orders))
    # All of them, over the time from the run's start to the last end.
    assert found["rps"] == pytest.approx(20, rel=0.01)


def test_the_same_runs_give_the_same_intervals(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    call(runs["base"], runs["slow"], "--json")
    first = capsys.readouterr().out
    call(runs["base"], runs["slow"], "--json")
    assert capsys.readouterr().out == first


def test_10_ms_against_5_s_is_not_proven_where_one_second_made_it() -> None:
    """A second in sixty holds the slow ones: whether there is such a one is chance."""
    quick = [[10] * 60, [10] * 60]
    slow = [[10] * 59 + [0], [10] * 60]
    base, run = (side_of(name, reached) for name, reached in (("base", quick), ("run", slow)))
    row = compare(base, [run], confidence=0.99)[0].find(ALL, "p99")
    assert row is not None
    assert (row.base, row.run) == (0.0105, 5.0)
    assert row.change is Change.NOT_PROVEN
    same = compare(base, [base], confidence=0.99)[0].find(ALL, "p99")
    assert same is not None
    assert same.change is Change.SAME


def test_an_interval_that_lacks_its_figure_is_none() -> None:
    base = side_of("base", [[10] * 60, [10] * 60])
    odd = replace(base, samples={ALL: replace(base.samples[ALL], per_second=20.0)})
    row = compare(base, [odd], confidence=0.99)[0].find(ALL, "rps")
    assert row is not None
    assert (row.interval, row.ratio_interval, row.change) == (None, None, Change.UNKNOWN)


def side_of(name: str, reached: list[list[int]]) -> Side:
    """Ten requests a second for a minute, each of 10.5 ms or of 5 s."""
    stretches = Stretches(
        times=[10_500, 5_000_000], reached=reached, counts=reached[-1], failures=[0] * 60
    )
    p99 = percentile_of(stretches, 0.99, [1] * 60)
    assert p99 is not None
    sample = Sample(
        count=600,
        failed=0,
        per_second=10.0,
        p50_s=0.0105,
        p95_s=0.0105,
        p99_s=p99 / 1e6,
        max_s=5.0,
        stretches=stretches,
    )
    return Side(
        name=name,
        source="ledger",
        samples={ALL: sample},
        verdict="",
        verdicts={},
        windows={},
        phases={0: list(range(60))},
        lengths_s=[1.0] * 60,
    )


# --- settings that differ ---


def set_as(root: Path, name: str, **content: object) -> Path:
    """A run of 40 requests in ten seconds, with this in its run.json."""
    directory = RunDirectory.create(root=root, experiment="", at=NOON, path=root / name)
    told = acknowledged("a", 1)
    store(directory, evidence([told], [row(1, told)]))
    with directory.new_table(REQUESTS) as put:
        for number in range(40):
            at = NOON + number * SECOND // 4
            put(request("POST /orders", due_at=None, sent_at=at, ended_at=at + 10_000))
    directory.update_run(**content)
    return directory.path


def test_what_was_set_otherwise_comes_first_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = {"action": "aws:ec2:stop-instances", "started_at": None}
    kept = {"retry": "none", "run_time_s": 10, "database": "a"}
    base = set_as(tmp_path, "base", target="lab", settings={**kept, "users": 5})
    other = {"retry": "same-key", "run_time_s": 10, "users": 50, "database": "b"}
    run = set_as(
        tmp_path, "run", target="lab", settings=other, interrupted=True, fault=fault, faults=[fault]
    )
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    assert call(base, run, "--html", tmp_path / "page.html") == 0
    wanted = [
        ("users", "5", "50"),
        ("fault", "none", "aws:ec2:stop-instances that did not begin"),
        ("interrupted", "no", "yes"),
        ("retry", "none", "same-key"),
    ]
    files = [(tmp_path / name).read_text() for name in ("step.md", "page.html")]
    for shown in (capsys.readouterr().out, *files):
        places = [shown.index(name) for name in ("users", "interrupted", "retry")]
        assert places == sorted(places)
        assert places[-1] < shown.index("not judged")
    call(base, run, "--json")
    listed = json.loads(capsys.readouterr().out)["runs"][0]["differences"]
    assert [(each["setting"], each["base"], each["run"]) for each in listed] == wanted


@pytest.mark.parametrize("condition", ["rps < 2x", "committed < 2x", "confirmed > 1x"])
def test_conditions_on_numbers_of_other_users_are_undecided(
    tmp_path: Path, condition: str, capsys: pytest.CaptureFixture[str]
) -> None:
    base, run = (
        set_as(tmp_path, name, settings={"users": users}) for name, users in (("a", 5), ("b", 50))
    )
    assert call(base, run, "--fail-if", condition) == 2
    assert "not comparable: users: 5 and 50" in " ".join(capsys.readouterr().out.split())
    assert call(base, run, "--fail-if", "p95 > 9x", "--fail-if", "lost > 0") == 0


def test_several_runs_are_compared_with_one_base(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, page = tmp_path / "changes.csv", tmp_path / "changes.html"
    assert call(runs["base"], runs["same"], runs["slow"], "--csv", table, "--html", page) == 0
    assert "slow against base" in capsys.readouterr().out
    with table.open(newline="") as file:
        found = {
            (each["run"], each["endpoint"], each["measure"]): each for each in csv.DictReader(file)
        }
    assert float(found["slow", "POST /orders", "p95"]["ratio"]) == pytest.approx(1.5, rel=0.15)
    assert found["slow", "POST /orders", "max"]["ratio_low"] == ""
    assert "slow" in page.read_text("utf-8")


# --- conditions ---


CONDITIONS = {
    "slow": {
        P95: "met",
        "p95(GET /products) > 1.2x": "not met",
        "p50(POST /orders) > 5ms": "met",
        "p50(POST /orders) > 0.5s": "not met",
    },
    "bad": {
        "failures > 5%": "met",
        "failures(POST /orders) > 2x": "met",
    },
    "same": {
        P95: "not met",
        "failures > 5%": "not met",
        "rps < 0.9x": "not met",
        "committed > 0": "met",
        "committed > 1x": "not met",
        "lost > 0": "not met",
        "window(client) > 30s": "undecided",  # there was no fault
    },
}


@pytest.mark.parametrize("run", list(CONDITIONS))
def test_conditions(runs: dict[str, Path], run: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = CONDITIONS[run]
    asked = [part for condition in wanted for part in ("--fail-if", condition)]
    assert call(runs["base"], runs[run], *asked, "--json") == 1
    found = json.loads(capsys.readouterr().out)["conditions"]
    assert {each["condition"]: each["result"] for each in found} == wanted


def test_what_may_be_noise_is_undecided_and_exits_2(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    call(runs["base"], runs["same"], "--json")
    rows = json.loads(capsys.readouterr().out)["runs"][0]["rows"]
    ratios = {each["measure"]: each["ratio"] for each in rows if each["endpoint"] == "POST /orders"}
    # Just below what was measured, on the side of no change.
    limit = f"p99(POST /orders) > {ratios['p99'] - 0.001:.4f}x"
    assert call(runs["base"], runs["same"], "--fail-if", limit) == 2
    assert "undecided" in capsys.readouterr().out


def test_a_condition_that_is_not_met_exits_0(runs: dict[str, Path]) -> None:
    assert call(runs["base"], runs["same"], "--fail-if", P95) == 0


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("p95(POST /orders) is bad", "no condition"),
        ("p42(POST /orders) > 1x", "there is no 'p42'"),
        ("p95(POST /orders) > 5%", "has x, ms, s"),
        ("p95(POST /orders) > 5", "not no unit"),
        ("p95(POST /order) > 1.2x", "there are all requests, GET /products, POST /orders"),
        ("window(other) > 1s", "client, load_balancer, autoscaling"),
        ("lost(POST /orders) > 1", "takes no endpoint"),
        ("failures > -1%", "no condition"),
    ],
)
def test_wrong_conditions_are_64_and_say_what_is_allowed(
    runs: dict[str, Path], condition: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(runs["base"], runs["same"], "--fail-if", condition) == 64
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


# --- Locust's own statistics ---


def write_statistics(prefix: Path, *, p95_ms: int, per_second: int, history: bool = True) -> None:
    """What `locust --csv PREFIX --csv-full-history` writes, as far as it is read."""
    head = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,"
    head += "Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,"
    head += "50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%\n"
    count = per_second * LASTS_S
    figures = f"{count},6,9,9.5,1,99.5,10,{per_second}.0,0.1,9,9,9,9,9,{p95_ms},80,90,99,99,99\n"
    path = prefix.with_name(f"{prefix.name}_stats.csv")
    path.write_text(f"{head}GET,/,{figures},Aggregated,{figures}")
    if history:
        head = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,"
        head += "99%,99.9%,99.99%,100%,Total Request Count,Total Failure Count,"
        head += "Total Median Response Time,Total Average Response Time,Total Min Response Time,"
        head += "Total Max Response Time,Total Average Content Size\n"
        lines = [
            f"{1_800_000_000 + at},5,,Aggregated,1,0,{'N/A,' * 11}"
            f"{per_second * at},{at // 10},9,9,1,99,10\n"
            for at in range(LASTS_S + 1)
        ]
        prefix.with_name(f"{prefix.name}_stats_history.csv").write_text(head + "".join(lines))


def test_prefixes_of_anybodys_locust_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_statistics(tmp_path / "old", p95_ms=50, per_second=100)
    write_statistics(tmp_path / "new", p95_ms=75, per_second=60)
    found = changes(capsys, tmp_path / "old", tmp_path / "new")
    assert found["all requests", "rps"] == "worse"
    assert found["all requests", "p95"] == "unknown"
    assert call(tmp_path / "old", tmp_path / "new", "--fail-if", "p95(GET /) > 1.2x") == 1
    assert "percentiles have no interval" in capsys.readouterr().out


def test_without_a_history_nothing_has_an_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_statistics(tmp_path / "old", p95_ms=50, per_second=100, history=False)
    assert set(changes(capsys, tmp_path / "old", tmp_path / "old").values()) == {"unknown"}


def test_a_run_is_compared_with_statistics(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_statistics(tmp_path / "old", p95_ms=50, per_second=100)
    assert changes(capsys, tmp_path / "old", runs["base"])["all requests", "rps"] == "worse"


def test_what_is_neither_is_64(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(runs["base"], tmp_path / "none") == 64
    assert "neither a run directory nor a prefix" in capsys.readouterr().err
    assert call(runs["base"], tmp_path) == 64
    (tmp_path / "odd_stats.csv").write_text("a,b\n1,2\n")
    assert call(runs["base"], tmp_path / "odd") == 64
    assert "no statistics of Locust's" in capsys.readouterr().err


# --- the list of runs ---


def test_runs_are_listed_with_their_verdicts(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = runs["base"].parent
    command.main(["reconcile", str(runs["base"])])
    unread = RunDirectory.create(root=root, experiment="x", at=NOON)
    unread.update_run(started_at=format_time(NOON + SECOND))
    capsys.readouterr()
    assert command.main(["runs", str(root), "--json"]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)["runs"]}
    assert listed["base"]["verdict"] == "held"
    assert (listed["base"]["attempts"], listed["base"]["committed"]) == (2, 1)
    assert listed[unread.run_id]["verdict"] == ""
    assert command.main(["runs", str(root)]) == 0
    assert "not judged" in capsys.readouterr().out
    assert command.main(["runs", str(root / "none")]) == 64
