"""The Chaos page as people use it: a real Chromium, the lab, and one run from form to verdict."""

import csv
import json
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import accessibility_faults, chromium, watched_page
from tests.harness.page.web import ROOT, serving

pytestmark = [pytest.mark.browser, pytest.mark.lab, pytest.mark.slow]

# The experiment is on while its server stops: long enough for somebody to press a button.
LAB = {
    "LAB_PROFILE": "fast",
    "LAB_STOPPING_S": "8",
    "LAB_EC2_STATE_DELAY_S": "8",
    "USERS": "16",
    "SPAWN_RATE": "16",
    "RUN_TIME": "60s",
    "LOCUST_ARGS": "--fis-at 90% --connect-timeout 1 --total-timeout 2 --stop-timeout 4s "
    "--poll-every 0.3",
}
LONG_MS = 60_000


@dataclass(slots=True, kw_only=True)
class Seen:
    """What a person saw from the form to the verdict, and the run's directory."""

    url: str
    run: Path
    page: Page
    troubles: list[str]
    faults: list[str]
    texts: dict[str, str]
    answers: dict[str, int]

    @property
    def summary(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.run / "summary.json").read_text("utf-8"))
        return loaded

    def events(self, source: str) -> list[str]:
        with (self.run / "events.csv").open(newline="", encoding="utf-8") as file:
            return [row["event"] for row in csv.DictReader(file) if row["source"] == source]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def seen(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """One run: started from the form, its fault injected and stopped on the page, judged."""
    folder = tmp_path_factory.mktemp("page")
    command = [sys.executable, "-m", "infra.launch", "web"]
    with (
        serving(command, cwd=ROOT, log=folder / "log", RUN_DIR=str(folder / "run"), **LAB) as url,
        watched_page(browser) as (page, watched),
    ):
        found = Seen(
            url=url,
            run=folder / "run",
            page=page,
            troubles=watched.troubles,
            faults=[],
            texts={},
            answers={},
        )
        _live_through(found)
        yield found


def _live_through(seen: Seen) -> None:
    page = seen.page
    page.goto(f"{seen.url}/")
    page.get_by_role("link", name="Chaos").click()
    expect(page.locator("#state")).to_contain_text("no run yet")
    page.goto(f"{seen.url}/")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("tab", name="Chaos").click()
    expect(page.locator("#state")).to_contain_text("running", timeout=LONG_MS)
    expect(page.locator("#experiment-state")).to_have_text("not started")
    expect(page.locator("#stop")).to_be_disabled()
    expect(page.locator("#tiles [data-name=acknowledged] dd")).not_to_have_text("0")
    _press(page, "Inject now", leave=True)
    seen.texts["after leaving it"] = page.text_content("#experiment-state") or ""
    _press(page, "Inject now")
    expect(page.locator("#experiment-state")).to_contain_text("running", timeout=LONG_MS)
    expect(page.locator("#servers .pill.bad", has_text="victim")).to_be_visible(timeout=LONG_MS)
    seen.answers["inject again"] = _post(page, "inject")
    seen.answers["without the token"] = _post(page, "stop", token="wrong")
    seen.texts["not stopped"] = page.text_content("#experiment-state") or ""
    _press(page, "Stop the experiment")
    expect(page.locator("#experiment-state")).to_contain_text("stopped", timeout=LONG_MS)
    seen.answers["stop again"] = _post(page, "stop")
    seen.faults += accessibility_faults(page)
    page.goto(f"{seen.url}/")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.goto(f"{seen.url}/chaos/")
    expect(page.locator("#verdict-word")).to_be_visible(timeout=LONG_MS)
    seen.faults += accessibility_faults(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    seen.faults += accessibility_faults(page)


def _press(page: Page, name: str, *, leave: bool = False) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Leave it" if leave else name, exact=True).click()
    expect(dialog).to_be_hidden()


def _post(page: Page, action: str, token: str = "") -> int:
    """What the page's own origin is answered, as if a button were pressed that is not there."""
    status: int = page.evaluate(
        """async ([action, token]) => {
            const own = document.querySelector('meta[name="chaos-token"]').content;
            const headers = { "X-Chaos-Token": token || own };
            return (await fetch(action, { method: "POST", headers })).status;
        }""",
        [action, token],
    )
    return status


def test_the_page_says_what_the_summary_says(seen: Seen) -> None:
    summary, page = seen.summary, seen.page
    assert summary["verdict"] in (page.text_content("#verdict-word") or "")
    attempts = summary["attempts"]
    sentence = page.text_content("#verdict-sentence") or ""
    assert f"{attempts['total']:,} attempts, {attempts['indeterminate']:,} of them" in sentence
    for outcome in ("acknowledged", "rejected", "indeterminate", "unsent"):
        tile = page.text_content(f"#tiles [data-name={outcome}] dd") or ""
        assert int(tile.replace(",", "")) == attempts[outcome], outcome
    causes = [row.locator("td").all_text_contents() for row in page.locator("#causes tr").all()]
    found = {each[0]: int(each[1]) for each in causes if each}
    assert found == summary["indeterminate_by_cause"]
    assert {each[0]: int(each[2]) for each in causes if each and each[2] != "0"} == summary[
        "committed_by_cause"
    ]
    assert page.locator("#invariants li").count() == len(summary["invariants"])


def test_the_table_of_outcomes_is_that_of_reconciliation_csv(seen: Seen) -> None:
    with (seen.run / "reconciliation.csv").open(newline="", encoding="utf-8") as file:
        rows = Counter(
            (row["outcome"], row["verdict"])
            for row in csv.DictReader(file)
            if row["kind"] == "attempt"
        )
    lines = seen.page.locator("#outcomes tbody tr").all()
    cells = [line.locator("td").all_text_contents() for line in lines]
    found = {(each[0], each[1]): int(each[2].replace(",", "")) for each in cells}
    assert found == rows
    untold = seen.summary["unacknowledged_orders"]["count"]
    assert seen.page.locator("#untold tbody tr").count() == min(untold, 200)


def test_the_fault_was_injected_once_and_stopped_by_hand(seen: Seen) -> None:
    assert "not started" in seen.texts["after leaving it"]
    assert seen.answers == {"inject again": 409, "without the token": 403, "stop again": 409}
    assert "running" in seen.texts["not stopped"]
    assert seen.events("user") == ["inject_requested", "stop_requested"]
    fis = seen.events("fis")
    assert fis.count("running") == 1
    assert fis[-1] == "stopped"
    run = json.loads((seen.run / "run.json").read_text("utf-8"))
    assert run["fault"]["state"] == "stopped"
    assert run["fault"]["client_token"]


def test_what_happened_is_listed_newest_first(seen: Seen) -> None:
    with (seen.run / "events.csv").open(newline="", encoding="utf-8") as file:
        events = [row["event"].replace("_", " ") for row in csv.DictReader(file)]
    # What the analysis adds, before and after, as a process of its own is not news of the load.
    until_the_end = events[: events.index("users stopped") + 1]
    told = [each for each in until_the_end if not each.startswith("snapshot ")]
    assert seen.page.locator("#events .what strong").all_text_contents() == told[::-1]


def test_nothing_was_amiss_in_the_browser_nor_for_those_who_cannot_see(seen: Seen) -> None:
    assert seen.faults == []
    # Requests under way when the page is left are not loaded, and that is all.
    refused = ("409", "403", "not loaded:")
    assert [each for each in seen.troubles if not any(part in each for part in refused)] == []
    width: list[int] = seen.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]


def test_files_of_the_run_can_be_fetched_and_no_others(seen: Seen) -> None:
    links = seen.page.locator("#files a, #report-link a").all()
    names = [each.text_content() or "" for each in links]
    assert {"summary.json", "reconciliation.csv", "attempts.csv"} <= set(names)
    has_report = (seen.run / "report.html").exists()
    assert seen.page.locator("#report-link").is_visible() == has_report
    base = f"{seen.url}/chaos/runs/{seen.run.name}"
    got = urllib.request.urlopen(f"{base}/summary.json", timeout=10).read()
    assert got == (seen.run / "summary.json").read_bytes()
    for wrong in (
        *(f"{base}/snapshot_before.json", f"{base}/..%2frun.json", f"{base}/ledger"),
        *(f"{seen.url}/chaos/runs/..%2f..%2fetc/passwd", f"{seen.url}/chaos/runs/../run.json"),
        *(f"{seen.url}/chaos/runs/latest/run.json", f"{seen.url}/chaos/assets/..%2fchaos.html"),
    ):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(wrong, timeout=10)


def test_a_report_opens_and_reaches_nothing_of_the_web_ui(seen: Seen) -> None:
    answer = seen.page.goto(f"{seen.url}/chaos/runs/{seen.run.name}/report.html")
    assert answer is not None
    assert answer.status == 200
    assert "sandbox" in answer.headers["content-security-policy"]
    assert seen.page.evaluate("origin") == "null"
    assert seen.summary["verdict"] in (seen.page.text_content("body") or "").lower()
