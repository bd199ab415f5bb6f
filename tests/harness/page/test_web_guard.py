"""Who may use the web UI and what a shop may do to it: login, other sites, hostile answers."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import chromium, watched_page
from tests.harness.page.web import serving_locust
from tests.harness.shop_server import Arrival, Shop, reply, serve

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVIL = "<img src=x onerror=alert(1)><script>alert(1)</script>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A web UI behind a login, for a shop with <script> in every field it can answer."""

    url: str
    folder: Path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        _hostile_shop() as shop,
        serving_locust(
            # So many users that in each run some are answered with each status.
            *(shop.url, "--web-login", "--experiment", "hostile"),
            *("-t", "3s", "-u", "20", "-r", "20"),
            cwd=folder,
        ) as url,
    ):
        yield Site(url=url, folder=folder)


@contextmanager
def _hostile_shop() -> Iterator[Shop]:
    answers = [0]

    def order(connection: socket.socket, arrival: Arrival) -> bool:
        answers[0] += 1
        status = [f"599 {EVIL}", f"200 {EVIL}", f"409 {EVIL}"][answers[0] % 3]
        body = {"order_id": answers[0], "served_by": EVIL, "error": EVIL, "order_key": EVIL}
        connection.sendall(reply(status, json.dumps(body).encode(), f"X-Evil: {EVIL}"))
        return True

    def read(connection: socket.socket, arrival: Arrival) -> bool:
        body = {"products": [{"id": 1, "name": EVIL}], "id": 1, "served_by": EVIL, EVIL: EVIL}
        connection.sendall(reply(f"200 {EVIL}", json.dumps(body).encode()))
        return True

    with serve() as shop:
        shop.misbehave, shop.misbehave_at_reads = order, read
        yield shop


def _status(url: str, method: str = "GET", **headers: str) -> int:
    request = urllib.request.Request(
        url, method=method, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


@pytest.mark.parametrize("path", ["/chaos/", "/chaos/live", "/chaos/runs/latest/run.json"])
def test_without_a_login_nothing_is_shown(site: Site, path: str) -> None:
    assert _status(site.url + path) == 302


@pytest.mark.parametrize("action", ["inject", "stop"])
def test_without_a_login_nothing_is_done(site: Site, action: str) -> None:
    assert _status(f"{site.url}/chaos/{action}", "POST") == 302


@pytest.mark.parametrize("path", ["/chaos/inject", "/chaos/stop", "/swarm", "/stop"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_what_another_sites_page_asks_for_is_refused(
    site: Site, path: str, headers: dict[str, str]
) -> None:
    assert _status(site.url + path, "POST", **headers) == 403


def test_no_other_site_may_read_the_page(browser: Browser, site: Site) -> None:
    with watched_page(browser) as (page, _):
        answer = page.goto(f"{site.url}/let-me-in")
        assert answer is not None
        assert "access-control-allow-origin" not in answer.headers
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy


def test_the_form_has_the_fault_first_what_belongs_together_beside_it_and_no_secret(
    browser: Browser, site: Site
) -> None:
    with watched_page(browser) as (page, _):
        page.goto(f"{site.url}/let-me-in")
        page.goto(f"{site.url}/")
        shown: dict[str, Any] = page.evaluate("window.templateArgs.extra_options")
    names = list(shown)
    assert names[:2] == ["fis_template", "fis_at"]
    retries = [number for number, name in enumerate(names) if name.startswith("retry")]
    assert retries == list(range(retries[0], retries[0] + len(retries)))
    assert "database_url" not in names
    # As the command line's help spells a percent sign.
    assert [each for each in shown.values() if "%%" in each["help_text"]] == []


def test_a_hostile_shop_runs_nothing_and_each_start_is_a_run_of_its_own(
    browser: Browser, site: Site
) -> None:
    with watched_page(browser) as (page, seen):
        page.goto(f"{site.url}/let-me-in")
        for number in (1, 2):
            page.goto(f"{site.url}/")
            if number > 1:
                page.get_by_role("button", name="New", exact=True).click()
            page.get_by_role("button", name="Start", exact=True).click()
            page.get_by_role("tab", name="Chaos").click()
            expect(page.locator("#run-name")).to_have_text(_nth_run(site, number))
            expect(page.locator("#tiles [data-name=indeterminate] dd")).not_to_have_text("0")
            expect(page.locator("#verdict-word")).to_contain_text("undecided", timeout=60_000)
        for tab in ("Statistics", "Failures", "Exceptions"):
            page.goto(f"{site.url}/?tab={tab.lower()}")
            page.wait_for_selector('[role="tab"]')
        page.goto(f"{site.url}/chaos/")
        expect(page.locator("#causes")).to_contain_text("599")
        assert page.locator("main img, main script").count() == 0
        amiss = [each for each in seen.troubles if not each.startswith("not loaded:")]
        assert amiss == []


def test_a_form_that_cannot_be_used_is_said_on_the_page_and_no_load_begins(
    browser: Browser, site: Site
) -> None:
    with watched_page(browser) as (page, _):
        page.goto(f"{site.url}/let-me-in")
        before = sorted(site.folder.glob("runs/2*"))
        asked: dict[str, str | float | bool] = {
            "user_count": "1",
            "spawn_rate": "1",
            "fis_at": "<b>soon</b>",
        }
        page.request.post(f"{site.url}/swarm", form=asked)
        expect(page.locator("#trouble")).to_contain_text("'<b>soon</b>' is neither a time")
        expect(page.locator("#state")).to_contain_text("called off")
        assert page.locator("#trouble b").count() == 0
        assert sorted(site.folder.glob("runs/2*")) == before


def _nth_run(site: Site, number: int) -> str:
    give_up_at = time.monotonic() + 30
    while True:
        found = sorted(each.name for each in site.folder.glob("runs/2*"))
        if len(found) >= number:
            return found[number - 1]
        assert time.monotonic() < give_up_at, f"no run {number} was begun"
        time.sleep(0.1)
