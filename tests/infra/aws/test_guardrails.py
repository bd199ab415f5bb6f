"""The guardrails hold for what Terraform would make, and each notices what it is there for."""

import base64
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.infra.aws.configuration.guardrails import GUARDRAILS, Lab
from tests.infra.aws.configuration.terraform import Resource, terraform

Mutant = Callable[[Lab], object]


@pytest.fixture(scope="module")
def made() -> Lab:
    """All that there can be: the tunnel and a fleet, too."""
    with terraform() as program:
        answer = program.change("apply", "fleet_workers=2")
        assert answer.code == 0, answer.err
        resources, outputs = program.state()
    return Lab(resources=resources, outputs=outputs)


@pytest.fixture
def lab(made: Lab) -> Lab:
    return Lab(
        resources=copy.deepcopy(made.resources),
        outputs=copy.deepcopy(made.outputs),
    )


@pytest.mark.parametrize("guardrail", GUARDRAILS, ids=lambda each: each.__name__)
def test_guardrail_holds(guardrail: Callable[[Lab], Iterator[str]], lab: Lab) -> None:
    assert list(guardrail(lab)) == []


def policy(lab: Lab, address: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    """Change the statements of a policy."""
    values = lab.one(address).values
    document = json.loads(values["policy"])
    change(document["Statement"])
    values["policy"] = json.dumps(document)


def trust(lab: Lab, change: Callable[[dict[str, Any]], object]) -> None:
    values = lab.one("aws_iam_role.fis").values
    document = json.loads(values["assume_role_policy"])
    change(document["Statement"][0])
    values["assume_role_policy"] = json.dumps(document)


def first(lab: Lab, kind: str) -> dict[str, Any]:
    return lab.of(kind)[0].values


def attach(lab: Lab) -> None:
    role = lab.one("aws_iam_role.fis").values["name"]
    values = lab.of("iam_role_policy_attachment")[0].values | {"role": role}
    lab.resources.append(
        Resource(address="x", type="aws_iam_role_policy_attachment", values=values)
    )


def tell(lab: Lab, kind: str, name: str, line: str) -> None:
    values = first(lab, kind)
    values[name] = base64.b64encode(f"#!/bin/bash\n{line}\n".encode()).decode()


def open_door(lab: Lab, **rule: Any) -> None:
    values = copy.deepcopy(lab.of("vpc_security_group_ingress_rule")[0].values)
    lab.resources.append(
        Resource(address="x", type="aws_vpc_security_group_ingress_rule", values=values | rule)
    )


def public_subnet(lab: Lab) -> str:
    subnet: str = lab.one("aws_subnet.public[0]").values["id"]
    return subnet


def rename(lab: Lab) -> None:
    """Give the same role more, by its other name."""
    policy(lab, FIS, lambda told: told[0].pop("Condition"))
    lab.one(FIS).values["role"] = lab.one("aws_iam_role.fis").values["name"]


FIS = "aws_iam_role_policy.fis"
SERVER = "aws_iam_role_policy.server"
MUTANTS: list[tuple[str, Mutant]] = [
    # (guardrail, what is done to the lab)
    ("fis_stops", lambda lab: policy(lab, FIS, lambda told: told[0].pop("Condition"))),
    (
        "fis_stops",
        lambda lab: policy(
            lab, FIS, lambda told: told[0]["Condition"]["StringEquals"].popitem() and None
        ),
    ),
    (
        "fis_stops",
        lambda lab: policy(
            lab, FIS, lambda told: told.append(told[0] | {"Condition": {}, "Action": "ec2:Reboot"})
        ),
    ),
    (
        "fis_stops",
        lambda lab: policy(
            lab, FIS, lambda told: told[0].update(Condition={"StringLike": {"ec2:x": "*"}})
        ),
    ),
    ("fis_stops", attach),
    ("fis_stops", lambda lab: trust(lab, lambda told: told.pop("Condition"))),
    ("fis_stops", lambda lab: trust(lab, lambda told: told.update(Principal={"AWS": "*"}))),
    (
        "experiment_picks",
        lambda lab: first(lab, "fis_experiment_template")["target"][0]["resource_tag"].pop(),
    ),
    (
        "experiment_picks",
        lambda lab: first(lab, "fis_experiment_template")["target"][0].update(selection_mode="ALL"),
    ),
    (
        "experiment_picks",
        lambda lab: first(lab, "fis_experiment_template")["target"][0].update(filter=[]),
    ),
    (
        "only_the_servers_bear",
        lambda lab: lab.one("aws_instance.tunnel[0]").values["tags_all"].update(lab.target_tags),
    ),
    (
        "only_the_servers_bear",
        lambda lab: (
            lab.one("module.fleet[0].aws_instance.worker[1]")
            .values["tags_all"]
            .update(lab.target_tags)
        ),
    ),
    (
        "only_the_servers_bear",
        lambda lab: first(lab, "autoscaling_group").update(tag=[]),
    ),
    ("only_the_load_balancer", lambda lab: open_door(lab, cidr_ipv4="0.0.0.0/0")),
    ("only_the_load_balancer", lambda lab: open_door(lab, cidr_ipv4=None, cidr_ipv6="::/0")),
    ("only_the_load_balancer", lambda lab: open_door(lab, from_port=22, to_port=22)),
    ("only_the_load_balancer", lambda lab: open_door(lab, ip_protocol="-1")),
    (
        "only_the_load_balancer",
        lambda lab: open_door(
            lab, security_group_id=lab.one("aws_security_group.database").values["id"]
        ),
    ),
    (
        "nothing_but",
        lambda lab: lab.one("aws_subnet.private[0]").values.update(map_public_ip_on_launch=True),
    ),
    (
        "nothing_but",
        lambda lab: first(lab, "autoscaling_group").update(
            vpc_zone_identifier=[public_subnet(lab)]
        ),
    ),
    ("nothing_but", lambda lab: first(lab, "instance").update(subnet_id=public_subnet(lab))),
    (
        "nothing_but",
        lambda lab: first(lab, "rds_cluster_instance").update(publicly_accessible=True),
    ),
    (
        "no_policy",
        lambda lab: policy(lab, SERVER, lambda told: told[0].update(Action=["s3:Get*"])),
    ),
    ("no_policy", lambda lab: policy(lab, SERVER, lambda told: told[1].update(Action="*"))),
    ("no_policy", lambda lab: policy(lab, SERVER, lambda told: told[1].update(Resource="*"))),
    (
        "instances_ask",
        lambda lab: first(lab, "instance")["metadata_options"][0].update(http_tokens="optional"),
    ),
    ("instances_ask", lambda lab: first(lab, "launch_template").update(metadata_options=[])),
    (
        "no_secret",
        lambda lab: tell(lab, "launch_template", "user_data", "export DB_PASSWORD=hunter2"),
    ),
    (
        "no_secret",
        lambda lab: tell(
            lab, "instance", "user_data_base64", "URL=postgresql://shop:hunter2@host/shop"
        ),
    ),
    ("no_secret", lambda lab: lab.outputs.update(database_password="hunter2")),
    ("no_secret", lambda lab: first(lab, "rds_cluster").update(master_password="hunter2")),
    (
        "what_is_stored",
        lambda lab: first(lab, "launch_template")["block_device_mappings"][0]["ebs"][0].update(
            encrypted="false"
        ),
    ),
    ("what_is_stored", lambda lab: first(lab, "rds_cluster").update(storage_encrypted=False)),
    (
        "what_is_stored",
        lambda lab: first(lab, "rds_cluster_parameter_group").update(parameter=[]),
    ),
    (
        "buckets_are",
        lambda lab: first(lab, "s3_bucket_public_access_block").update(block_public_acls=False),
    ),
    ("buckets_are", lambda lab: first(lab, "s3_bucket_policy").update(policy='{"Statement": []}')),
    ("buckets_are", lambda lab: first(lab, "s3_bucket").update(force_destroy=True)),
    (
        "servers_are_watched",
        lambda lab: first(lab, "lb_target_group")["health_check"][0].update(interval=30),
    ),
    ("servers_are_watched", lambda lab: first(lab, "autoscaling_group").update(max_size=40)),
    ("fis_stops", rename),
    (
        "no_policy",
        lambda lab: first(lab, "iam_role_policy_attachment").update(
            policy_arn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
    ),
    (
        "no_policy",
        lambda lab: first(lab, "iam_role").update(
            managed_policy_arns=["arn:aws:iam::aws:policy/X"]
        ),
    ),
    (
        "nothing_but",
        lambda lab: first(lab, "launch_template").update(
            network_interfaces=[{"associate_public_ip_address": "true"}]
        ),
    ),
    (
        "nothing_is_of_a_kind",
        lambda lab: lab.resources.append(
            Resource(address="x", type="aws_security_group_rule", values={})
        ),
    ),
]


@pytest.mark.parametrize(("guardrail", "mutant"), MUTANTS)
def test_breach_is_noticed_by_its_own_guardrail_alone(
    lab: Lab, guardrail: str, mutant: Mutant
) -> None:
    mutant(lab)
    noticed = [each.__name__ for each in GUARDRAILS if list(each(lab))]
    assert len(noticed) == 1
    assert noticed[0].startswith(guardrail)


def test_every_guardrail_has_a_mutant() -> None:
    for each in GUARDRAILS:
        assert any(each.__name__.startswith(guardrail) for guardrail, _ in MUTANTS), each
