"""Ledgers that workers upload to S3, here moto's, and what a run makes of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from locustfiles._errors import EXIT_USAGE
from tests.locustfiles.load import ROOT, Load, Locust, wait_until
from tests.locustfiles.shop_server import Shop
from tests.locustfiles.test_workers import UNDECIDED, copies, originals, start_master
from tests.locustfiles.wire import free_port

pytestmark = pytest.mark.slow

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket of moto's."""

    client: Any
    environment: dict[str, str]

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket="evidence").get("Contents", ())
        return [each["Key"] for each in found]


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


def test_uploaded_ledgers_are_put_together_and_one_that_failed_is_incomplete(
    load: Load, shop: Shop, bucket: Bucket
) -> None:
    uri = ("--evidence-uri", "s3://evidence/some/place")
    master, port = start_master(load, shop, "-t", "2s", "-s", "1", *uri, workers=2)
    nowhere = f"http://127.0.0.1:{free_port()}"
    able, unable = load.start_worker(port), load.start_worker(port, AWS_ENDPOINT_URL=nowhere)
    assert master.wait() == UNDECIDED
    able.wait()
    unable.wait()
    assert copies(master) == originals(able)
    ((lost, _),) = originals(unable).items()
    assert master.run_json()["incomplete_ledgers"] == [lost]
    assert master.event_names().count("upload_failed") == 1
    assert f"upload failed: {lost}" in master.errors
    assert len(shop.attempt_ids()) > len(master.sent())  # the load went on all the same
    ((name, original),) = originals(able).items()
    folder = f"some/place/{master.run.name}/ledger/{name}"
    assert f"{folder}/{0:020d}.jsonl" in bucket.names()
    closed = bucket.client.get_object(Bucket="evidence", Key=f"{folder}/closed")
    assert int(closed["Body"].read()) == len(original)


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


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("https://evidence/x", "not of the form s3://bucket/prefix"),
        ("s3://no-such-bucket/x", "NoSuchBucket"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_line_before_any_load(
    load: Load, shop: Shop, bucket: Bucket, uri: str, why: str
) -> None:
    master, port = start_master(load, shop, "--evidence-uri", uri, workers=1)
    load.start_worker(port)
    assert master.wait() == EXIT_USAGE
    assert sum(why in line for line in master.errors.splitlines()) == 1
    assert not shop.arrivals
