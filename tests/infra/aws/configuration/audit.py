"""checkov finds nothing in infra/aws but what is explained there.

`python -m tests.infra.aws.configuration.audit` looks.

A step of `make check`. checkov pins many packages at versions of its own, so it has an environment
of its own in build/, made when it is missing or older than requirements-audit.lock (20 s, once).
"""

import fcntl
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.infra.aws.configuration.provider_schema import CONFIGURATION

ROOT = CONFIGURATION.parents[1]
LOCK = ROOT / "requirements-audit.lock"
ENVIRONMENT = ROOT / "build" / "checkov"
SKIP = re.compile(r"#checkov:skip=(\w+):(.*)")
# Noticed, so that finding nothing else means something.
OPEN = """resource "aws_security_group" "x" {
  ingress {
    cidr_blocks = ["0.0.0.0/0"]
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
  }
}
"""
OPEN_FILE = "/open/main.tf"
NOTICED = "CKV_AWS_24"
LEAST_PASSED = 200


def main() -> None:
    """Say what is wrong, a line each, and end with 1 if anything is."""
    checkov = _installed()
    with tempfile.TemporaryDirectory(prefix="chaos-shop-audit-") as name:
        folder = Path(name)
        shutil.copytree(CONFIGURATION, folder / "aws", ignore=shutil.ignore_patterns(".terraform"))
        (folder / "open").mkdir()
        (folder / "open" / "main.tf").write_text(OPEN, encoding="utf-8")
        results = _audit(checkov, folder)
    wrong = [*_not_looked_at(results), *_failures(results), *_exceptions(results)]
    if wrong:
        sys.exit("\n".join(f"checkov: {each}" for each in wrong))
    passed, skipped = len(results["passed_checks"]), len(results["skipped_checks"])
    print(f"checkov: {passed} checks passed; {skipped} exceptions, explained and needed")


def _installed() -> Path:
    """Path of the program, which is installed first if need be."""
    ENVIRONMENT.mkdir(parents=True, exist_ok=True)
    installed = ENVIRONMENT / "installed.lock"
    with (ENVIRONMENT / "being-made").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != LOCK.read_bytes():
            print("checkov: installing it into build/checkov (once)", flush=True)
            subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
            # Most of what would be compiled is never imported.
            words = ["-m", "pip", "install", "--quiet", "--no-compile", "--require-hashes"]
            python = str(ENVIRONMENT / "bin" / "python")
            if subprocess.call([python, *words, "--requirement", str(LOCK)]) != 0:
                sys.exit(
                    f"checkov: pip could not install {LOCK.name} (its words are above). It needs a "
                    "package index once: with a network, or with PIP_INDEX_URL or PIP_FIND_LINKS "
                    "naming one that is in reach, run `make check` again"
                )
            installed.write_bytes(LOCK.read_bytes())
    return ENVIRONMENT / "bin" / "checkov"


def _audit(checkov: Path, folder: Path) -> dict[str, Any]:
    """Its results for a folder; nothing is fetched, and nothing is sent."""
    words = ["--framework", "terraform", "--compact", "--skip-download", "--output", "json"]
    done = subprocess.run(
        [checkov, "--directory", folder, *words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        sys.exit(f"checkov: it gave no results: {done.stderr.strip() or done.stdout.strip()}")
    if errors := found["summary"]["parsing_errors"]:
        sys.exit(f"checkov: {errors} files of infra/aws are not understood")
    results: dict[str, Any] = found["results"]
    return results


def _not_looked_at(results: dict[str, Any]) -> Iterator[str]:
    """Whether it looks at all."""
    failed = [(each["file_path"], each["check_id"]) for each in results["failed_checks"]]
    if (OPEN_FILE, NOTICED) not in failed:
        yield f"a port that is open to the world is not noticed ({NOTICED})"
    if len(results["passed_checks"]) <= LEAST_PASSED:
        yield f"only {len(results['passed_checks'])} checks passed"


def _failures(results: dict[str, Any]) -> Iterator[str]:
    for each in results["failed_checks"]:
        if each["file_path"] != OPEN_FILE:
            yield f"{each['file_path']}: {each['resource']}: {each['check_name']}"


def _exceptions(results: dict[str, Any]) -> Iterator[str]:
    """Those without a reason, and those from nothing."""
    needed = {
        (each["file_path"].removeprefix("/aws/"), each["check_id"])
        for each in results["skipped_checks"]
    }
    for path in sorted(CONFIGURATION.rglob("*.tf")):
        name = path.relative_to(CONFIGURATION).as_posix()
        for check, reason in SKIP.findall(path.read_text(encoding="utf-8")):
            if len(reason.split()) <= 2:
                yield f"{name}: {check} is not explained"
            if (name, check) not in needed:
                yield f"{name}: {check} is an exception to nothing"


if __name__ == "__main__":
    main()
