"""A real Chromium for tests: Debian's, driven by Playwright. Tests that use it bear `browser`.

    @pytest.fixture(scope="module")
    def browser() -> Iterator[Browser]:
        with chromium() as found:
            yield found

    def test_...(browser: Browser) -> None:
        with watched_page(browser, color_scheme="dark") as (page, seen):
            page.goto(...)
            assert accessibility_faults(page) == []
            assert seen.troubles == []

One at a time: Playwright's loop holds the thread while it is open, so keep it within a module.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = [
    "--no-sandbox",  # it refuses to start as root with one; it sees our own pages only
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_INSTALL_LIMIT_S = 240
_HOW = "install it by `apt-get install chromium`, or name one in CHROMIUM="


@dataclass(slots=True, kw_only=True)
class Seen:
    """What went wrong in a page, or ran in it that should not."""

    troubles: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Take note of dialogs, errors, failed requests and what the console complains of."""

        # No methods: Playwright puts marks of its own on the object of one.
        def on_dialog(dialog: Dialog) -> None:
            self.troubles.append(f"dialog: {dialog.message}")
            dialog.dismiss()

        def on_console(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                self.troubles.append(f"console: {message.text}")

        page.on("dialog", on_dialog)
        page.on("console", on_console)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("requestfailed", lambda each: self.troubles.append(f"not loaded: {each.url}"))


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a headless Chromium; installs Debian's where it can, and skips with the way out."""
    path = _path()
    if not path:
        pytest.skip(f"there is no Chromium, and it could not be installed here: {_HOW}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(browser: Browser, **options: Any) -> Iterator[tuple[Page, Seen]]:
    """Give a page of its own, with `options` of Browser.new_context, and what is seen in it."""
    context = browser.new_context(**options)
    page, seen = context.new_page(), Seen()
    seen.watch(page)
    try:
        yield page, seen
    finally:
        context.close()


def accessibility_faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, each with the elements it is about."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:5]]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]


@cache
def _path() -> str | None:
    return _found() or (_found() if _install() else None)


def _found() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


def _install() -> bool:
    """Install Debian's; only root can, and only where there is apt."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    install = ["apt-get", "install", "--yes", "--no-install-recommends", "chromium"]
    # Old lists of packages are tried first: reading new ones takes longer than the rest.
    return any(map(_is_done, (install, ["apt-get", "update"], install)))


def _is_done(command: list[str]) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=_INSTALL_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and command[1] == "install"
