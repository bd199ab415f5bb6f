"""An experiment's life: its states follow what its actions really do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.lab.fis.api.safety_lever import SafetyLever
from infra.lab.fis.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded
from tests.infra.lab.fis.fis_account import (
    INITIATING_S,
    NAMES,
    Account,
    act,
    orders,
    said,
    stop,
    tagged,
)

ALARM = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:orders"
GUARDED: dict[str, Any] = {"stop_conditions": [{"source": "aws:cloudwatch:alarm", "value": ALARM}]}


@pytest.fixture
def account() -> Account:
    return Account()


def targets(account: Account, experiment: str) -> dict[str, list[str]]:
    """Target's name -> ids, as ListExperimentResolvedTargets has them."""
    found: dict[str, list[str]] = {}
    for each in account.fis.list_experiment_resolved_targets(experiment_id=experiment)[0]:
        found.setdefault(each.target_name, []).append(each.resource_arn.rpartition("/")[2])
    return found


def test_it_is_pending_then_initiating_then_running_then_completed(account: Account) -> None:
    experiment = account.start(account.create())
    assert account.state(experiment) == ("pending", "Experiment is pending.")
    account.tick(INITIATING_S * 0.6)
    assert account.state(experiment) == ("initiating", "Experiment is initiating.")
    assert account.actions(experiment) == {"a": "pending"}
    account.tick(INITIATING_S * 0.6)
    assert account.state(experiment) == ("running", "Experiment is running.")
    assert account.actions(experiment) == {"a": "running"}
    for _ in range(3):
        account.tick()
    assert account.state(experiment)[0] == "running"  # for as long as its action is
    running = account.fis.get_experiment(experiment)
    assert "endTime" not in running
    assert "endTime" not in running["actions"]["a"]
    account.done = {"a"}
    account.tick()
    assert account.state(experiment) == ("completed", "Experiment completed.")
    ended = account.fis.get_experiment(experiment)
    assert ended["actions"]["a"]["state"]["reason"] == "Action was completed."
    assert (
        ended["creationTime"]
        <= ended["actions"]["a"]["startTime"]
        <= ended["actions"]["a"]["endTime"]
        <= ended["endTime"]
    )
    assert account.calls == ["inject a"]


def test_reading_changes_nothing(account: Account) -> None:
    experiment = account.start(account.create())
    for _ in range(5):
        account.fis.get_experiment(experiment)
        account.fis.list_experiments()
    assert account.state(experiment)[0] == "pending"


def test_an_action_begins_when_those_it_starts_after_are_over(account: Account) -> None:
    experiment = account.running(
        actions={"a": act("a"), "b": act("b", "a"), "c": act("c", "a", "b"), "d": act("d")}
    )
    assert account.calls == ["inject a", "inject d"]
    account.done = {"d"}
    account.tick()
    assert account.actions(experiment) == {
        "a": "running", "b": "pending", "c": "pending", "d": "completed",
    }  # fmt: skip
    account.done = {"d", "a"}
    account.tick()
    assert account.calls[2:] == ["inject b"]
    account.done = {"d", "a", "b", "c"}
    account.tick()
    account.tick()
    assert account.calls[3:] == ["inject c"]
    assert account.state(experiment)[0] == "completed"


def test_an_action_that_fails_ends_the_experiment_and_the_others_are_healed(
    account: Account,
) -> None:
    experiment = account.running(
        actions={"a": act("a"), "b": act("b"), "c": act("c", "a"), "d": act("d")}
    )
    account.done = {"d"}
    account.tick()
    account.failing = {"is_done b": "the machine has no tc"}
    account.tick()
    assert account.state(experiment) == ("failed", 'Action "b" failed: the machine has no tc')
    assert account.actions(experiment) == {
        "a": "stopped", "b": "failed", "c": "cancelled", "d": "completed",
    }  # fmt: skip
    shown = account.fis.get_experiment(experiment)
    assert shown["state"]["error"] == {"accountId": "123456789012", "code": "ActionFailed"}
    assert shown["actions"]["b"]["state"]["reason"] == "the machine has no tc"
    # What had begun, the failed one among it, has been undone, and once.
    assert sorted(account.calls[3:]) == ["heal a", "heal b"]
    account.tick()
    assert len(account.calls) == 5


def test_an_action_that_cannot_begin_is_undone_as_far_as_it_came(account: Account) -> None:
    account.failing = {"inject b": "no such process"}
    experiment = account.running(actions={"a": act("a"), "b": act("b"), "c": act("c")})
    assert account.actions(experiment) == {"a": "stopped", "b": "failed", "c": "cancelled"}
    assert account.calls == ["inject a", "inject b", "heal b", "heal a"]


@pytest.mark.parametrize("verb", ["inject", "is_done"])
def test_a_fault_of_ours_in_an_action_fails_the_experiment_and_not_the_lab(
    account: Account, verb: str
) -> None:
    account.failing = {f"{verb} a": "bug"}
    experiment = account.running(actions={"a": act("a"), "b": act("b")})
    account.tick()
    status, reason = account.state(experiment)
    assert status == "failed"
    assert "a fault of the lab's: KeyError" in reason
    assert "heal a" in account.calls


def test_a_resource_that_cannot_be_looked_at_fails_the_experiment_and_not_the_lab(
    account: Account,
) -> None:
    account.launch("i-1")
    account.instances[0] = None  # type: ignore[call-overload]
    experiment = account.running(targets={"t": tagged()}, actions={"a": stop("a", "t")})
    status, reason = account.state(experiment)
    assert status == "failed"
    assert "a fault of the lab's: AttributeError" in reason
    assert account.calls == []


def test_a_stopped_experiment_heals_once_and_begins_nothing_more(account: Account) -> None:
    experiment = account.running(actions={"a": act("a"), "b": act("b", "a")})
    stopping = account.fis.stop_experiment(experiment)
    assert stopping["state"] == {"status": "stopping", "reason": "Stopping Experiment."}
    assert stopping["actions"]["a"]["state"]["status"] == "stopping"
    account.fis.stop_experiment(experiment)
    account.done = {"a"}
    account.tick()
    account.tick()
    assert account.state(experiment) == ("stopped", "Experiment stopped by user.")
    assert account.actions(experiment) == {"a": "stopped", "b": "cancelled"}
    assert account.calls == ["inject a", "heal a"]


def test_an_experiment_stopped_before_it_ran_does_nothing(account: Account) -> None:
    experiment = account.start(account.create())
    account.fis.stop_experiment(experiment)
    account.tick()
    assert account.state(experiment)[0] == "stopped"
    assert account.actions(experiment) == {"a": "cancelled"}
    assert account.calls == []


def test_to_stop_what_has_ended_changes_nothing(account: Account) -> None:
    account.done = {"a"}
    experiment = account.running()
    account.tick()
    before = account.fis.get_experiment(experiment)
    assert before["state"]["status"] == "completed"
    assert account.fis.stop_experiment(experiment) == before
    account.tick()
    assert account.fis.get_experiment(experiment) == before
    with pytest.raises(NotFound):
        account.fis.stop_experiment("EXPnone")


def test_the_first_reason_to_stop_stays(account: Account) -> None:
    account.alarms[ALARM] = "OK"
    experiment = account.running(**GUARDED)
    account.alarms[ALARM] = "ALARM"
    account.tick()
    account.fis.stop_experiment(experiment)
    account.tick()
    assert account.state(experiment) == ("stopped", "Experiment halted by stop condition.")


def test_a_cancelled_experiment_cannot_be_stopped_any_more(account: Account) -> None:
    experiment = account.start(account.create())
    account.fis.update_safety_lever_state("default", status="engaged", reason="night")
    before = account.fis.get_experiment(experiment)
    assert before["state"]["status"] == "cancelled"
    assert account.fis.stop_experiment(experiment) == before


def test_what_cannot_be_healed_is_said(account: Account) -> None:
    experiment = account.running(actions={"a": act("a"), "b": act("b")})
    account.failing = {"heal a": "the process is gone"}
    account.fis.stop_experiment(experiment)
    account.tick()
    assert account.state(experiment) == ("failed", 'Action "a" failed: the process is gone')
    assert account.actions(experiment) == {"a": "failed", "b": "stopped"}


def test_targets_are_resolved_once_at_the_start(account: Account) -> None:
    account.launch("i-1")
    experiment = account.running(targets={"t": tagged()}, actions={"a": stop("a", "t")})
    account.launch("i-2")
    account.tick()
    assert targets(account, experiment) == {"t": ["i-1"]}
    assert account.made[0].hits == ["i-1"]


def test_two_actions_on_one_target_hit_the_same(account: Account) -> None:
    account.launch(*[f"i-{n}" for n in range(5)])
    experiment = account.running(
        targets={"t": tagged(selectionMode="COUNT(2)")},
        actions={"a": stop("a", "t"), "b": stop("b", "t", "a")},
    )
    account.done = {"a"}
    account.tick()
    assert account.made[0].hits == account.made[1].hits == targets(account, experiment)["t"]


def test_an_empty_target_fails_the_experiment_before_anything_happens(account: Account) -> None:
    experiment = account.running(
        targets={"t": tagged()}, actions={"a": act("a"), "b": stop("b", "t")}
    )
    assert account.state(experiment) == ("failed", "Target resolution returned empty set")
    error = account.fis.get_experiment(experiment)["state"]["error"]
    assert (error["code"], error["location"]) == ("InvalidTarget", "t")
    assert account.actions(experiment) == {"a": "cancelled", "b": "cancelled"}
    assert account.calls == []


def test_an_empty_target_skips_its_actions_where_the_template_says_so(account: Account) -> None:
    account.launch("i-1", Other="yes")
    experiment = account.running(
        targets={"t": tagged(), "u": tagged(resourceTags={"Other": "yes"})},
        actions={"a": stop("a", "t"), "b": stop("b", "u", "a")},
        experiment_options={"emptyTargetResolutionMode": "skip"},
    )
    assert account.actions(experiment) == {"a": "skipped", "b": "running"}
    assert account.calls == ["inject b"]
    account.done = {"b"}
    account.tick()
    assert account.state(experiment)[0] == "completed"


def test_a_resource_that_is_named_has_to_be_there_all_the_same(account: Account) -> None:
    account.launch("i-1")
    arns = [f"arn:aws:ec2:us-east-1:123456789012:instance/i-{n}" for n in (1, 2)]
    experiment = account.running(
        targets={"t": tagged(resourceTags={}, resourceArns=arns)},
        actions={"a": stop("a", "t")},
        experiment_options={"emptyTargetResolutionMode": "skip"},
    )
    assert account.state(experiment) == ("failed", "Target resolution returned empty set")


def test_more_resources_than_an_action_may_hit_fail_the_experiment(account: Account) -> None:
    account.launch(*[f"i-{n}" for n in range(6)])
    changes: dict[str, Any] = {"actions": {"a": stop("a", "t")}}
    experiment = account.running(targets={"t": tagged()}, **changes)
    status, reason = account.state(experiment)
    assert status == "failed"
    assert reason.startswith('Target "t" resolved to 6 resources; the quota of aws:ec2:stop')
    five = account.running(targets={"t": tagged(selectionMode="COUNT(5)")}, **changes)
    assert account.state(five)[0] == "running"


def test_a_rehearsal_names_its_targets_and_does_nothing(account: Account) -> None:
    account.launch("i-1")
    template = account.create(targets={"t": tagged()}, actions={"a": stop("a", "t")})
    experiment = account.start(template, experiment_options={"actionsMode": "skip-all"})
    account.tick()
    account.tick()
    assert account.state(experiment)[0] == "completed"
    assert account.actions(experiment) == {"a": "skipped"}
    assert targets(account, experiment) == {"t": ["i-1"]}
    assert account.calls == []


def test_an_alarm_that_sounds_stops_the_experiment_and_heals(account: Account) -> None:
    account.alarms[ALARM] = "OK"
    experiment = account.running(**GUARDED)
    account.alarms[ALARM] = "INSUFFICIENT_DATA"
    account.tick()
    assert account.state(experiment)[0] == "running"
    account.alarms[ALARM] = "ALARM"
    account.tick()
    assert account.state(experiment)[0] == "stopping"
    account.tick()
    assert account.state(experiment) == ("stopped", "Experiment halted by stop condition.")
    assert account.actions(experiment) == {"a": "stopped"}
    assert account.calls == ["inject a", "heal a"]


def test_an_alarm_that_sounds_at_the_start_lets_nothing_happen(account: Account) -> None:
    account.alarms[ALARM] = "ALARM"
    experiment = account.running(**GUARDED)
    account.tick()
    assert account.state(experiment) == ("stopped", "Experiment halted by stop condition.")
    assert account.actions(experiment) == {"a": "cancelled"}
    assert account.calls == []


def test_an_alarm_that_there_is_not_fails_the_start_and_one_that_vanishes_stops(
    account: Account,
) -> None:
    experiment = account.running(**GUARDED)
    assert account.state(experiment) == ("failed", f"Stop condition {ALARM} does not exist.")
    account.alarms[ALARM] = "OK"
    experiment = account.running(**GUARDED)
    del account.alarms[ALARM]
    account.tick()
    account.tick()
    assert account.state(experiment)[0] == "stopped"


def test_the_safety_lever_stops_what_runs_and_cancels_what_begins(account: Account) -> None:
    running = account.running()
    initiating = account.start(account.create())
    account.tick(INITIATING_S * 0.6)
    pending = account.start(account.create())
    lever = account.fis.update_safety_lever_state("default", status="engaged", reason="night")
    assert lever["state"] == {"status": "engaging", "reason": "night"}
    for each in (pending, initiating):
        assert account.state(each) == (
            "cancelled", "Experiment was cancelled because the safety lever is engaged.",
        )  # fmt: skip
    with pytest.raises(Conflict, check=said("engaging")):
        account.fis.update_safety_lever_state("default", status="disengaged", reason="day")
    account.tick()
    assert account.state(running) == (
        "stopped", "Experiment was stopped because the safety lever was engaged.",
    )  # fmt: skip
    assert account.fis.get_safety_lever("default")["state"]["status"] == "engaged"
    late = account.start(account.create())
    assert account.state(late)[0] == "cancelled"
    assert account.actions(late) == {"a": "cancelled"}
    assert account.calls == ["inject a", "heal a"]
    account.fis.update_safety_lever_state("default", status="disengaged", reason="day")
    assert account.state(account.running())[0] == "running"


def test_the_safety_lever_is_engaged_when_the_last_experiment_has_ended() -> None:
    lever = SafetyLever()
    assert lever.update("default", "engaged", "night")
    for is_anything_on, status in ((True, "engaging"), (False, "engaged")):
        lever.settle(is_anything_on=is_anything_on)
        assert lever.describe("default")["state"]["status"] == status


def test_the_safety_lever_is_pulled_once(account: Account) -> None:
    account.fis.update_safety_lever_state("default", status="engaged", reason="night")
    account.tick()
    with pytest.raises(Conflict, check=said("engaged already")):
        account.fis.update_safety_lever_state("default", status="engaged", reason="day")
    account.fis.update_safety_lever_state("default", status="engaged", reason="night")
    with pytest.raises(NotFound):
        account.fis.get_safety_lever("other")


def test_at_most_five_experiments_are_active(account: Account) -> None:
    template = account.create()
    first, *_ = [account.start(template) for _ in range(5)]
    with pytest.raises(QuotaExceeded, check=said("5 active experiments")):
        account.start(template)
    account.fis.stop_experiment(first)
    account.tick()
    account.start(template)


def test_no_experiment_goes_on_for_more_than_twelve_hours(account: Account) -> None:
    experiment = account.running()
    account.tick(11.9 * 3600)
    assert account.state(experiment)[0] == "running"
    account.tick(360)
    account.tick()
    assert account.state(experiment)[0] == "stopped"
    assert account.calls == ["inject a", "heal a"]


def test_a_token_starts_one_experiment(account: Account) -> None:
    template = account.create()
    first = account.start(template, "one", tags={"run": "r1"})
    assert account.start(template, "one", tags={"run": "r1"}) == first
    for other in ({"tags": {"run": "r2"}}, {"experiment_options": {"actionsMode": "skip-all"}}):
        with pytest.raises(Conflict):
            account.start(template, "one", **other)
    with pytest.raises(Conflict):
        account.start(account.create(), "one", tags={"run": "r1"})
    assert account.start(template, "two") != first
    # An answer that came late is still the first one's, whatever became of it.
    account.fis.stop_experiment(first)
    account.tick()
    assert account.start(template, "one", tags={"run": "r1"}) == first


def test_a_template_that_is_changed_or_gone_does_not_change_its_experiments(
    account: Account,
) -> None:
    template = account.create()
    experiment = account.start(template)
    account.fis.update_experiment_template(template, actions={"z": act("z")})
    account.fis.delete_experiment_template(template)
    account.tick()
    account.tick()
    assert account.actions(experiment) == {"a": "running"}
    with pytest.raises(NotFound):
        account.start(template)


def test_the_lab_has_one_account(account: Account) -> None:
    template = account.create(experiment_options={"accountTargeting": "multi-account"})
    with pytest.raises(InvalidRequest, check=said("one account")):
        account.start(template)


events = st.tuples(
    st.sampled_from(
        ["done", "done", "done", "is_done", "inject", "heal", "stop", "alarm", "lever"]
    ),
    st.sampled_from(NAMES),
)


@given(orders(with_circles=False), st.lists(events, max_size=12))
def test_whatever_happens_actions_begin_in_order_and_once_and_are_healed_once(
    order: dict[str, list[str]], happenings: list[tuple[str, str]]
) -> None:
    account = Account()
    account.alarms[ALARM] = "OK"
    template = account.create(
        actions={name: act(name, *after) for name, after in order.items()}, **GUARDED
    )
    experiment = account.start(template)
    for what, name in happenings:
        match what:
            case "done":
                account.done.add(name)
            case "stop":
                account.fis.stop_experiment(experiment)
            case "alarm":
                account.alarms[ALARM] = "ALARM"
            case "lever":
                if account.fis.get_safety_lever("default")["state"]["status"] == "disengaged":
                    account.fis.update_safety_lever_state(
                        "default", status="engaged", reason="night"
                    )
            case verb:
                account.failing[f"{verb} {name}"] = "the machine says no"
        account.tick()
        agree(account, experiment, order)
    ended = account.fis.get_experiment(experiment)
    for _ in range(3):
        account.tick()
    if "endTime" in ended:
        assert account.fis.get_experiment(experiment) == ended


def agree(account: Account, experiment: str, order: dict[str, list[str]]) -> None:
    """What is shown is what was done."""
    status, _ = account.state(experiment)
    actions = account.actions(experiment)
    assert len(account.calls) == len(set(account.calls))
    begun = {each.split()[1] for each in account.calls if each.startswith("inject")}
    healed = {each.split()[1] for each in account.calls if each.startswith("heal")}
    by_status = {
        wanted: {name for name, each in actions.items() if each == wanted}
        for wanted in ("pending", "running", "stopping", "completed", "stopped", "failed")
    }
    assert begun == set(actions) - by_status["pending"] - {
        name for name, each in actions.items() if each == "cancelled"
    }
    assert all(actions[each] == "completed" for name in begun for each in order[name])
    assert by_status["stopped"] | by_status["failed"] == healed
    if status in {"completed", "stopped", "failed", "cancelled"}:
        assert not by_status["pending"] | by_status["running"] | by_status["stopping"]
    if status == "completed":
        assert by_status["completed"] == set(actions)
    assert (status == "failed") == bool(by_status["failed"])
