"""The report in a real Chromium: the page says what summary.json says, and nothing runs."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from analysis import __main__ as command
from analysis.evidence.records import Event, Product
from analysis.evidence.run import Settle
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import PRODUCTS, REQUESTS
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    rejected,
    request,
    row,
    run,
    store,
    unsent,
)
from tests.browser import Seen, accessibility_faults, chromium, watched_page

pytestmark = pytest.mark.browser

RECORDED = Path(__file__).parents[1] / "recorded" / "unpleasant"
PHONE = {"width": 390, "height": 800}
DRAWN = "[...document.querySelectorAll('.plot')].every(each => each.dataset.drawn === 'yes')"
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}</style>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the lab made, judged; each answer to an order in five was spoilt."""
    directory = tmp_path_factory.mktemp("runs") / "unpleasant"
    shutil.copytree(RECORDED, directory)
    assert command.main(["reconcile", str(directory)]) in {0, 1, 2}
    return directory


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(root=tmp_path, experiment="test", at=NOON)


def summary_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "summary.json").read_text("utf-8"))
    return content


def open_report(page: Page, directory: Path) -> None:
    page.goto((directory / "report.html").as_uri())
    page.wait_for_function(DRAWN)


def chart(page: Page, name: str) -> list[dict[str, Any]]:
    """The values of a chart that have a kind."""
    spec = json.loads(page.locator(f"#chart-{name} script").text_content() or "")
    layers: list[dict[str, Any]] = spec["layer"]
    values = [value for layer in layers for value in layer["data"]["values"]]
    return [value for value in values if "kind" in value]


def sums(values: list[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in values:
        found[value["kind"]] = found.get(value["kind"], 0) + value["count"]
    return found


def numbers(page: Page, row_name: str) -> dict[str, str]:
    """A row of the table of outcomes, by the names of its columns."""
    names = page.locator("#outcomes thead th").all_inner_texts()
    rows = page.locator("#outcomes tr").all()
    cells = next(
        texts for each in rows if (texts := each.locator("th, td").all_inner_texts())[0] == row_name
    )
    return dict(zip(names, cells, strict=True))


# --- a recorded run ---


def test_the_page_says_what_the_summary_says(browser: Browser, recorded: Path) -> None:
    summary = summary_of(recorded)
    hidden = summary["unacknowledged_orders"]
    with watched_page(browser) as (page, seen):
        open_report(page, recorded)
        assert page.locator("#verdict").inner_text().lower() == summary["verdict"]
        headline = page.locator("#headline").inner_text()
        assert headline.startswith(f"{hidden['count']} of ")
        assert f"{Decimal(hidden['value']):,.2f} in goods" in headline
        assert numbers(page, "all attempts") == {
            "outcome": "all attempts",
            "attempts": str(summary["attempts"]["total"]),
            **{
                verdict: str(summary["orders"][verdict])
                for verdict in ("confirmed", "lost", "committed", "absent")
            },
        }
        for invariant in summary["invariants"]:
            assert invariant["statement"] in page.locator("#invariants").inner_text()
        for hypothesis in summary["hypotheses"]:
            assert hypothesis["statement"] in page.locator("#hypotheses").inner_text()
        assert (
            f"{summary['windows']['client']['seconds']:.1f} s"
            in page.locator("#windows").inner_text()
        )
        assert page.locator("#attention > details, #attention .more > details").count() == min(
            50, summary["orders"]["committed"]
        )
        assert "committed" in page.locator("#attention .rungs").first.inner_text()
        assert summary["fault"]["targets"][0] in page.locator("#servers").inner_text()
        assert "geventhttpclient" in page.locator("#settings").inner_text()
        assert seen.troubles == []


def test_charts_add_up_to_the_summary(browser: Browser, recorded: Path) -> None:
    summary = summary_of(recorded)
    with watched_page(browser) as (page, _):
        open_report(page, recorded)
        outcomes = {
            name: summary["attempts"][name] for name in ("acknowledged", "rejected", "unsent")
        }
        expected = {**outcomes, **summary["indeterminate_by_cause"]}
        assert sums(chart(page, "orders")) == {
            kind: count for kind, count in expected.items() if count
        }
        for name in ("orders", "failures", "latency", "states"):
            assert page.locator(f"#chart-{name} svg path, #chart-{name} svg line").count() > 10


@pytest.mark.parametrize(("scheme", "viewport"), [("light", None), ("dark", PHONE)])
def test_everybody_can_read_it(
    browser: Browser, recorded: Path, scheme: str, viewport: dict[str, int] | None
) -> None:
    options: dict[str, Any] = {"color_scheme": scheme}
    if viewport:
        options["viewport"] = viewport
    with watched_page(browser, **options) as (page, seen):
        open_report(page, recorded)
        assert accessibility_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
        assert (brightness < 3 * 128) == (scheme == "dark")
        assert seen.troubles == []


def test_it_prints_light_and_whole_even_in_the_dark(browser: Browser, recorded: Path) -> None:
    with watched_page(browser, color_scheme="dark") as (page, _):
        open_report(page, recorded)
        page.emulate_media(media="print", color_scheme="dark")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == "rgb(255, 255, 255)"
        assert len(page.pdf(format="A4")) > 20_000


def test_nothing_is_fetched_from_anywhere(browser: Browser, recorded: Path) -> None:
    asked: list[str] = []
    with watched_page(browser) as (page, _):
        page.on("request", lambda each: asked.append(each.url))
        open_report(page, recorded)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len(asked) <= 2  # itself, and its empty icon


def test_drawing_it_again_gives_the_same_bytes(recorded: Path) -> None:
    before = {each.name: each.read_bytes() for each in recorded.iterdir() if each.is_file()}
    assert command.main(["report", str(recorded)]) == 0
    after = {each.name: each.read_bytes() for each in recorded.iterdir() if each.is_file()}
    assert after == before


# --- literal runs ---


def judged(directory: RunDirectory) -> Path:
    command.main(["reconcile", str(directory.path)])
    return directory.path


def test_a_lost_order_comes_first(
    browser: Browser, directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    told, hidden, gone = acknowledged("a", 1), indeterminate("b"), acknowledged("gone", 9)
    store(directory, evidence([told, hidden, gone], [row(1, told), row(2, hidden)]))
    with watched_page(browser) as (page, seen):
        open_report(page, judged(directory))
        assert (
            page.locator("#headline")
            .inner_text()
            .startswith("1 acknowledged order is not in the table.")
        )
        assert page.locator("#attention summary .mark").all_inner_texts() == ["lost", "committed"]
        assert numbers(page, "acknowledged")["lost"] == "1"
        assert seen.troubles == []
    assert "note" not in capsys.readouterr().err


def test_a_run_of_nothing_is_drawn_all_the_same(browser: Browser, directory: RunDirectory) -> None:
    store(directory, evidence([], []))
    with watched_page(browser) as (page, seen):
        open_report(page, judged(directory))
        assert page.locator("#verdict").inner_text().lower() == "undecided"
        assert "no window of it" in page.locator("#windows").inner_text()
        assert accessibility_faults(page) == []
        assert seen.troubles == []


def test_without_the_orders_table_nothing_is_said_of_it(
    browser: Browser, directory: RunDirectory
) -> None:
    store(directory, evidence([indeterminate("a"), unsent("b")], None))
    with watched_page(browser) as (page, seen):
        open_report(page, judged(directory))
        assert numbers(page, "all attempts")["lost"] == "–"
        assert "was not read" in page.locator("#outcomes").inner_text()
        assert seen.troubles == []


def test_a_hostile_run_runs_nothing(browser: Browser, directory: RunDirectory) -> None:
    told = acknowledged("a", 1, served_by=HOSTILE, user_id=HOSTILE)
    open_ones = [
        indeterminate(f"b{number}{HOSTILE}", error=f"{number}{HOSTILE}", http_status=None)
        for number in range(12)
    ]
    rows = [row(1, told, served_by=HOSTILE, status=HOSTILE)]
    rows += [row(2 + number, each, served_by=HOSTILE) for number, each in enumerate(open_ones)]
    store(
        directory,
        evidence([told, rejected("c", error=HOSTILE), *open_ones], rows, run=run(settle=SETTLED)),
    )
    with directory.new_table(PRODUCTS) as put_product:
        put_product(
            Product(id=1, name=HOSTILE, price=Decimal("19.99"), stock_before=100, stock_after=87)
        )
    with directory.new_table(REQUESTS) as put:
        put(replace(request(), served_by=HOSTILE, name=HOSTILE, error=HOSTILE, http_status=None))
    for source in ("elb", "fis", "asg", HOSTILE):
        directory.append_event(
            Event(at=NOON + SECOND, source=source, subject=HOSTILE, event=HOSTILE, detail=HOSTILE)
        )
    believed = {"id": HOSTILE, "statement": HOSTILE, "measure": HOSTILE, "at_most": 1}
    fault = {"experiment_id": HOSTILE, "action": HOSTILE, "targets": [HOSTILE]}
    directory.update_run(
        **dict.fromkeys(("host", "target", "experiment", "run_id"), HOSTILE),
        hypotheses=[believed],
        fault={**fault, "started_at": "2026-11-23T12:00:00Z", "ended_at": None},
        settings={HOSTILE: HOSTILE, "x": {HOSTILE: [HOSTILE]}},
        versions={HOSTILE: HOSTILE},
    )
    with watched_page(browser) as (page, seen):
        open_report(page, judged(directory))
        assert_untouched(page, seen)
        assert page.locator("#servers").inner_text().count("<script>alert(1)</script>") >= 1
        assert sweep(page, "states") >= 1
        assert sweep(page, "orders") >= 1
        assert_untouched(page, seen)
    assert (
        command.main(
            [
                "compare",
                str(directory.path),
                str(directory.path),
                "--html",
                str(directory.path / "compare.html"),
            ]
        )
        == 0
    )
    with watched_page(browser) as (page, seen):
        page.goto((directory.path / "compare.html").as_uri())
        assert_untouched(page, seen, scripts=0)
        assert accessibility_faults(page) == []


def sweep(page: Page, name: str) -> int:
    """Move the mouse over a chart; returns at how many places a tooltip came up."""
    plot = page.locator(f"#chart-{name} svg")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    shown = 0
    for x in range(8, 100, 12):
        for y in (30, 60, 78):
            page.mouse.move(box["x"] + box["width"] * x / 100, box["y"] + box["height"] * y / 100)
            shown += page.locator("#vg-tooltip-element.visible").count()
    return shown


SETTLED = Settle(settled=True, waited_s=0.5)


def assert_untouched(page: Page, seen: Seen, *, scripts: int = 2) -> None:
    """No dialog, no error, no script but ours, no element of theirs."""
    assert seen.troubles == []
    executable = "script:not([type='application/json'])"
    assert page.locator(executable).count() == scripts
    assert page.locator("img, iframe, object, [onerror]").count() == 0
    assert page.locator("style").count() <= 3  # ours, and Vega's
    assert "49" not in page.locator("#settings").all_inner_texts()
