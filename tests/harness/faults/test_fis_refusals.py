"""FIS refuses in mid-run what it allowed before: one line, no experiment, and users go on."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from harness.faults.fis.fault import _is_final
from tests.harness.cloud import Cloud, access
from tests.harness.gate import Answer, Call, Gate, serve_gate
from tests.harness.load import Load, Locust
from tests.harness.shop_server import Shop, serve

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with serve() as running:
        yield running


@pytest.fixture
def gate(cloud: Cloud, load: Load) -> Iterator[Gate]:
    with serve_gate(cloud.url) as opened:
        load.environment.update(access(opened.url))
        yield opened


def start_is(status: int, code: str) -> Callable[[Call], Answer]:
    """Refuse StartExperiment, and nothing else."""

    def before(call: Call) -> Answer:
        is_start = call.method == "POST" and call.path == "/experiments"
        return (status, code) if is_start else None

    return before


def refused(locust: Locust) -> list[str]:
    if not (locust.run / "events.csv").exists():
        return []
    return [row["detail"] for row in locust.events() if row["event"] == "start_failed"]


@pytest.mark.parametrize(
    ("status", "code", "is_final"),
    [
        (403, "ExpiredTokenException", True),
        (403, "AccessDeniedException", True),
        (404, "ResourceNotFoundException", True),
        (402, "ServiceQuotaExceededException", True),
        (429, "ThrottlingException", False),
        (500, "InternalServerException", False),
        (503, "SomethingNew", False),
    ],
)
def test_any_refusal_is_final_but_that_of_who_has_too_much_to_do(
    status: int, code: str, is_final: bool
) -> None:
    answer: Any = {
        "Error": {"Code": code},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    assert _is_final(ClientError(answer, "StartExperiment")) is is_final
    assert not _is_final(EndpointConnectionError(endpoint_url="x"))  # it may have been heard


def test_a_final_refusal_is_one_line_and_the_load_goes_on(
    load: Load, shop: Shop, cloud: Cloud, gate: Gate
) -> None:
    code = "ServiceQuotaExceededException"
    gate.before = start_is(402, code)
    arguments = ("--target", "lab", "--fis-template", "hit-one@1s", "--poll-every", "0.3")
    locust = load.start(shop.url, *arguments, "-t", "60s")
    sent_before: list[int] = []

    def users_went_on() -> bool:
        if refused(locust) and not sent_before:
            sent_before.append(len(shop.attempt_ids()))
        return bool(sent_before) and len(shop.attempt_ids()) > sent_before[0] + 3

    locust.stop_when(users_went_on)
    (why,) = refused(locust)
    assert code in why
    assert "\n" not in why
    assert gate.count("POST", "/experiments") == 1
    assert cloud.client("fis").list_experiments()["experiments"] == []
    fault = locust.run_json()["fault"]
    assert (fault["started_at"], fault["state"]) == (None, "failed")
    assert code in fault["why_not"]
    (found,) = json.loads((locust.run / "summary.json").read_text())["faults"]
    assert (found["happened"], found["why_not"]) == (False, fault["why_not"])
