"""checkov finds nothing in infra/aws that is not explained beside it.

It pins many packages at versions of its own, so it has an environment of its own in build/, made
when it is missing or older than requirements-audit.lock (20 s, once).
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infra.provider_schema import CONFIGURATION

ROOT = CONFIGURATION.parents[1]
LOCK = ROOT / "requirements-audit.lock"
ENVIRONMENT = ROOT / "build" / "checkov"
SKIP = re.compile(r"#checkov:skip=(\w+):(.*)")
OPEN = """resource "aws_security_group" "x" {
  ingress {
    cidr_blocks = ["0.0.0.0/0"]
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
  }
}
"""


@pytest.fixture(scope="module")
def checkov() -> Path:
    """Path of the program."""
    ENVIRONMENT.mkdir(parents=True, exist_ok=True)
    installed = ENVIRONMENT / "installed.lock"
    with (ENVIRONMENT / "being-made").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != LOCK.read_bytes():
            subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
            # Most of what would be compiled is never imported.
            words = ["-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes"]
            python = str(ENVIRONMENT / "bin" / "python")
            subprocess.run([python, *words, "--requirement", str(LOCK)], check=True)
            installed.write_bytes(LOCK.read_bytes())
    return ENVIRONMENT / "bin" / "checkov"


def audit(checkov: Path, folder: Path) -> dict[str, Any]:
    """Its results for a folder; nothing is fetched, and nothing is sent."""
    words = ["--framework", "terraform", "--compact", "--skip-download", "--output", "json"]
    done = subprocess.run(
        [checkov, "--directory", folder, *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    results: dict[str, Any] = found["results"]
    return results


def test_nothing_fails_and_each_exception_is_explained_and_needed(
    checkov: Path, tmp_path: Path
) -> None:
    shutil.copytree(CONFIGURATION, tmp_path / "aws", ignore=shutil.ignore_patterns(".terraform"))
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "main.tf").write_text(OPEN)
    results = audit(checkov, tmp_path)
    # What is open is noticed, so that finding nothing else means something.
    noticed = [each for each in results["failed_checks"] if each["file_path"] == "/open/main.tf"]
    assert "CKV_AWS_24" in {each["check_id"] for each in noticed}
    results["failed_checks"] = [x for x in results["failed_checks"] if x not in noticed]
    assert [f"{each['resource']}: {each['check_name']}" for each in results["failed_checks"]] == []
    assert len(results["passed_checks"]) > 200
    needed = {
        (each["file_path"].removeprefix("/aws/"), each["check_id"])
        for each in results["skipped_checks"]
    }
    for path in CONFIGURATION.rglob("*.tf"):
        for check, reason in SKIP.findall(path.read_text(encoding="utf-8")):
            assert len(reason.split()) > 2, f"{path.name}: {check} is not explained"
            name = path.relative_to(CONFIGURATION).as_posix()
            assert (name, check) in needed, f"{name}: {check} is an exception to nothing"
