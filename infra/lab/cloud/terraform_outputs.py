"""The lab as Terraform's outputs would tell of it, so that TARGET=aws can be rehearsed here."""

from typing import Any

from infra.lab.cloud.clients import clients_of
from infra.lab.cloud.names import ACCOUNT, GROUP, PROJECT, REGION, TARGET_TAG
from infra.lab.database.data_api import CLUSTER_ARN, SECRET_ARN
from infra.lab.supervision.lab_folder import LabState

DATABASE = "shop"


def outputs(state: LabState) -> dict[str, dict[str, Any]]:
    """As `terraform output -json` prints those of infra/aws/outputs.tf: {NAME: {"value": ...}}.

    The load balancer's name has its port, since it is not 80.
    """
    clients = clients_of(state.aws_endpoint)
    group = clients("elbv2").describe_target_groups()["TargetGroups"][0]
    pages = clients("fis").get_paginator("list_experiment_templates").paginate()
    templates = {
        each["tags"].get("Name"): each["id"]
        for page in pages
        for each in page["experimentTemplates"]
    }
    values = {
        "region": REGION,
        "account_id": ACCOUNT,
        "name": PROJECT,
        "alb_dns_name": state.host.removeprefix("http://"),
        "target_group_arn": group["TargetGroupArn"],
        "asg_name": GROUP,
        "fis_experiment_template_id": templates["stop-one-server"],
        "target_tags": {TARGET_TAG[0]: TARGET_TAG[1], "Project": PROJECT},
        "aurora_endpoint": "127.0.0.1",
        "aurora_cluster_arn": CLUSTER_ARN,
        "database_secret_arn": SECRET_ARN,
        "database_name": DATABASE,
        "access_log_bucket": f"{PROJECT}-access-log",
        "access_log_prefix": "alb",
    }
    return {name: {"value": value} for name, value in values.items()}
