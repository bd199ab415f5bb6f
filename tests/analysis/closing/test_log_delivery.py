"""An ALB's access log is fetched from S3, here moto's: the run's time of it and no more."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from analysis import __main__ as command
from analysis.closing.log_delivery import fetch_access_log, is_of_time
from analysis.evidence.errors import EvidenceError, UsageError
from analysis.evidence.records import format_time
from analysis.evidence.run_directory import RunDirectory
from analysis.verdict.judge_run import load_evidence
from infra.lab.balancer.access_log import alb_line
from tests.analysis.histories import NOON, SECOND, evidence, indeterminate, store
from tests.infra.lab.balancer.test_access_log import REFUSED

MINUTE = 60 * SECOND
LONG_AFTER = NOON + 24 * 60 * MINUTE
TRACE = "Root=1-67891233-abcdef012345678912345678"
LINE = gzip.compress((alb_line(REFUSED, target_group_arn="arn:tg") + "\n").encode())
# As in AWS' documentation.
FOLDER = "AWSLogs/123456789012/elasticloadbalancing/us-east-2"


def name_of(until: int, *, kind: str = "app", node: str = "172.160.1.192_20sg8hgm") -> str:
    moment = format_time(until)[:16].replace("-", "").replace(":", "")
    return (
        f"123456789012_elasticloadbalancing_us-east-2_{kind}.my-lb.1234567890abcdef_"
        f"{moment}Z_{node}.log.gz"
    )


def test_only_files_of_the_runs_own_balancer_are_fetched(
    directory: RunDirectory, logs: "Logs"
) -> None:
    ours = logs.on_day(NOON)
    logs.deliver(ours.replace("my-lb", "internal"), folder=f"{FOLDER}/{day_of(NOON)}/")
    directory.update_run(load_balancers=["app/my-lb/1234567890abcdef"])
    assert fetch_access_log(directory, "s3://logs", now=LONG_AFTER).files == 1
    assert fetched(directory) == {ours}
    directory.update_run(load_balancers=["app/other/1234567890abcdef"])
    with pytest.raises(EvidenceError, match="no ALB access log of app/other/1234567890abcdef"):
        fetch_access_log(directory, "s3://logs", now=LONG_AFTER)


def day_of(at: int) -> str:
    return format_time(at)[:10].replace("-", "/")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


class Logs:
    """The bucket that an ALB delivers to."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def deliver(self, name: str, *, folder: str = "", content: bytes = LINE) -> str:
        self.client.put_object(Bucket="logs", Key=f"{folder}{name}", Body=content)
        return name

    def on_day(self, until: int, *, prefix: str = "", delivered: int | None = None) -> str:
        day = day_of(until if delivered is None else delivered)
        return self.deliver(name_of(until), folder=f"{prefix}{FOLDER}/{day}/")


@pytest.fixture
def logs(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-2",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": server,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(
        Bucket="logs", CreateBucketConfiguration={"LocationConstraint": "us-east-2"}
    )
    yield Logs(client)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="logs"):
        for each in page.get("Contents", ()):
            client.delete_object(Bucket="logs", Key=each["Key"])
    client.delete_bucket(Bucket="logs")


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run from noon to a minute past, one of whose orders is in doubt."""
    return store(RunDirectory(tmp_path), evidence([indeterminate("a", trace_id=TRACE)], []))


def fetched(directory: RunDirectory) -> set[str]:
    return {each.name for each in (directory.path / "elb_access").glob("*")}


@pytest.mark.parametrize(
    ("minutes", "is_fetched"),
    [
        *((-5, False), (-2, False), (-1, True), (0, True), (5, True)),
        *((10, True), (11, True), (12, False), (60, False)),
    ],
)
def test_a_file_is_of_the_runs_time_if_its_five_minutes_may_have_lines_of_the_run(
    minutes: int, is_fetched: bool
) -> None:
    # A minute for clocks that differ, five for requests that end after their client has gone.
    name = name_of(NOON + minutes * MINUTE)
    assert is_of_time(name, began=NOON, ended=NOON + MINUTE) is is_fetched


@pytest.mark.parametrize(
    "name",
    [
        "conn_log." + name_of(NOON),
        "health_check_log." + name_of(NOON),
        name_of(NOON, kind="net"),
        name_of(NOON).replace("T", "T99"),
        name_of(NOON, node="../../x"),
        "ELBAccessLogTestFile",
        "",
    ],
)
def test_nothing_but_an_albs_access_log_is_fetched(name: str) -> None:
    assert not is_of_time(name, began=NOON, ended=NOON + MINUTE)


@pytest.mark.parametrize("prefix", ["", "prod/shop/"], ids=["no prefix", "prefix"])
def test_what_is_of_the_runs_time_is_fetched_and_tells_what_the_load_balancer_saw(
    logs: Logs, directory: RunDirectory, prefix: str
) -> None:
    ours = logs.on_day(NOON + 5 * MINUTE, prefix=prefix)
    logs.on_day(NOON - 60 * MINUTE, prefix=prefix)
    logs.on_day(NOON + 5 * MINUTE, prefix="another/")
    found = fetch_access_log(directory, f"s3://logs/{prefix}", now=LONG_AFTER)
    assert fetched(directory) == {ours}
    assert (found.files, found.bytes, found.may_be_more) == (1, len(LINE), False)
    balancer = load_evidence(directory).balancer
    assert balancer is not None
    line = balancer.of_trace(TRACE)
    assert line is not None
    assert line.status == 502


def test_a_file_that_was_delivered_after_midnight_is_found_on_the_next_day(
    logs: Logs, directory: RunDirectory
) -> None:
    ours = logs.on_day(NOON + 5 * MINUTE, delivered=LONG_AFTER)
    fetch_access_log(directory, "s3://logs", now=LONG_AFTER)
    assert fetched(directory) == {ours}


def test_more_files_than_one_answer_lists_are_all_fetched(
    logs: Logs, directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = boto3.Session.client

    def client_of_small_pages(self: boto3.Session, *arguments: Any, **settings: Any) -> Any:
        client = real(self, *arguments, **settings)
        client.meta.events.register(
            "provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": 2}
        )
        return client

    monkeypatch.setattr(boto3.Session, "client", client_of_small_pages)
    for number in range(7):
        logs.deliver(
            name_of(NOON + 5 * MINUTE, node=f"10.0.0.{number}_x"),
            folder=f"{FOLDER}/{day_of(NOON)}/",
        )
    assert fetch_access_log(directory, "s3://logs", now=LONG_AFTER).files == 7
    assert len(fetched(directory)) == 7


def test_files_that_were_copied_out_of_their_folders_are_found_by_their_names(
    logs: Logs, directory: RunDirectory
) -> None:
    ours = logs.deliver(name_of(NOON + 5 * MINUTE), folder="copied/")
    logs.deliver("ELBAccessLogTestFile", folder="copied/")
    fetch_access_log(directory, "s3://logs/copied", now=LONG_AFTER)
    assert fetched(directory) == {ours}


def test_what_is_here_is_not_fetched_again_and_what_has_come_since_is(
    logs: Logs, directory: RunDirectory
) -> None:
    first = logs.on_day(NOON + 5 * MINUTE)
    assert fetch_access_log(directory, "s3://logs", now=NOON + 5 * MINUTE).may_be_more
    kept = (directory.path / "elb_access" / first).stat()
    second = logs.on_day(NOON + 10 * MINUTE)
    assert fetch_access_log(directory, "s3://logs", now=LONG_AFTER).files == 2
    assert fetched(directory) == {first, second}
    assert (directory.path / "elb_access" / first).stat().st_ino == kept.st_ino


def test_a_place_without_a_log_of_that_time_says_so(
    logs: Logs, directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.on_day(NOON - 60 * MINUTE)
    with pytest.raises(EvidenceError, match=r"no ALB access log of the run's time.*right place"):
        fetch_access_log(directory, "s3://logs", now=LONG_AFTER)
    with pytest.raises(EvidenceError, match="try again in some minutes"):
        fetch_access_log(directory, "s3://logs", now=NOON + 5 * MINUTE)
    assert fetched(directory) == set()
    assert command.main(["fetch-access-log", str(directory.path), "s3://logs"]) == 64
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_says_what_it_has_fetched(
    logs: Logs, directory: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.on_day(NOON + 5 * MINUTE)
    assert command.main(["fetch-access-log", str(directory.path), "s3://logs"]) == 0
    assert f"time: 1 ({len(LINE)} bytes)" in capsys.readouterr().out


def test_a_place_that_cannot_be_read_is_one_line_that_says_why(
    logs: Logs, directory: RunDirectory
) -> None:
    with pytest.raises(EvidenceError, match=r"NoSuchBucket.*fetch them again"):
        fetch_access_log(directory, "s3://nowhere/x", now=LONG_AFTER)
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        fetch_access_log(directory, "https://logs", now=LONG_AFTER)


def test_a_run_that_is_not_over_is_finished_first(directory: RunDirectory) -> None:
    directory.update_run(ended_at=None)
    with pytest.raises(EvidenceError, match="analysis finish"):
        fetch_access_log(directory, "s3://logs", now=LONG_AFTER)
