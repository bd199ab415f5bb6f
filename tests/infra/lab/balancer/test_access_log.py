"""Envoy's log in an ALB's words."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lab.balancer.access_log import AccessLog, alb_line

# As Envoy 1.40 writes them.
ANSWERED: dict[str, Any] = {
    "authority": "127.0.0.1:8080",
    "client": "127.0.0.1:56518",
    "details": "via_upstream",
    "duration_ms": 1,
    "flags": "-",
    "method": "POST",
    "path": "/orders",
    "protocol": "HTTP/1.1",
    "received": 33,
    "sent": 2,
    "started": "1795447157.067006",
    "status": 201,
    "target": "127.9.10.4:8000",
    "to_dispatch_us": 656,
    "to_reply_us": 21149,
    "total_us": 21358,
    "trace_id": "Root=1-67891233-abcdef012345678912345678",
    "user_agent": "python/3.11",
}
REFUSED = ANSWERED | {
    "details": "upstream_reset_before_response_started{remote_connection_failure}",
    "flags": "UF",
    "status": 502,
    "to_dispatch_us": None,
    "to_reply_us": None,
}
GAVE_UP = REFUSED | {"flags": "DC", "status": 0, "total_us": None, "duration_ms": 5000}


def fields(entry: dict[str, Any]) -> list[str]:
    return shlex.split(alb_line(entry, target_group_arn="arn:tg"), posix=True)


def test_a_line_has_the_fields_of_an_alb_in_their_order() -> None:
    line = fields(ANSWERED)
    assert len(line) == 30
    assert line[0] == "http"
    assert line[1] == "2026-11-23T15:19:17.088364Z"  # when the answer was sent
    assert line[3:5] == ["127.0.0.1:56518", "127.9.10.4:8000"]
    assert line[5:8] == ["0.001", "0.020", "0.000"]
    assert line[8:12] == ["201", "201", "33", "2"]
    assert line[12] == "POST http://127.0.0.1:8080/orders HTTP/1.1"
    assert line[17] == "Root=1-67891233-abcdef012345678912345678"
    assert line[21] == "2026-11-23T15:19:17.067006Z"  # when the request came


def test_a_target_that_never_answered_has_no_times_and_no_status() -> None:
    line = fields(REFUSED)
    assert line[5:10] == ["-1", "-1", "-1", "502", "-"]


def test_a_client_that_gave_up_is_a_460() -> None:
    assert fields(GAVE_UP)[8] == "460"


@given(st.text())
def test_no_header_can_forge_a_line_or_a_field(text: str) -> None:
    line = alb_line(ANSWERED | {"user_agent": text, "path": text}, target_group_arn="arn:tg")
    assert line.isprintable()
    assert line.count('"') == alb_line(ANSWERED, target_group_arn="arn:tg").count('"')


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    source, destination = tmp_path / "envoy.jsonl", tmp_path / "access.log"
    log = AccessLog(source=source, destination=destination, target_group_arn="arn:tg")
    log.follow()
    text = json.dumps(ANSWERED) + "\n"
    source.write_text(text + text[:30], encoding="utf-8")
    log.follow()
    assert len(destination.read_text(encoding="utf-8").splitlines()) == 1
    source.write_text(text + text, encoding="utf-8")
    log.follow()
    assert len(destination.read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize("entry", [ANSWERED, REFUSED, GAVE_UP])
def test_every_line_ends_with_the_target_list(entry: dict[str, Any]) -> None:
    assert fields(entry)[25] == "127.9.10.4:8000"
