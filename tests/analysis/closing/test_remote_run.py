"""What is small of a run in S3, here moto's, is copied here once; its tables stay there."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from analysis import __main__ as command
from analysis.closing.remote_run import fetch_small_evidence
from analysis.evidence.errors import UsageError
from analysis.evidence.run_directory import RunDirectory
from tests.analysis.histories import acknowledged, evidence, row, store

URI = "s3://runs/some/run-1"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    yield "http://{}:{}".format(*moto.get_host_and_port())
    moto.stop()


@pytest.fixture
def there(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A run in S3; the working directory is empty."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "run-1").mkdir()
    order = acknowledged("a", 1)
    run = store(RunDirectory(tmp_path / "run-1"), evidence([order], [row(1, order)]))
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="runs")
    for each in run.path.rglob("*"):
        if each.is_file():
            key = f"some/run-1/{each.relative_to(run.path)}"
            s3.put_object(Bucket="runs", Key=key, Body=each.read_bytes())
    empty = tmp_path / "here"
    empty.mkdir()
    monkeypatch.chdir(empty)
    return URI


@pytest.mark.parametrize("uri", [URI, f"{URI}/", URI.replace("s3:", "s3a:")])
def test_the_small_part_is_copied_anew_each_time(there: str, uri: str) -> None:
    directory = fetch_small_evidence(uri)
    found = {each.name for each in directory.path.iterdir()}
    assert {"run.json", "products.csv"} <= found
    assert not found & {"attempts.csv", "orders.csv", "ledger"}
    original = (directory.path / "products.csv").read_text()
    directory.write_text("products.csv", "of yesterday")
    directory.write_text("events.csv", "of a file that is gone")
    assert fetch_small_evidence(uri).path == directory.path
    assert (directory.path / "products.csv").read_text() == original
    assert not directory.has("events.csv")


def test_a_run_that_is_here_under_that_name_is_left_alone(there: str) -> None:
    here = Path("runs/run-1")
    here.mkdir(parents=True)
    (here / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="runs/run-1 is there and no copy of"):
        fetch_small_evidence(there)
    (here / "lies_in.txt").write_text("s3://runs/another/run-1")
    with pytest.raises(UsageError, match="move it away"):
        fetch_small_evidence(there)
    assert (here / "run.json").read_text() == "{}"
    assert not (here / "products.csv").exists()


def test_what_is_no_run_is_one_line(there: str) -> None:
    for uri in ("s3://runs/some", "s3://runs/some/run-1/..", "s3://runs"):
        with pytest.raises(UsageError, match=r"holds no run\.json"):
            fetch_small_evidence(uri)


def test_no_other_command_reads_a_run_in_s3(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["report", URI]) == 64
    assert command.main(["reconcile", URI]) == 64
    assert capsys.readouterr().err.count("copy it") == 2
