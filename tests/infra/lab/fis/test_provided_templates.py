"""The experiments that come with the lab, and the templates that they name."""

import tomllib
from pathlib import Path

import pytest

from infra.lab.fis.action import load_actions
from infra.lab.fis.templates.provided import templates
from infra.lab.settings import settings_from
from infra.launch.request import EXPERIMENTS, Launch

FILES = sorted(EXPERIMENTS.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_experiment_names_itself_and_a_template_that_there_is(path: Path) -> None:
    content = tomllib.loads(path.read_text("utf-8"))
    wanted = content["tool"]["locust"]
    assert wanted["experiment"] == path.stem
    assert wanted["fis-template"] in templates(fault_s=1)
    assert content["hypothesis"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_an_experiment_wants_of_its_lab_are_settings_of_the_lab(path: Path) -> None:
    launch = Launch.from_environment({"EXPERIMENT": path.stem}, is_web=False)
    before = settings_from({})
    assert (settings_from(launch.lab) != before) == bool(launch.lab)


def test_the_environment_overrules_what_an_experiment_wants() -> None:
    launch = Launch.from_environment({"EXPERIMENT": "stop-during-flash-sale"}, is_web=False)
    assert settings_from({**launch.lab, "LAB_STOCK": "7"}).stock == 7


@pytest.mark.parametrize("fault_s", [0.2, 4.0, 20.0])
def test_templates_name_actions_that_there_are_with_all_their_parameters(fault_s: float) -> None:
    kinds = load_actions()
    for template in templates(fault_s=fault_s).values():
        for action in template["actions"].values():
            kind = kinds[action["actionId"]]
            given = action.get("parameters", {})
            assert set(kind.required) <= set(given) <= {*kind.required, *kind.optional}
            assert set(action.get("targets", {})) == set(kind.targets)
