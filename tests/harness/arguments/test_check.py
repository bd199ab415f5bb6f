"""A Locust command line is checked before anything is raised: `python -m locustfiles check`."""

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.harness.load import ROOT
from tests.harness.programs import output_of, run_module

EXPERIMENT = ("--config", "infra/experiments/stop-one-server.toml", "-H", "http://127.0.0.1:1")
NONSENSE = """
[tool.locust]
locustfile = "locustfiles"
[[hypothesis]]
id = "x"
measure = "happiness"
at_most = 0
"""

REFUSALS = """
import json, sys
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments
from harness.arguments.arguments import add_arguments
from harness.arguments.check import check_options
from harness.errors import BadArgument

found = []
for arguments in json.loads(sys.argv[1]):
    parser = get_empty_argument_parser(default_config_files=())
    setup_parser_arguments(parser)
    add_arguments(parser)
    common = ["-H", "http://127.0.0.1:1", "--web-port", "0", "--master-bind-port", "0"]
    try:
        check_options(parser.parse_args([*common, *arguments]))
        found.append("")
    except BadArgument as error:
        found.append(str(error))
print(json.dumps(found))
"""


def refusals(*command_lines: Sequence[str]) -> list[str]:
    """Why each of these is refused; empty for one that is not."""
    found: list[str] = json.loads(output_of(REFUSALS, json.dumps(command_lines)))
    return found


def test_experiment_of_ours_can_become_a_run_with_nothing_there_yet() -> None:
    command = [sys.executable, "-m", "locustfiles", "check", *EXPERIMENT, "--processes", "2"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--run-time", "2x"), "Invalid time span"),
        (("--databse-url=postgresql://u:geheim@h/d",), "did you mean --database-url?"),
        (("Shoper",), "no user class is called Shoper (in the locustfiles: Prober, Shopper)"),
        (("--config", "no-such.toml"), "no-such.toml"),
        (("--config", "NONSENSE"), "nonsense.toml: hypothesis x: there is no measure 'happiness'"),
    ],
)
def test_what_cannot_become_a_run_is_one_line_and_64(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    nonsense = tmp_path / "nonsense.toml"
    nonsense.write_text(NONSENSE)
    asked = (str(nonsense) if each == "NONSENSE" else each for each in arguments)
    code, _, errors = run_module("locustfiles", "check", *EXPERIMENT, *asked)
    assert code == 64
    assert len(errors.splitlines()) == 1
    assert says in errors
    assert "geheim" not in errors


def test_what_locust_would_end_with_a_code_of_another_meaning_is_refused() -> None:
    cases = {
        ("--headless", "-t", "20", "--fis-template", "x", "--fis-at", "30s"): "ends after 20 s",
        ("--users", "-3"): "--users -3",
        ("--headless", "-H", ""): "no host",
        ("-H", "127.0.0.1:8080"): "--host is no URL",
        ("--master", "--worker"): "--master cannot be combined with --worker",
        ("--master", "--processes", "2"): "--master cannot be combined with --processes",
        ("--processes", "-2"): "--processes -2",
        ("--autoquit", "3"): "add --autostart",
        ("--web-base-path", "shop"): "slash",
        ("--web-host", "no-such-host.invalid"): "--web-port 0 at no-such-host.invalid",
        ("--headless",): "",
        ("--worker", "-H", ""): "",  # its master's arguments count
    }
    for says, found in zip(cases.values(), refusals(*cases), strict=True):
        assert says in found
        assert bool(says) == bool(found)


def test_port_in_use_is_refused_and_a_free_one_is_not() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as here,
        socket.create_server(("0.0.0.0", 0)) as anywhere,
    ):
        ports = [str(each.getsockname()[1]) for each in (here, anywhere)]
        modes = (("--web-host", "127.0.0.1", "--web-port"), ("--headless", "--master-bind-port"))
        asked = [(*mode, port, "--master") for mode in modes for port in ports]
        for found, (*_, flag, port, _) in zip(refusals(*asked), asked, strict=True):
            assert f"{flag} {port}" in found
            assert "is in use" in found
    assert refusals(*asked) == [""] * len(asked)


def test_taken_run_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").touch()
    free, taken = (("--headless", "--run-dir", str(each)) for each in (tmp_path / "x", tmp_path))
    before, after = refusals(free, taken)
    assert before == ""
    assert "holds a run already" in after
    assert not (tmp_path / "x").exists()
