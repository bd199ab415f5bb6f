"""What FIS refuses before anything happens, and what it keeps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.core.utils import get_service_model
from moto.fis.exceptions import FISException

from infra.lab.fis.api.request_shape import check_shape
from infra.lab.fis.errors import Conflict, InvalidRequest, NotFound, QuotaExceeded
from tests.infra.lab.fis.fis_account import Account, act, said, stop, tagged

ARN = "arn:aws:ec2:us-east-1:123456789012:instance/i-1"
ALARM = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:orders"


def of(target: dict[str, Any], **action: Any) -> dict[str, Any]:
    """One target, and the action on it."""
    return {"targets": {"t": target}, "actions": {"a": stop("a", "t") | action}}


def alarms(*values: str) -> list[dict[str, str]]:
    return [{"source": "aws:cloudwatch:alarm", "value": value} for value in values]


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": {}}, "at least one action"),
        ({"actions": {"a": {}}}, 'the ID of action "a"'),
        (of(tagged(), targets={}), 'Missing target "Instances" in action "a"'),
        (of(tagged(), targets={"Instances": "u"}), 'Target "u" of action "a" is not defined'),
        (
            of(tagged(), targets={"Instances": "t", "Clusters": "t"}),
            'Unexpected target "Clusters" found in action "a".',
        ),
        (of(tagged(resourceType="aws:ec2:subnet")), "acts on aws:ec2:instance"),
        (of(tagged(resourceType="aws:ecs:task")), "aws:ecs:task of target"),
        (of(tagged(selectionMode="COUNT(0)")), r"COUNT\(0\) is not one of"),
        (
            of(tagged(resourceArns=[ARN])),
            "You cannot specify both resource ARNs and resource tags for target t.",
        ),
        (
            of(
                tagged(
                    resourceTags={}, resourceArns=[ARN], filters=[{"path": "A", "values": ["b"]}]
                )
            ),
            "both resource ARNs and resource filters",
        ),
        (of(tagged(resourceTags={})), "You must specify resource ARNs, resource tags or param"),
        (
            of(tagged(resourceTags={}, resourceArns=[ARN.replace("instance/", "subnet/")])),
            "not that of a resource of type aws:ec2:instance",
        ),
        (of(tagged(parameters={"vpc": "vpc-1"})), 'Unexpected parameter "vpc" found in target'),
        (of(tagged(), parameters={}), 'Missing parameter "as" in action "a"'),
        (of(tagged(), parameters={"as": "a", "b": "c"}), 'Unexpected parameter "b" found'),
        (of(tagged(), parameters={"as": "a", "duration": "5 minutes"}), "is not an ISO 8601"),
        (of(tagged(), parameters={"as": "a", "duration": "PT12H1S"}), "longest is PT12H"),
        ({"actions": {"a": act("a", "b")}}, 'starts after action "b", which is not defined'),
        ({"actions": {"a": act("a", "a")}}, "Actions a can never start"),
        ({"actions": {"a": act("a", "b"), "b": act("b", "a")}}, "Actions a, b can never start"),
        ({"stop_conditions": []}, "at least one stop condition"),
        ({"stop_conditions": [{"source": "aws:sns:topic"}]}, "aws:sns:topic is not supported"),
        ({"stop_conditions": [{"source": "none"}, *alarms(ALARM)]}, "none beside it"),
        ({"stop_conditions": alarms("orders")}, "orders is not the ARN of a CloudWatch alarm"),
        ({"stop_conditions": [{"source": "aws:cloudwatch:alarm"}]}, "None is not the ARN"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused_and_leaves_nothing(
    account: Account, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, check=said(message)):
        account.create(**changes)
    assert account.fis.list_experiment_templates()[0] == []


def test_an_action_that_there_is_not_is_not_found(account: Account) -> None:
    with pytest.raises(NotFound, check=said("Action with ID aws:ecs:stop-task not found")):
        account.create(actions={"a": act("a") | {"actionId": "aws:ecs:stop-task"}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": {f"a{n}": act("a", *(["a0"] if n else [])) for n in range(21)}}, "21 actions"),
        ({"actions": {f"a{n}": act("a") for n in range(11)}}, "11 actions .* in parallel"),
        ({"stop_conditions": alarms(*[f"{ALARM}{n}" for n in range(6)])}, "6 stop conditions"),
    ],
)
def test_a_template_beyond_a_quota_is_refused(
    account: Account, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(QuotaExceeded, check=said(message)) as caught:
        account.create(**changes)
    assert caught.value.code == 402


def test_a_template_at_all_quotas_is_taken(account: Account) -> None:
    account.create(
        actions={f"a{n}": act("a", *([f"a{n - 10}"] if n >= 10 else [])) for n in range(20)},
        stop_conditions=alarms(*[f"{ALARM}{n}" for n in range(5)]),
    )


def test_a_duration_of_twelve_hours_is_taken(account: Account) -> None:
    account.create(**of(tagged(), parameters={"as": "a", "duration": "PT12H"}))


def test_an_action_says_which_parameters_it_needs(account: Account) -> None:
    parameters = account.fis.get_action("test:act")["parameters"]
    assert {name: each["required"] for name, each in parameters.items()} == {
        "as": True, "duration": False,
    }  # fmt: skip


def test_there_are_at_most_five_hundred_templates(account: Account) -> None:
    for _ in range(500):
        account.create()
    with pytest.raises(QuotaExceeded, check=said("500 experiment templates")):
        account.create()


def test_an_update_changes_what_is_given_and_is_checked_as_a_whole(account: Account) -> None:
    template = account.create(**of(tagged()))
    updated = account.fis.update_experiment_template(template, description="other")
    assert updated["description"] == "other"
    assert updated["actions"]["a"]["targets"] == {"Instances": "t"}
    with pytest.raises(InvalidRequest, check=said('Target "t" of action "a" is not defined')):
        account.fis.update_experiment_template(template, targets={})
    with pytest.raises(NotFound):
        account.fis.update_experiment_template("EXTnone", description="other")
    assert account.fis.get_experiment_template(template)["targets"]["t"] == tagged()


def test_a_token_makes_one_template_and_is_free_when_that_is_deleted(account: Account) -> None:
    first = account.create("one")
    assert account.create("one") == first
    with pytest.raises(Conflict, check=said("Client token one was used already")):
        account.create("one", description="other")
    account.fis.delete_experiment_template(first)
    assert account.create("one", description="other") != first
    with pytest.raises(NotFound):
        account.fis.get_experiment_template(first)


def test_tags_come_and_go_and_end_with_what_they_are_on(account: Account) -> None:
    template = account.fis.get_experiment_template(account.create(tags={"a": "1"}))
    arn = template["arn"]
    account.fis.tag_resource(arn, {"b": "2", "a": "3"})
    assert account.fis.list_tags_for_resource(arn) == {"a": "3", "b": "2"}
    account.fis.untag_resource(arn, ["a"])
    assert account.fis.get_experiment_template(template["id"])["tags"] == {"b": "2"}
    with pytest.raises(InvalidRequest, check=said("at most 50 tags")):
        account.fis.tag_resource(arn, {str(n): "" for n in range(50)})
    account.fis.untag_resource(arn, [])
    assert account.fis.list_tags_for_resource(arn) == {}
    account.fis.delete_experiment_template(template["id"])
    with pytest.raises(NotFound):
        account.fis.tag_resource(arn, {"c": "1"})


names = st.text("ab", min_size=1, max_size=2)
words = st.sampled_from(["a", "b", "t", "PT1S", "ALL", "COUNT(1)", "none", ALARM, ARN, "test:act"])
texts = st.dictionaries(names, words, max_size=2)


@given(
    actions=st.dictionaries(
        names,
        st.fixed_dictionaries(
            {"actionId": st.sampled_from(["test:act", "aws:ec2:stop-instances", "a"])},
            optional={
                "parameters": texts | st.just({"as": "a"}),
                "targets": texts | st.just({"Instances": "t"}),
                "startAfter": st.lists(names, max_size=2),
            },
        ),
        max_size=4,
    ),
    target=st.fixed_dictionaries(
        {
            "resourceType": st.sampled_from(["aws:ec2:instance", "aws:ec2:subnet", "a"]),
            "selectionMode": words,
        },
        optional={"resourceTags": texts, "resourceArns": st.lists(words), "parameters": texts},
    ),
    condition=st.fixed_dictionaries({"source": words}, optional={"value": words}),
)
def test_any_template_is_refused_in_words_or_runs_to_an_end(
    actions: dict[str, Any], target: dict[str, Any], condition: dict[str, Any]
) -> None:
    account = Account()
    account.launch("i-1")
    account.done = {"a"}
    try:
        template = account.create(
            actions=actions, targets={"t": target}, stop_conditions=[condition]
        )
    except FISException:
        return
    experiment = account.start(template)
    for _ in range(8):
        account.tick()
    assert account.state(experiment)[0] in {"completed", "failed"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"description": None}, "Value null at 'description' failed .*: Member must not be null"),
        ({"description": "x" * 513}, "length less than or equal to 512"),
        ({"description": ""}, "regular expression pattern"),
        ({"roleArn": "short"}, "length greater than or equal to 20"),
        ({"actions": {"a": {}}}, "Value null at 'actions.a.member.actionId'"),
        ({"actions": []}, "Member must be a map"),
        ({"experimentOptions": {"accountTargeting": "none"}}, r"set: \[single-account, multi-acc"),
        ({"tags": {str(n): "" for n in range(51)}}, "length less than or equal to 50"),
    ],
)
def test_a_request_that_is_not_as_aws_models_it_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    shape: Any = get_service_model("fis").operation_model("CreateExperimentTemplate").input_shape
    request = {
        "clientToken": "one",
        "description": "of a test",
        "roleArn": "arn:aws:iam::123456789012:role/fis",
        "stopConditions": [{"source": "none"}],
        "actions": {"a": {"actionId": "test:act"}},
    }
    check_shape(shape, request)
    with pytest.raises(InvalidRequest, check=said(message)):
        check_shape(shape, request | changes)
