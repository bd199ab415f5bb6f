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
def test_the_small_part_is_copied_and_what_is_here_stays(there: str, uri: str) -> None:
    directory = fetch_small_evidence(uri)
    found = {each.name for each in directory.path.iterdir()}
    assert {"run.json", "products.csv"} <= found
    assert not found & {"attempts.csv", "orders.csv", "ledger"}
    directory.write_text("products.csv", "mine")
    assert fetch_small_evidence(uri).path == directory.path
    assert (directory.path / "products.csv").read_text() == "mine"


def test_what_is_no_run_is_one_line(there: str) -> None:
    with pytest.raises(UsageError, match=r"s3://runs/some holds no run\.json"):
        fetch_small_evidence("s3://runs/some")


def test_no_other_command_reads_a_run_in_s3(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["report", URI]) == 64
    assert command.main(["reconcile", URI]) == 64
    assert capsys.readouterr().err.count("copy it") == 2
