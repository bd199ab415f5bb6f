"""The load balancer's access log, as an ALB writes it and as the lab does."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.closing.gathering import gather_access_log
from analysis.evidence.errors import EvidenceError
from analysis.evidence.records import parse_time
from analysis.evidence.run_directory import RunDirectory
from analysis.evidence.tables import EVENTS
from analysis.judging.access_log import BalancerLog, parse_access_log_line, trace_root
from analysis.measures.windows import find_exposure
from analysis.verdict.judge_run import load_evidence
from infra.lab.balancer.access_log import alb_line
from tests.analysis.histories import (
    NOON,
    SECOND,
    acknowledged,
    evidence,
    indeterminate,
    row,
    run,
    store,
)
from tests.analysis.measures.test_windows import FAULT
from tests.infra.lab.balancer.test_access_log import ANSWERED, GAVE_UP, REFUSED

# The example in AWS' documentation of an HTTPS listener, with a longer list at its end.
DOCUMENTED = (
    "https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 "
    "192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 201 0 57 "
    '"GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 '
    "TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc "
    '"Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:12:x" 1 '
    '2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-" '
    "TID_123456"
)


def test_a_line_of_the_documentation_is_read() -> None:
    line = parse_access_log_line(DOCUMENTED)
    assert line.trace_root == "1-58337281-1d84f3d73c47ec4e58577259"
    assert line.received_at == parse_time("2018-07-02T22:22:48.364000Z")
    assert line.dispatched_at == line.received_at + 86_000
    assert line.ended_at == parse_time("2018-07-02T22:23:00.186641Z")
    assert (line.target, line.status, line.target_status) == ("10.0.0.1:80", 200, 201)


def test_minus_one_is_no_proof_that_nothing_was_dispatched() -> None:
    refused = parse_access_log_line(alb_line(REFUSED, target_group_arn="arn:tg"))
    gave_up = parse_access_log_line(alb_line(GAVE_UP, target_group_arn="arn:tg"))
    assert (refused.dispatched_at, refused.status, refused.target_status) == (None, 502, None)
    assert (gave_up.dispatched_at, gave_up.status) == (None, 460)


@pytest.mark.parametrize(
    "trace_id",
    ["Root=1-a-b", "Self=1-c-d;Root=1-a-b", "Root=1-a-b;Parent=x;Sampled=0", "x;Root=1-a-b;y"],
)
def test_a_trace_is_known_by_its_root_whatever_was_added(trace_id: str) -> None:
    assert trace_root(trace_id) == "1-a-b"


def test_only_what_is_wanted_is_kept_and_what_cannot_be_read_is_counted() -> None:
    cut = DOCUMENTED[: DOCUMENTED.index('"www')]
    other = DOCUMENTED.replace("58337281", "00000000")
    wanted = {"1-58337281-1d84f3d73c47ec4e58577259"}
    log = BalancerLog.of([other, "", "\n", cut, "rubbish", DOCUMENTED], wanted=wanted)
    assert set(log.lines) == wanted
    assert log.unreadable == 2


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


@given(st.text())
def test_no_text_does_worse_than_being_unreadable(text: str) -> None:
    assert BalancerLog.of([text], wanted={"1-a-b"}).lines == {}


BEFORE = {"sent_at": NOON - 9 * SECOND, "ended_at": NOON - 8 * SECOND}
TRACE = "Root=1-67891233-abcdef012345678912345678"


@pytest.mark.parametrize("place", ["elb_access.log", "elb_access/2026/11/x.log.gz"])
def test_the_log_is_found_in_the_run_plain_or_compressed(
    directory: RunDirectory, place: str
) -> None:
    store(directory, evidence([indeterminate("a", trace_id=TRACE)], []))
    path = directory.path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (alb_line(REFUSED, target_group_arn="arn:tg") + "\n").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    balancer = load_evidence(directory).balancer
    assert balancer is not None
    line = balancer.of_trace(TRACE)
    assert line is not None
    assert line.status == 502


def test_a_log_that_is_damaged_is_a_note_and_no_crash(directory: RunDirectory) -> None:
    store(directory, evidence([indeterminate("a", trace_id=TRACE)], []))
    cut = gzip.compress((alb_line(REFUSED, target_group_arn="arn:tg") + "\n").encode())[:-9]
    (directory.path / "elb_access.log.gz").write_bytes(cut)
    loaded = load_evidence(directory)
    assert loaded.balancer is None
    assert any("elb_access.log.gz cannot be read" in note for note in loaded.notes)
    with pytest.raises(EvidenceError):
        list(directory.access_log.lines())


def test_the_log_tells_which_orders_in_flight_were_on_the_victim() -> None:
    on_it, beside, nowhere = (
        indeterminate(name, sent_at=NOON, ended_at=NOON + 9 * SECOND, trace_id=f"Root=1-0-{name}")
        for name in ("a", "b", "c")
    )
    told_of = [
        acknowledged("x", 1, served_by="i-1", trace_id="Root=1-0-x", **BEFORE),
        acknowledged("y", 2, served_by="i-2", trace_id="Root=1-0-y", **BEFORE),
    ]
    targets = {"a": "10.0.0.1:80", "b": "10.0.0.2:80", "c": None}
    targets |= {"x": "10.0.0.1:80", "y": "10.0.0.2:80"}
    lines = [
        alb_line(
            (ANSWERED if name in "xy" else REFUSED)
            | {"trace_id": f"Root=1-0-{name}", "target": target},
            target_group_arn="arn:tg",
        )
        for name, target in targets.items()
    ]
    log = BalancerLog.of(lines, wanted={f"1-0-{name}" for name in targets})
    case = evidence(
        [on_it, beside, nowhere, *told_of],
        [row(1, told_of[0]), row(2, told_of[1])],
        run=run(fault=FAULT),
        balancer=log,
    )
    exposure = find_exposure(case)
    assert exposure.orders_in_flight_at_fault == 3
    assert exposure.on_victim == 1


def test_what_was_logged_during_the_run_is_kept_with_its_evidence(
    directory: RunDirectory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = tmp_path_factory.mktemp("lb") / "access.log"
    log.write_text("an earlier run's line\nthis run's line\n")
    store(directory, evidence([], []))
    directory.update_run(access_log={"path": str(log), "offset": 22})
    for _ in range(2):  # it is evidence: what comes later does not change it
        gather_access_log(directory)
        log.write_text("overwritten\n")
    assert list(directory.access_log.lines()) == ["this run's line\n"]


def test_a_log_that_is_gone_is_an_event_and_no_error(directory: RunDirectory) -> None:
    store(directory, evidence([], []))
    directory.update_run(access_log={"path": "/nowhere/access.log", "offset": 0})
    gather_access_log(directory)
    assert not directory.access_log.are_there()
    assert [each.event for each in directory.read_table(EVENTS)] == ["access_log_not_kept"]


# --- whose line it is ---

INTERNAL = "app/internal/1111111111111111"
OURS = "app/chaos-lab-alb/50dc6c495c0c9188"
CONNECTION = (
    "2023-10-04T17:05:15.514108Z 203.0.113.1 36280 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 "
    '4.036 "-" - - - Failed:ClientCertUntrusted TID_dc57cebed65b444ebd8177bb698fe166'
)
HEALTH_CHECK = "http 2025-11-18T21:43:34.123456Z 0.003 10.0.0.1:80 tg/73e2d6bc PASS 200 -"


def line_of(balancer: str, entry: dict[str, object] = REFUSED) -> str:
    return alb_line(entry, target_group_arn="arn:tg", load_balancer=balancer)


def witness(directory: RunDirectory, *lines: str, ours: list[str] | None = None) -> list[object]:
    """The status that the log tells of the one attempt, if any, and what is noted."""
    store(directory, evidence([indeterminate("a", trace_id=TRACE)], []))
    directory.update_run(load_balancers=ours)
    (directory.path / "elb_access.log").write_text("".join(f"{each}\n" for each in lines))
    loaded = load_evidence(directory)
    found = loaded.balancer.of_trace(TRACE) if loaded.balancer else None
    return [found.status if found else None, *_about_logs(loaded.notes)]


def _about_logs(notes: list[str]) -> list[str]:
    return [each for each in notes if ".csv" not in each]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_balancer_further_inside_is_no_witness_of_what_ours_answered(
    directory: RunDirectory, is_first: bool
) -> None:
    lines = [line_of(INTERNAL, ANSWERED), line_of(OURS)][:: 1 if is_first else -1]
    assert witness(directory, *lines, ours=[OURS]) == [502]


def test_ours_is_a_witness_however_many_others_there_are(directory: RunDirectory) -> None:
    others = [line_of(f"app/other-{number}/1", ANSWERED) for number in range(20)]
    assert witness(directory, *others, line_of(OURS), ours=[OURS]) == [502]


def test_a_log_of_others_alone_is_no_witness(directory: RunDirectory) -> None:
    status, note = witness(directory, line_of(INTERNAL, ANSWERED), ours=[OURS])
    assert status is None
    assert note == (f"the access log is of {INTERNAL}, and not of the run's load balancer, {OURS}")


def test_of_two_balancers_none_is_a_witness_if_the_run_does_not_know_its_own(
    directory: RunDirectory,
) -> None:
    status, note = witness(directory, line_of(INTERNAL, ANSWERED), line_of(OURS))
    assert status is None
    assert "does not know which of them is its own" in str(note)


def test_the_only_balancer_of_a_log_is_ours(directory: RunDirectory) -> None:
    assert witness(directory, line_of(INTERNAL)) == [502]


def test_lines_of_connections_and_of_health_checks_are_no_damage(directory: RunDirectory) -> None:
    assert witness(directory, CONNECTION, line_of(OURS), HEALTH_CHECK) == [502]
    (directory.path / "elb_access").mkdir()
    for kind in ("conn_log.", "health_check_log."):
        (directory.path / "elb_access" / f"{kind}1_x.log.gz").write_bytes(b"not even gzip")
    assert _about_logs(load_evidence(directory).notes) == []
    (directory.path / "elb_access.log").unlink()
    assert not directory.access_log.are_there()


ODD_LINES = {
    "an IPv6 client": ("192.168.131.39:2817", "2001:db8::1:2817"),
    "no target": ("10.0.0.1:80 0.086 0.048 0.037 200 201", "- -1 -1 -1 460 -"),
    "a connection closed while sending": ("200 201 0", "463 - 0"),
    "an escaped quote": ('"curl/7.46.0"', '"a \\"b c\\" d \\x22"'),
    "no request": ("GET https://www.example.com:443/ HTTP/1.1", "- http://host:80- -"),
    "more fields": ("TID_123456", 'TID_123456 "-" "-" "-" 17'),
}


@pytest.mark.parametrize(("usual", "odd"), ODD_LINES.values(), ids=ODD_LINES)
def test_what_an_alb_may_write_is_read(usual: str, odd: str) -> None:
    assert usual in DOCUMENTED
    line = parse_access_log_line(DOCUMENTED.replace(usual, odd))
    assert line.trace_root == "1-58337281-1d84f3d73c47ec4e58577259"
    assert line.received_at == parse_time("2018-07-02T22:22:48.364000Z")
