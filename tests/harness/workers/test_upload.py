"""Ledgers that workers upload to S3, here moto's, and what a run makes of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import gevent
import pytest
from moto.server import ThreadedMotoServer

from analysis.closing.gathering import gather_ledgers
from analysis.evidence.errors import EvidenceError
from analysis.evidence.ledger.line_records import LedgerClosed
from analysis.evidence.run_directory import RunDirectory
from harness.errors import EXIT_USAGE, BadArgument
from harness.workers import upload as _upload_module
from harness.workers.upload import EvidenceStore, LedgerUpload
from tests.harness.load import ROOT, Load, Locust, wait_until
from tests.harness.shop_server import Shop
from tests.harness.workers.test_workers import UNDECIDED, copies, originals, start_master

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",  # no credentials there: do not look for them
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket of moto's."""

    client: Any
    environment: dict[str, str]

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket="evidence").get("Contents", ())
        return [each["Key"] for each in found]

    def put(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket="evidence", Key=key, Body=content)

    def read(self, key: str) -> bytes:
        content = self.client.get_object(Bucket="evidence", Key=key)["Body"].read()
        assert isinstance(content, bytes)
        return content


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def bucket(server: str, load: Load) -> Iterator[Bucket]:
    client = boto3.client(
        "s3",
        endpoint_url=server,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="evidence")
    load.environment |= {**CREDENTIALS, "AWS_ENDPOINT_URL": server}
    load.environment["CHAOS_STREAM_LEDGER"] = "always"
    made = Bucket(client=client, environment=dict(load.environment))
    yield made
    for key in made.names():
        client.delete_object(Bucket="evidence", Key=key)
    client.delete_bucket(Bucket="evidence")


def _finish(locust: Locust, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "analysis", "finish", str(locust.run)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_uploaded_ledgers_are_put_together_when_the_run_ends(
    load: Load, shop: Shop, bucket: Bucket
) -> None:
    uri = ("--evidence-uri", "s3://evidence/some/place")
    master, port = start_master(load, shop, "-t", "2s", *uri, workers=1)
    worker = load.start_worker(port)
    assert master.wait() == UNDECIDED
    worker.wait()
    ((name, original),) = originals(worker).items()
    assert copies(master) == {name: original}
    assert master.run_json()["incomplete_ledgers"] == []
    assert "ledger_uploaded" in master.event_names()
    folder = f"some/place/{master.run.name}/ledger/{name}"
    assert bucket.names() == [f"{folder}/{0:020d}.jsonl", f"{folder}/closed"]
    assert int(bucket.read(f"{folder}/closed")) == len(original)


@pytest.mark.slow
def test_finish_puts_them_together_after_a_kill_9_of_the_master(
    load: Load, shop: Shop, bucket: Bucket
) -> None:
    uri = ("--evidence-uri", "s3://evidence")
    master, port = start_master(load, shop, "-t", "60s", *uri, workers=1)
    worker = load.start_worker(port)
    wait_until(lambda: len(bucket.names()) > 1)  # at its start, and some seconds later
    master.kill_all()
    ((name, _),) = originals(worker).items()
    assert master.run_json()["incomplete_ledgers"] == [name]
    unreadable = _finish(master, {**bucket.environment, "AWS_ACCESS_KEY_ID": ""})
    assert unreadable.returncode == EXIT_USAGE
    assert unreadable.stderr.count("\n") == 1
    assert "run `finish` again" in unreadable.stderr
    worker.tell(signal.SIGTERM)
    worker.wait()
    done = _finish(master, bucket.environment)
    assert done.returncode == UNDECIDED, done.stderr
    assert copies(master) == originals(worker)
    assert master.run_json()["incomplete_ledgers"] == []
    assert set(master.sent()) == set(shop.attempt_ids())


# --- the parts ---


@pytest.fixture
def at_moto(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Let this process find the bucket too."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    return bucket


class Master:
    """What a worker tells its master."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def tell(self, **message: Any) -> bool:
        self.told.append(message)
        return True

    def states(self) -> list[str]:
        return [each["state"] for each in self.told]


@pytest.mark.parametrize(
    ("uri", "why"),
    [("s3://no-such-bucket/x", "NoSuchBucket"), ("s3://evidence", "holds a run's ledgers already")],
)
def test_a_place_that_cannot_be_used_is_said_before_any_load(
    at_moto: Bucket, uri: str, why: str
) -> None:
    at_moto.put("run-1/ledger/p/0.jsonl", b"older")
    with pytest.raises(BadArgument, match=why):
        EvidenceStore.connect(uri).check("run-1")
    EvidenceStore.connect("s3://evidence").check("run-2")


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    run = RunDirectory.create(root=tmp_path, experiment="test", at=1)
    run.update_run(nonce="abcdef99", settings={"evidence_uri": "s3://evidence/x"}, ended_at="now")
    return run


def _upload(path: Path, master: Master, run_id: str, name: str) -> LedgerUpload:
    store = EvidenceStore.connect("s3://evidence/x")
    folder = f"{store.folder(run_id)}{name}/"
    return LedgerUpload(path, store, folder=folder, tell=master.tell)


def test_a_ledger_is_uploaded_in_pieces_as_it_grows_and_put_together(
    at_moto: Bucket, directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_upload_module, "SEGMENT", 1000)
    monkeypatch.setattr(_upload_module, "_LOOK_EVERY_S", 0.01)
    master, path = Master(), tmp_path / "ledger"
    path.write_bytes(b"x" * 3500 + b"\n")
    upload = _upload(path, master, directory.run_id, "p-abcdef")
    upload.start()
    while len(at_moto.names()) < 4:
        gevent.sleep(0.01)
    with path.open("ab") as file:
        file.write(LedgerClosed(at=1).to_line())
    upload.finish()
    assert upload.wait(limit_s=60)
    assert master.told[-1] == {"state": "closed", "size": path.stat().st_size}
    directory.update_run(incomplete_ledgers=["p-abcdef", "never-heard-of"])
    gather_ledgers(directory, limit_s=0)
    assert directory.ledger_file("p-abcdef").read_bytes() == path.read_bytes()
    assert directory.read_run()["incomplete_ledgers"] == ["never-heard-of"]


def test_an_upload_that_fails_is_said_once_and_goes_on_later(
    at_moto: Bucket, directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_upload_module, "_EVERY_S", 0.05)
    monkeypatch.setattr(_upload_module, "_LOOK_EVERY_S", 0.01)
    master, path = Master(), tmp_path / "ledger"
    path.write_bytes(LedgerClosed(at=1).to_line())
    upload = _upload(path, master, directory.run_id, "p-abcdef")
    at_moto.client.delete_bucket(Bucket="evidence")
    upload.start()
    with gevent.Timeout(60):
        while "trouble" not in master.states():
            gevent.sleep(0.01)
    gevent.sleep(0.3)  # other tries fail meanwhile
    assert master.states() == ["open", "trouble"]
    assert "NoSuchBucket" in master.told[-1]["why"]
    at_moto.client.create_bucket(Bucket="evidence")
    upload.finish()
    assert upload.wait(limit_s=60)
    assert master.states() == ["open", "trouble", "uploaded", "closed"]


def test_a_ledger_with_a_gap_is_taken_up_to_it_and_called_incomplete(
    at_moto: Bucket, directory: RunDirectory
) -> None:
    folder = f"x/{directory.run_id}/ledger/p-abcdef"
    for start, content in {0: b"one\n", 4: b"two\n", 12: LedgerClosed(at=1).to_line()}.items():
        at_moto.put(f"{folder}/{start:020d}.jsonl", content)
    at_moto.put(f"{folder}/closed", b"30")
    directory.update_run(incomplete_ledgers=[])
    gather_ledgers(directory, limit_s=0)
    assert directory.ledger_file("p-abcdef").read_bytes() == b"one\ntwo\n"
    assert directory.read_run()["incomplete_ledgers"] == ["p-abcdef"]


def test_ledgers_of_another_run_in_the_same_place_are_left_alone(
    at_moto: Bucket, directory: RunDirectory
) -> None:
    at_moto.put(f"x/{directory.run_id}/ledger/p-123456/{0:020d}.jsonl", b"theirs\n")
    directory.update_run(incomplete_ledgers=[])
    gather_ledgers(directory, limit_s=0)
    assert directory.ledger_files() == []
    assert directory.read_run()["incomplete_ledgers"] == []


def test_a_place_that_cannot_be_read_leaves_the_run_unjudged(
    at_moto: Bucket, directory: RunDirectory
) -> None:
    directory.update_run(incomplete_ledgers=["p"], settings={"evidence_uri": "s3://elsewhere"})
    with pytest.raises(EvidenceError, match=r"NoSuchBucket.*run `finish` again"):
        gather_ledgers(directory, limit_s=0)
