"""Whether a fault happened, told from what a run recorded of it, however the run ended."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.evidence.records import Event, RunVerdict
from analysis.evidence.run import parse_run
from analysis.measures.faults import FaultFinding, describe_faults, judge_faults
from analysis.verdict.headline import headline_of
from analysis.verdict.judge_run import judge
from analysis.verdict.judgement import FailOn
from analysis.verdict.summary import summarise
from tests.analysis.histories import NOON, SECOND, acknowledged, evidence, row, run

AT = "2026-11-23T12:00:20.000000Z"
STOP = {
    "name": "stop",
    "id": "aws:ec2:stop-instances",
    "state": "completed",
    "began_at": AT,
    "has_acted": True,
}
UNBEGUN = {**STOP, "name": "two", "state": "pending", "began_at": None, "has_acted": False}
SKIPPED = {**UNBEGUN, "state": "skipped"}
# It failed, as a command on an instance does, when another action had stopped that one.
COMMANDED = {**STOP, "name": "two", "id": "aws:ssm:send-command", "state": "failed"}
WAIT = {**STOP, "name": "wait", "id": "aws:fis:wait", "state": "running"}
PLANNED: dict[str, Any] = {
    "name": "hit-one",
    "client_token": None,
    "template_id": "EXT1",
    "experiment_id": None,
    "action": "aws:ec2:stop-instances",
    "targets": [],
    "started_at": None,
    "ended_at": None,
    "state": None,
    "why_not": None,
    "at": "20s",
    "asked_at": None,
    "actions": [],
}
ASKED = {**PLANNED, "client_token": "t", "asked_at": AT}
PENDING = {**ASKED, "experiment_id": "EXP1", "state": "pending"}
BEGUN = {
    **PENDING,
    "state": "running",
    "started_at": AT,
    "targets": ["i-1"],
    "actions": [STOP],
}
COMMAND = {**PLANNED, "name": "break it", "action": "command: break it", "exit_code": None}
RUNNING = {**COMMAND, "state": "running", "started_at": AT}
# As runs were recorded before: `started_at` is when FIS had answered.
OLDER = {name: BEGUN[name] for name in BEGUN if name not in {"why_not", "actions", "asked_at"}}


def event(source: str, subject: str, what: str, detail: str = "") -> Event:
    at = NOON + 21 * SECOND
    return Event(at=at, source=source, subject=subject, event=what, detail=detail)


CLOSED = event("harness", "r", "users_stopped")
WENT = event("ec2", "i-1", "stopping")
RAN = event("fis", "EXP1", "running")


def found_in(*faults: dict[str, Any], events: tuple[Event, ...] = ()) -> list[FaultFinding]:
    return judge_faults(parse_run({"run_id": "r", "faults": list(faults)}), events)


def happened(fault: dict[str, Any], *events: Event) -> bool | None:
    (found,) = found_in(fault, events=events)
    assert found.why
    assert (found.verdict is RunVerdict.HELD) is (found.happened is True)
    return found.happened


@pytest.mark.parametrize(
    "fault",
    [
        PLANNED,
        {**PLANNED, "why_not": "only 1 healthy"},
        {**ASKED, "state": "failed", "why_not": "FIS did not start it: no such template"},
        {**ASKED, "state": "cancelled", "why_not": "EXP2 was started under this run's id"},
        PENDING,
        {**PENDING, "state": "initiating"},
        {**PENDING, "state": "cancelled", "reason": "the safety lever is engaged"},
        {**PENDING, "state": "failed", "reason": "Target resolution returned empty set"},
        {**PENDING, "state": "stopped", "actions": [{**UNBEGUN, "state": "x"}]},
        {**PENDING, "state": "completed", "actions": [SKIPPED]},
        {**PENDING, "state": "stopped", "actions": [WAIT]},
        {**BEGUN, "actions": [STOP, SKIPPED]},
        {**COMMAND, "state": "failed", "why_not": "its command failed", "exit_code": 3},
        COMMAND,
    ],
)  # fmt: skip
def test_a_fault_that_did_not_happen_is_known_not_to_have(fault: dict[str, Any]) -> None:
    assert happened(fault, CLOSED) is False


@pytest.mark.parametrize(
    "fault",
    [
        ASKED,
        PENDING,
        {
            **PENDING,
            "state": "stopped",
            "actions": [{**STOP, "state": "stopped", "has_acted": False}],
        },
        {**BEGUN, "state": "failed", "actions": [{**STOP, "state": "failed"}]},
        {**BEGUN, "targets": []},
        {**BEGUN, "actions": [STOP, UNBEGUN]},
        # One that was stopped before it was seen to act, beside one that did.
        {**BEGUN, "actions": [STOP, {**STOP, "state": "stopped", "has_acted": False}]},
        RUNNING,
        {**RUNNING, "state": "stopped"},
        {**RUNNING, "state": "failed"},
        {**OLDER, "state": "pending"},
        {**OLDER, "state": "stopped"},
        {**OLDER, "targets": []},
    ],
)
def test_where_the_record_of_a_killed_run_ends_in_between_nothing_is_known(
    fault: dict[str, Any],
) -> None:
    assert happened(fault) is None


@pytest.mark.parametrize(
    ("fault", "events"),
    [
        (BEGUN, ()),
        ({**BEGUN, "state": "stopped"}, ()),
        ({**BEGUN, "state": "failed"}, ()),
        ({**BEGUN, "state": "failed", "actions": [{**STOP, "state": "failed"}]}, (WENT,)),
        ({**PENDING, "targets": ["i-1"]}, (WENT,)),
        (PENDING, (event("fis", "EXP1", "target_resolved", "i-1"), WENT)),
        ({**BEGUN, "action": "lab:power-off", "actions": [{**STOP, "id": "lab:power-off"}]}, ()),
        ({**BEGUN, "actions": [STOP, WAIT]}, ()),
        ({**RUNNING, "exit_code": 0}, ()),
        ({**RUNNING, "state": "stopped", "exit_code": 0}, ()),
        ({**OLDER, "state": "completed"}, ()),
        ({**OLDER, "state": "stopped"}, (RAN,)),
        ({**OLDER, "state": "failed"}, (WENT,)),
    ],
)
def test_a_fault_that_began_happened_whatever_became_of_its_experiment(
    fault: dict[str, Any], events: tuple[Event, ...]
) -> None:
    assert happened(fault, *events) is True


def test_an_older_record_of_a_pending_experiment_has_not_begun() -> None:
    older = parse_run({"run_id": "r", "faults": [{**OLDER, "state": "pending"}]})
    assert older.fault is not None
    assert older.fault.started_at is None
    assert happened({**OLDER, "state": "pending"}, CLOSED) is False


def test_what_was_planned_and_never_prepared_was_asked_for_all_the_same() -> None:
    plan = [{"what": "hit-one", "at": "20s"}, {"what": "failover", "at": "40s"}]
    content = {"run_id": "r", "settings": {"fault_plan": plan}}
    assert [each.happened for each in judge_faults(parse_run(content), ())] == [False, False]
    found = judge_faults(parse_run({**content, "faults": [BEGUN]}), ())
    assert [(each.fault.title, each.happened) for each in found] == [
        ("hit-one", True),
        ("failover", False),
    ]
    assert judge_faults(parse_run({"run_id": "r", "settings": {"fis_template": ""}}), ()) == []


_STATES = st.sampled_from(
    [None, "pending", "initiating", "running", "stopping", "completed", "stopped", "failed"]
)
_ACTIONS = st.lists(
    st.builds(
        lambda state, has_acted, action: {
            **UNBEGUN,
            "id": action,
            "state": state,
            "began_at": AT if has_acted else None,
            "has_acted": has_acted,
        },
        st.sampled_from(["pending", "running", "completed", "skipped", "failed", "stopped"]),
        st.booleans(),
        st.sampled_from([STOP["id"], WAIT["id"], COMMANDED["id"]]),
    ),
    max_size=3,
)


@given(
    fault=st.fixed_dictionaries(
        {
            "client_token": st.sampled_from([None, "t"]),
            "experiment_id": st.sampled_from([None, "EXP1"]),
            "state": _STATES,
            "started_at": st.sampled_from([None, AT]),
            "targets": st.sampled_from([[], ["i-1"]]),
            "actions": _ACTIONS,
        }
    ),
    is_closed=st.booleans(),
)
def test_nothing_happened_that_did_not_begin_and_hit_somebody(
    fault: dict[str, Any], is_closed: bool
) -> None:
    whole = {**PLANNED, "asked_at": AT, **fault}
    (found,) = found_in(whole, events=(CLOSED,) if is_closed else ())
    if found.happened:
        assert fault["started_at"]
        assert fault["targets"]
        harmful = [each for each in fault["actions"] if each["id"] != WAIT["id"]]
        assert all(each["has_acted"] and each["state"] != "failed" for each in harmful)


def test_what_one_action_did_is_no_witness_of_another_that_failed() -> None:
    fault = {
        **BEGUN,
        "state": "failed",
        "action": f"{STOP['id']}, {COMMANDED['id']}",
        "actions": [STOP, COMMANDED],
    }
    assert happened(fault, WENT, CLOSED) is None


def test_an_older_experiment_that_only_waited_did_not_happen() -> None:
    assert happened({**OLDER, "action": WAIT["id"], "state": "completed"}, RAN, CLOSED) is False


@given(outcomes=st.lists(st.sampled_from([BEGUN, PLANNED, PENDING, RUNNING]), max_size=4))
def test_a_run_is_held_only_where_each_of_its_faults_happened(
    outcomes: list[dict[str, Any]],
) -> None:
    one = acknowledged("a", 1)
    content = parse_run({"run_id": "r", "faults": outcomes})
    case = evidence([one], [row(1, one)], run=run(fault=content.fault, faults=content.faults))
    summary = summarise(judge(case))
    missing = [each for each in summary["faults"] if not each["happened"]]  # type: ignore[attr-defined]
    assert summary["verdict"] == ("undecided" if missing else "held")
    assert summary["exit_code"] == (2 if missing else 0)
    assert judge(case, fail_on=FailOn.NEVER).exit_code == 0
    sentence = headline_of(summary).sentence
    assert sentence.endswith("No fault was asked for.") is (not outcomes)
    assert all(each["why_not"] in sentence for each in missing)
    broken = evidence([one], [], run=case.run)
    assert judge(broken).verdict is RunVerdict.BROKEN


def test_the_headline_says_that_no_fault_happened_and_why() -> None:
    refused = {**PLANNED, "why_not": "only 1 healthy"}
    (found,) = found_in(refused)
    assert describe_faults([found.as_json()]) == "No fault happened (hit-one: only 1 healthy)."
    both = [each.as_json() for each in found_in(BEGUN, {**refused, "name": "failover"})]
    assert describe_faults(both) == (
        "1 of 2 faults was not seen to happen (failover: only 1 healthy)."
    )
    (unknown,) = found_in(ASKED)
    assert describe_faults([unknown.as_json()]).startswith(
        "It is not known that the fault happened"
    )
    assert describe_faults([each.as_json() for each in found_in(BEGUN)]) == ""
