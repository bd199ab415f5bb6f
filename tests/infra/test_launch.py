"""What `make chaos-load` makes of its variables."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.lab.errors import BadSetting
from infra.launch import ROOT, Launch


def launch(**variables: str) -> Launch:
    return Launch.from_environment(variables, is_web=False)


def test_nothing_given_is_the_default_experiment_in_the_lab() -> None:
    command = launch().command("http://127.0.0.1:1")
    assert command[command.index("--config") + 1].endswith("/stop-one-server.toml")
    assert command[command.index("--target") + 1] == "lab"
    assert "--processes" not in command
    assert "--headful" not in command


def test_an_empty_variable_is_as_none() -> None:
    # make exports all of them, set or not.
    empty = dict.fromkeys(("EXPERIMENT", "TARGET", "USERS", "WORKERS", "HOST", "LOCUST_ARGS"), "")
    assert launch(**empty) == launch()


def test_variables_become_locusts_arguments_and_one_may_add_to_them() -> None:
    command = launch(
        USERS="7", RUN_TIME="20s", WORKERS="2", LOCUST_ARGS="--fis-at '40%' --loglevel DEBUG"
    ).command("http://127.0.0.1:1")
    words = " ".join(command)
    assert "--users 7 --run-time 20s --fis-at 40% --loglevel DEBUG" in words
    assert words.endswith("--processes 2")


def test_the_web_ui_listens_on_loopback() -> None:
    command = Launch.from_environment({}, is_web=True).command("http://127.0.0.1:1")
    assert command[-3:] == ["--headful", "--web-host", "127.0.0.1"]


def test_a_shop_of_somebody_else_is_not_broken_unless_asked_for() -> None:
    asked = {"TARGET": "external", "HOST": "http://127.0.0.1:1"}
    assert "--fis-template=" in launch(**asked).command("http://127.0.0.1:1")
    named = launch(**asked, LOCUST_ARGS="--fis-template=EXT1").command("http://127.0.0.1:1")
    assert named.index("--fis-template=EXT1") > named.index("--fis-template=")


def test_no_secret_is_on_the_command_line() -> None:
    command = launch(
        TARGET="external", HOST="http://127.0.0.1:1", DATABASE_URL="postgresql://u:secret@h/d"
    ).command("http://127.0.0.1:1")
    assert "secret" not in " ".join(command)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"EXPERIMENT": "no-such"}, "EXPERIMENT=no-such: .*known: .*stop-one-server"),
        ({"EXPERIMENT": "../lab/x"}, "EXPERIMENT=../lab/x"),
        ({"TARGET": "moon"}, "TARGET=moon: choose one of lab, aws, external"),
        ({"TARGET": "external"}, "TARGET=external needs HOST="),
        ({"HOST": "http://127.0.0.1:1"}, "HOST is for TARGET=aws or external"),
        ({"WORKERS": "0"}, "WORKERS=0"),
        ({"WORKERS": "two"}, "WORKERS=two"),
        ({"LOCUST_ARGS": "--fis-at 'x"}, "LOCUST_ARGS: No closing quotation"),
    ],
)
def test_a_wrong_variable_is_named_with_what_it_may_be(
    variables: dict[str, str], says: str
) -> None:
    with pytest.raises(BadSetting, match=says):
        launch(**variables)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_an_experiment_in_another_encoding_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr("infra.launch.EXPERIMENTS", tmp_path)
    statement = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    (tmp_path / "mine.toml").write_text(f'[tool.locust]\ntags = "{statement}"\n', encoding=encoding)
    with pytest.raises(BadSetting, match=r"mine\.toml: .*; save it as TOML in UTF-8"):
        launch(EXPERIMENT="mine")


LOCUST = """
import signal, sys, time
from pathlib import Path

def end(*_):
    time.sleep(1)
    (Path(sys.argv[1]) / "closed").touch()
    sys.exit()

signal.signal(signal.SIGTERM, end)
(Path(sys.argv[1]) / "begun").touch()
time.sleep(60)
"""
LAUNCHER = """
import sys
from infra.launch import Launch, LocustRun
run = LocustRun(Launch.from_environment({}, is_web=False), "", {})
run._command = [sys.executable, "-c", *sys.argv[1:]]
run.run()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_locust_ends_in_good_order_however_its_launcher_ends(tmp_path: Path, number: int) -> None:
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, LOCUST, str(tmp_path)], cwd=ROOT)
    try:
        wait_for(tmp_path / "begun")
        launcher.send_signal(number)
        wait_for(tmp_path / "closed")
    finally:
        launcher.kill()
        launcher.wait()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not come about"
        time.sleep(0.02)
