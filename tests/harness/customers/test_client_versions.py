"""The client library that sent one POST up to twelve times is kept out."""

import re
import tomllib
from importlib.metadata import version

from tests.harness.load import ROOT

SENDS_ONCE_SINCE = (2, 6, 0)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def test_geventhttpclient_is_asked_for_in_a_version_that_sends_a_post_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = (each for each in project["dependencies"] if each.startswith("geventhttpclient"))
    name, _, floor = wanted.partition(">=")
    assert name == "geventhttpclient"
    assert _numbers(floor) >= SENDS_ONCE_SINCE
    assert _numbers(version("geventhttpclient")) >= SENDS_ONCE_SINCE


def test_locks_keep_to_it() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / name).read_text().splitlines()
        (locked,) = (each for each in lines if each.startswith("geventhttpclient=="))
        assert _numbers(locked) >= SENDS_ONCE_SINCE
