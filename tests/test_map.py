"""docs/map.md leads to files that are there, and leaves out no package."""

import re

from tests.test_architecture import ROOT

MAP = ROOT / "docs" / "map.md"
LINKED = {(MAP.parent / each).resolve() for each in re.findall(r"\]\(([^)#]+)", MAP.read_text())}


def test_every_link_leads_somewhere() -> None:
    assert [each for each in LINKED if not each.exists()] == []
    assert len(LINKED) > 30


def test_every_package_of_the_harness_the_analysis_and_infra_is_on_it() -> None:
    packages = {
        init.parent
        for name in ("analysis", "harness", "infra")
        for init in (ROOT / name).rglob("__init__.py")
    }
    assert packages - LINKED == set()
