"""Raising a lab, and what is said and left where that fails."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra import ROOT
from infra.lab.cloud.names import REGION
from infra.lab.errors import LabError
from infra.lab.supervision.lab_folder import InstanceState, LabFolder
from infra.lab.supervision.raising import PrivateLab, raise_kept, take_down

pytestmark = [pytest.mark.lab, pytest.mark.slow]

NOBODY: Any = {
    "region_name": REGION,
    "aws_access_key_id": "lab",
    "aws_secret_access_key": "lab",
}
FAST = {**os.environ, "LAB_PROFILE": "fast", "LAB_SHOP_WORKERS": "1"}
# As in many a company, and nothing that the lab says to itself may go there.
A_PROXY = dict.fromkeys(
    ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"), "http://127.0.0.1:9"
)


def silent(_: str) -> None:
    """No progress."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[LabFolder]:
    """Where root's PostgreSQL cannot come: only root may enter what pytest makes."""
    tmp_path.chmod(0o700)
    folder = LabFolder(tmp_path / "a lab")
    yield folder
    take_down(folder)


def raising(folder: LabFolder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.lab", "up", "--folder", str(folder.path)],
        cwd=ROOT,
        env={**FAST, **A_PROXY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(LabError, match="something else than a lab"):
        raise_kept(LabFolder(tmp_path), FAST, progress=silent)
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_of_two_who_raise_the_lab_at_once_one_does(folder: LabFolder) -> None:
    both = [raising(folder), raising(folder)]
    printed = [each.communicate(timeout=120)[0] for each in both]
    assert sorted(each.returncode for each in both) == [0, 1], printed
    assert any("raising the lab just now" in each or "already" in each for each in printed)
    state = folder.read()
    assert state is not None
    assert state.is_well


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_raising_that_is_interrupted_leaves_nothing_running(folder: LabFolder, number: int) -> None:
    process = raising(folder)
    deadline = time.monotonic() + 30
    while not folder.is_supervised():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert "interrupted" in printed
    assert not folder.is_supervised()


def test_a_taken_port_is_named_and_the_logs_are_kept() -> None:
    with socket.socket() as other:
        # As another lab's Envoy would: were ours to ask for the same, both would listen.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LabError, match=rf"127.0.0.1:{port}.*Address already in use") as error:
            PrivateLab({**FAST, "LAB_LOAD_BALANCER_PORT": str(port)}, progress=silent)
    kept = Path(str(error.value).split("(log: ")[1].split("/envoy.log)")[0])
    assert (kept / "supervisor.log").exists()
    shutil.rmtree(kept)


def shop_that(folder: Path, begins: str) -> dict[str, str]:
    """The shop as an application of ours, which does something before it serves."""
    (folder / "late_shop.py").write_text(f"{begins}\nfrom shop.wsgi import app\n")
    return {**FAST, "PYTHONPATH": str(folder), "LAB_SHOP_APP": "late_shop:app"}


def test_servers_that_are_slow_to_boot_are_waited_for_and_not_replaced(tmp_path: Path) -> None:
    """Failed checks would have each replaced long before it serves, if booting were no excuse."""
    slow = shop_that(tmp_path, "import time; time.sleep(5)")
    lab = PrivateLab(
        {
            **slow,
            "LAB_HEALTH_CHECK_GRACE_S": "0",
            "LAB_HEALTH_CHECK_INTERVAL_S": "0.5",
            "LAB_UNHEALTHY_LIMIT_S": "0",
        },
        progress=silent,
    )
    try:
        first, _ = lab.state.instances
        ec2 = boto3.client("ec2", endpoint_url=lab.state.aws_endpoint, **NOBODY)
        ec2.terminate_instances(InstanceIds=[first.instance_id])
        deadline = time.monotonic() + 120
        others: list[InstanceState] = []
        while [each.health for each in others].count("healthy") < 2:
            assert time.monotonic() < deadline, others
            time.sleep(0.1)
            state = lab.folder.read()
            assert state is not None
            others = [each for each in state.instances if each.instance_id != first.instance_id]
        assert len(others) == 2, others
    finally:
        lab.close()


def test_a_server_that_ends_while_it_starts_is_told_with_its_last_words(tmp_path: Path) -> None:
    ends = shop_that(tmp_path, "raise RuntimeError('no licence')")
    with pytest.raises(LabError, match=r"ended while it started: .* \(log: ") as error:
        PrivateLab({**ends, "LAB_MIN_SIZE": "1", "LAB_DESIRED_CAPACITY": "1"}, progress=silent)
    log = Path(str(error.value).split("(log: ")[1].split(")")[0])
    assert "no licence" in log.read_text(encoding="utf-8")
    shutil.rmtree(log.parent)
