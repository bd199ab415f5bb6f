"""The hook and the observer against moto's server, which keeps states but stops nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.fis.models import FISBackend
from moto.moto_api import state_manager

from tests.harness.cloud import Cloud, access, build
from tests.harness.load import Load, Locust
from tests.harness.shop_server import Shop, serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def built(shop: Shop) -> Iterator[Cloud]:
    with build(shop) as cloud:
        yield cloud


@pytest.fixture
def cloud(
    built: Cloud, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    built.starts.clear()
    real = FISBackend.start_experiment

    def start_experiment(self: FISBackend, **asked: Any) -> Any:
        stored = json.loads((tmp_path / "run0" / "run.json").read_text())["fault"]
        built.starts.append({**asked, "stored": stored})
        return real(self, **asked)

    monkeypatch.setattr(FISBackend, "start_experiment", start_experiment)
    load.environment.update(access(built.url))
    yield built
    state_manager.unset_transition("fis::experiment")


def test_fault_is_announced_fired_once_followed_and_its_victims_named(
    load: Load, shop: Shop, cloud: Cloud
) -> None:
    guards = ("--expect-account", "123456789012", "--min-healthy", "0")
    locust = load.start(shop.url, "-t", "50s", *_fault("hit-both", at="3%"), *guards)
    locust.stop_when(lambda: _names(locust, "fis").count("completed"))
    run = locust.run_json()
    fault = run["fault"]
    (start,) = cloud.starts
    assert start["client_token"] == start["stored"]["client_token"] == fault["client_token"]
    assert start["tags"]["ChaosRun"] == run["run_id"]
    assert locust.event_names("fis")[:1] == ["pending"]
    assert [name for name in locust.event_names("fis") if name != "target_resolved"] == [
        *("pending", "initiating", "running", "completed")
    ]
    assert fault["state"] == "completed"
    assert fault["action"] == "aws:ec2:stop-instances"
    assert set(fault["targets"]) == set(cloud.instances)
    assert run["started_at"] < fault["started_at"] < fault["ended_at"] < run["ended_at"]
    seen = {(row["source"], row["subject"], row["event"]) for row in locust.events()}
    assert {("elb", each, "healthy") for each in cloud.instances} <= seen
    assert {("ec2", each, "running") for each in cloud.instances} <= seen
    assert run["health_check"]["interval_s"] == 10
    (blast,) = (row["detail"] for row in locust.events() if row["event"] == "blast_radius")
    assert locust.event_names("harness").count("aws_identity") == 1
    assert "fis_refused" not in locust.event_names()
    assert blast.startswith("would stop 2 of i-")
    assert blast.endswith("healthy targets 2")


def test_run_that_ends_first_stops_its_experiment(load: Load, shop: Shop, cloud: Cloud) -> None:
    state_manager.set_transition("fis::experiment", {"progression": "manual", "times": 8})
    locust = load.start(shop.url, "-t", "60s", *_fault("hit-one", at="0.5s"))
    locust.stop_when(lambda: _names(locust, "fis"))
    assert "fis_stop_requested" in locust.event_names("harness")
    assert locust.event_names("fis")[-1] == "stopped"
    fault = locust.run_json()["fault"]
    # It was pending until then, so that nothing had begun.
    assert (fault["state"], fault["started_at"]) == ("stopped", None)


def test_fault_is_refused_when_too_few_are_healthy(load: Load, shop: Shop, cloud: Cloud) -> None:
    cloud.client("elbv2").deregister_targets(
        TargetGroupArn=cloud.target_group, Targets=[{"Id": cloud.instances[0]}]
    )
    locust = load.start(shop.url, "-t", "60s", *_fault("hit-one", at="1s"))
    locust.stop_when(lambda: "fis_refused" in _names(locust, "harness"))
    assert cloud.starts == []
    (why,) = (row["detail"] for row in locust.events() if row["event"] == "fis_refused")
    assert why.startswith("hit-one: only 1 healthy")
    (blast,) = (row["detail"] for row in locust.events() if row["event"] == "blast_radius")
    assert blast.startswith("would stop 1 of i-")
    assert locust.run_json()["fault"]["started_at"] is None
    cloud.client("elbv2").register_targets(
        TargetGroupArn=cloud.target_group, Targets=[{"Id": cloud.instances[0]}]
    )


def test_unknown_template_means_no_load_and_64(load: Load, shop: Shop, cloud: Cloud) -> None:
    locust = load.start(shop.url, *_fault("hit-nobody", at="1s"))
    assert locust.wait() == 64
    assert "there is no FIS template 'hit-nobody'; there are: hit-both, hit-one" in locust.errors
    assert not (locust.run / "locust_stats.csv").exists()


def test_silent_aws_does_not_disturb_the_users(load: Load, shop: Shop) -> None:
    load.environment.update(access("http://127.0.0.1:9"))
    locust = load.start(shop.url, "--target", "lab", "-t", "2s")
    locust.wait()
    assert locust.event_names("harness").count("observe_failed") == 1
    assert shop.attempt_ids()


def _names(locust: Locust, source: str) -> list[str]:
    return locust.event_names(source) if (locust.run / "events.csv").exists() else []


def _fault(template: str, *, at: str) -> tuple[str, ...]:
    return ("--target", "lab", "--fis-template", template, "--fis-at", at, "--poll-every", "0.3")
