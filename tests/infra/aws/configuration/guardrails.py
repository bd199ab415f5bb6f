"""What must never be true of the lab on AWS, looked for in what Terraform would make.

Each guardrail takes the resources and the outputs and yields a line per breach.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_network
from typing import Any

from tests.infra.aws.configuration.terraform import Resource

Statement = dict[str, Any]

WORLD = 8  # a prefix shorter than this one is nobody's own network
# AWS offers no narrower resource than * for these.
UNSCOPED = re.compile(
    r"(ec2|elasticloadbalancing|autoscaling|cloudwatch):Describe\w+"
    r"|fis:(GetSafetyLever|List\w+)"
    r"|logs:(CreateLogDelivery|DescribeLogGroups|DescribeResourcePolicies|PutResourcePolicy)"
)
MANAGED = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
SECRET_NAME = re.compile(r"(?i)password|passwd|token|secret(?!_arn\b)|access_key")
SECRET_TEXT = re.compile(
    r"(?i)postgres(ql)?://[^\s/]*:[^\s/]*@|AKIA[0-9A-Z]{16}|BEGIN \w* ?PRIVATE"
)


@dataclass(frozen=True, kw_only=True)
class Lab:
    """What Terraform would make."""

    resources: list[Resource]
    outputs: dict[str, Any]

    @cached_property
    def target_tags(self) -> dict[str, str]:
        tags: dict[str, str] = self.outputs["target_tags"]
        return tags

    def of(self, *types: str) -> list[Resource]:
        """All resources of these types, `aws_` left out."""
        return [each for each in self.resources if each.type.removeprefix("aws_") in types]

    def one(self, address: str) -> Resource:
        """The resource of that address."""
        return next(each for each in self.resources if each.address == address)

    def policies(self) -> Iterator[tuple[Resource, Statement]]:
        """Every statement of every policy that gives something to a role of ours."""
        for each in self.of("iam_role_policy", "iam_policy"):
            for statement in json.loads(each.values["policy"])["Statement"]:
                yield each, statement


def _words(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def fis_stops_only_what_is_tagged(lab: Lab) -> Iterator[str]:
    role = lab.one("aws_iam_role.fis").values
    itself = {role["name"], role["id"], role["arn"]}
    if any(each.values["role"] in itself for each in lab.of("iam_role_policy_attachment")):
        yield "a managed policy is attached to FIS's role"
    for each, statement in lab.policies():
        if each.values.get("role") not in itself:
            continue
        wanted = {f"ec2:ResourceTag/{key}": value for key, value in lab.target_tags.items()}
        acting = [word for word in _words(statement["Action"]) if not UNSCOPED.fullmatch(word)]
        if "NotAction" in statement or "NotResource" in statement:
            yield f"{each.address} allows all but something"
        if acting and statement.get("Condition", {}).get("StringEquals") != wanted:
            yield f"{each.address} allows {', '.join(acting)} on what bears no tag"
    yield from _trust_is_for_experiments(lab, role)


def _trust_is_for_experiments(lab: Lab, role: dict[str, Any]) -> Iterator[str]:
    (trust,) = json.loads(role["assume_role_policy"])["Statement"]
    condition = trust.get("Condition", {})
    if trust["Principal"] != {"Service": "fis.amazonaws.com"}:
        yield "somebody other than FIS may take FIS's role"
    if condition.get("StringEquals", {}).get("aws:SourceAccount") != lab.outputs["account_id"]:
        yield "FIS may take its role for another account"
    if ":experiment/" not in condition.get("ArnLike", {}).get("aws:SourceArn", ""):
        yield "FIS may take its role for other things than an experiment"


def experiment_picks_one_running_target(lab: Lab) -> Iterator[str]:
    for template in lab.of("fis_experiment_template"):
        for target in template.values["target"]:
            tags = {each["key"]: each["value"] for each in target["resource_tag"]}
            if tags != lab.target_tags or target["resource_arns"]:
                yield f"{template.address} looks for other tags than the role may touch"
            if target["selection_mode"] != "COUNT(1)":
                yield f"{template.address} picks {target['selection_mode']}"
            if {"path": "State.Name", "values": ["running"]} not in target["filter"]:
                yield f"{template.address} may pick what was terminated"
        if template.values["experiment_options"][0]["empty_target_resolution_mode"] != "fail":
            yield f"{template.address} succeeds without a target"


def only_the_servers_bear_the_target_tags(lab: Lab) -> Iterator[str]:
    (group,) = lab.of("autoscaling_group")
    handed_on = {
        each["key"]: each["value"] for each in group.values["tag"] if each["propagate_at_launch"]
    }
    if not lab.target_tags.items() <= handed_on.items():
        yield f"{group.address} hands on no target tags"
    if set(lab.target_tags) - {"Project"} == set():
        yield "there is no tag of the targets' own"
    for each in lab.of("instance"):
        if lab.target_tags.items() <= each.values["tags_all"].items():
            yield f"{each.address} is a target"
    for each in lab.of("launch_template"):
        for specification in each.values["tag_specifications"]:
            is_target = lab.target_tags.items() <= (specification["tags"] or {}).items()
            if is_target and specification["resource_type"] == "instance":
                yield f"{each.address} makes targets"


def only_the_load_balancer_is_open(lab: Lab) -> Iterator[str]:
    door = lab.one("aws_security_group.alb").values["id"]
    for each in lab.of("vpc_security_group_ingress_rule"):
        values = each.values
        network = values["cidr_ipv4"] or values["cidr_ipv6"]
        if values["prefix_list_id"]:
            yield f"{each.address} lets a prefix list in"
        if network and (values["security_group_id"], values["to_port"]) != (door, 80):
            yield f"{each.address} lets {network} in, and is not the load balancer's"
        if network and ip_network(network).prefixlen < WORLD:
            yield f"{each.address} lets the world in"
        if values["ip_protocol"] != "tcp" or values["from_port"] is None:
            yield f"{each.address} lets in more than a port"
    for each in lab.of("security_group", "default_security_group"):
        if any(rule for rule in each.values["ingress"] or ()):
            yield f"{each.address} has rules of its own"


def nothing_but_the_load_balancer_is_reachable(lab: Lab) -> Iterator[str]:
    public = {each.values["id"] for each in lab.of("subnet") if ".public[" in each.address}
    for each in lab.of("subnet"):
        if each.values["map_public_ip_on_launch"]:
            yield f"{each.address} gives public addresses"
    for each in lab.of("instance"):
        if each.values["subnet_id"] in public or each.values["associate_public_ip_address"]:
            yield f"{each.address} has a public address"
    for each in lab.of("autoscaling_group", "db_subnet_group"):
        if public & set(each.values.get("vpc_zone_identifier") or each.values["subnet_ids"]):
            yield f"{each.address} is in a public subnet"
    for each in lab.of("rds_cluster_instance", "launch_template"):
        if each.values.get("publicly_accessible") or each.values.get("network_interfaces"):
            yield f"{each.address} may have a public address"


def no_policy_allows_a_wildcard(lab: Lab) -> Iterator[str]:
    for each, statement in lab.policies():
        for action in _words(statement.get("Action", "*")):
            if "*" in action:
                yield f"{each.address} allows {action}"
            elif "*" in _words(statement["Resource"]) and not UNSCOPED.fullmatch(action):
                yield f"{each.address} allows {action} on everything"
    own = {each.values["arn"] for each in lab.of("iam_policy")}
    for each in lab.of("iam_role_policy_attachment"):
        if each.values["policy_arn"] not in own | {MANAGED}:
            yield f"{each.address} gives what AWS wrote for everybody"
    for each in lab.of("iam_role"):
        if each.values["inline_policy"] or each.values["managed_policy_arns"]:
            yield f"{each.address} has policies that are not looked at"


def instances_ask_for_a_token(lab: Lab) -> Iterator[str]:
    for each in lab.of("instance", "launch_template"):
        (options,) = each.values["metadata_options"] or [{}]
        if options.get("http_tokens") != "required":
            yield f"{each.address} answers IMDSv1"
        if options.get("http_put_response_hop_limit") != 1:
            yield f"{each.address} answers metadata beyond itself"


def no_secret_is_told(lab: Lab) -> Iterator[str]:
    for each in lab.of("instance", "launch_template"):
        text = _user_data(each)
        for name in re.findall(r"(?:^|\")(?:export )?(\w+)=", text, re.MULTILINE):
            if SECRET_NAME.search(name):
                yield f"{each.address} is told {name} in its user data"
        if SECRET_TEXT.search(text):
            yield f"{each.address} is told a secret in its user data"
    for name, value in lab.outputs.items():
        if SECRET_NAME.search(name) or SECRET_TEXT.search(json.dumps(value)):
            yield f"output {name} is a secret"
    for each in lab.of("rds_cluster"):
        if each.values["master_password"] or not each.values["manage_master_user_password"]:
            yield f"{each.address} has its password in Terraform's state"


def _user_data(machine: Resource) -> str:
    text = machine.values.get("user_data_base64") or machine.values["user_data"]
    try:
        return base64.b64decode(text, validate=True).decode()
    except binascii.Error:
        return str(text)


def what_is_stored_and_said_is_encrypted(lab: Lab) -> Iterator[str]:
    for each in lab.of("launch_template"):
        if not all(_is_on(device["ebs"][0]["encrypted"]) for device in _devices(each)):
            yield f"{each.address} has a plain disk"
    for each in lab.of("instance"):
        if not all(_is_on(device["encrypted"]) for device in each.values["root_block_device"]):
            yield f"{each.address} has a plain disk"
    for each in lab.of("rds_cluster"):
        if not each.values["storage_encrypted"]:
            yield f"{each.address} has a plain disk"
    for each in lab.of("rds_cluster_parameter_group"):
        settings = {one["name"]: one["value"] for one in each.values["parameter"]}
        if settings.get("rds.force_ssl") != "1":
            yield f"{each.address} lets clients in without TLS"


def _devices(template: Resource) -> list[dict[str, Any]]:
    devices: list[dict[str, Any]] = template.values["block_device_mappings"]
    return devices


def _is_on(value: bool | str) -> bool:
    return str(value).lower() == "true"


def buckets_are_private(lab: Lab) -> Iterator[str]:
    for bucket in lab.of("s3_bucket"):
        beside = {
            each.type.removeprefix("aws_s3_bucket_"): each.values
            for each in lab.resources
            if each.values.get("bucket") == bucket.values["id"]
        }
        block = beside.get("public_access_block", {})
        if not all(block.get(name) for name in _BLOCKS):
            yield f"{bucket.address} may become public"
        if "server_side_encryption_configuration" not in beside:
            yield f"{bucket.address} is not encrypted"
        policy = beside.get("policy", {}).get("policy", '{"Statement": []}')
        statements = json.loads(policy)["Statement"]
        if not any(each["Effect"] == "Deny" and _wants_tls(each) for each in statements):
            yield f"{bucket.address} answers without TLS"
        for each in statements:
            if each["Effect"] == "Allow" and "Service" not in dict(each["Principal"]):
                yield f"{bucket.address} lets somebody in by its policy"
        if bucket.values["force_destroy"]:
            yield f"{bucket.address} is emptied without a word"


_BLOCKS = (
    "block_public_acls",
    "block_public_policy",
    "ignore_public_acls",
    "restrict_public_buckets",
)


def _wants_tls(statement: Statement) -> bool:
    condition = statement.get("Condition", {}).get("Bool", {})
    return bool(condition.get("aws:SecureTransport") == "false")


def servers_are_watched_as_in_the_article(lab: Lab) -> Iterator[str]:
    (target,) = lab.of("lb_target_group")
    (check,) = target.values["health_check"]
    article = ("/health", 10, 5, 3, 2, "200")
    told = ("path", "interval", "timeout", "unhealthy_threshold", "healthy_threshold", "matcher")
    if tuple(check[name] for name in told) != article:
        yield f"{target.address} checks health in another way"
    (group,) = lab.of("autoscaling_group")
    names = ("min_size", "max_size", "desired_capacity", "health_check_grace_period")
    if tuple(group.values[name] for name in names) != (2, 4, 2, 120):
        yield f"{group.address} has other sizes"
    if group.values["health_check_type"] != "ELB":
        yield f"{group.address} does not ask the load balancer"


def nothing_is_of_a_kind_that_nobody_looks_at(lab: Lab) -> Iterator[str]:
    for each in lab.resources:
        if each.type.removeprefix("aws_") not in LOOKED_AT:
            yield f"{each.address}: think of what it opens or allows, and add its kind to LOOKED_AT"


# Another kind of rule or policy would pass all of the above unseen.
LOOKED_AT = frozenset(
    [
        "autoscaling_group",
        "cloudwatch_dashboard",
        "cloudwatch_log_group",
        "cloudwatch_metric_alarm",
        "db_subnet_group",
        "default_security_group",
        "eip",
        "fis_experiment_template",
        "iam_instance_profile",
        "iam_policy",
        "iam_role",
        "iam_role_policy",
        "iam_role_policy_attachment",
        "instance",
        "internet_gateway",
        "launch_template",
        "lb",
        "lb_listener",
        "lb_target_group",
        "nat_gateway",
        "rds_cluster",
        "rds_cluster_instance",
        "rds_cluster_parameter_group",
        "route",
        "route_table",
        "route_table_association",
        "s3_bucket",
        "s3_bucket_lifecycle_configuration",
        "s3_bucket_policy",
        "s3_bucket_public_access_block",
        "s3_bucket_server_side_encryption_configuration",
        "s3_object",
        "security_group",
        "subnet",
        "vpc",
        "vpc_endpoint",
        "vpc_security_group_egress_rule",
        "vpc_security_group_ingress_rule",
    ]
)


GUARDRAILS: tuple[Callable[[Lab], Iterator[str]], ...] = (
    fis_stops_only_what_is_tagged,
    experiment_picks_one_running_target,
    only_the_servers_bear_the_target_tags,
    only_the_load_balancer_is_open,
    nothing_but_the_load_balancer_is_reachable,
    no_policy_allows_a_wildcard,
    instances_ask_for_a_token,
    no_secret_is_told,
    what_is_stored_and_said_is_encrypted,
    buckets_are_private,
    servers_are_watched_as_in_the_article,
    nothing_is_of_a_kind_that_nobody_looks_at,
)
