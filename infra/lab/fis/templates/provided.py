"""The FIS experiment templates that the lab comes with, one for each file in infra/experiments."""

import json
from collections.abc import Mapping
from typing import Any

from infra.lab.cloud.names import REGION, TARGET_TAG

_TAGS = {TARGET_TAG[0]: TARGET_TAG[1]}
_RUNNING = [{"path": "State.Name", "values": ["running"]}]


def templates(*, fault_s: float) -> Mapping[str, Mapping[str, Any]]:
    """Name -> description, targets and actions. What has a duration lasts `fault_s` seconds."""
    duration = _duration(fault_s)
    return {
        "stop-one-server": {
            "description": "Stop one server of the shop",
            **_on_servers("stop-server", "aws:ec2:stop-instances"),
        },
        "terminate-one-server": {
            "description": "Terminate one server of the shop",
            **_on_servers("terminate-server", "aws:ec2:terminate-instances"),
        },
        "power-off-one-server": {
            "description": "Cut the power of one server of the shop",
            **_on_servers("power-off-server", "lab:power-off"),
        },
        "cut-one-zone": {
            "description": "Cut one zone of the shop off from everything",
            "targets": {"one-zone": _target("aws:ec2:subnet", "COUNT(1)")},
            "actions": {
                "cut-zone": {
                    "actionId": "aws:network:disrupt-connectivity",
                    "targets": {"Subnets": "one-zone"},
                    "parameters": {"scope": "all", "duration": duration},
                }
            },
        },
        "database-failover": {
            "description": "Fail the shop's database over",
            "targets": {"database": _target("aws:rds:cluster", "ALL")},
            "actions": {"fail-over": _failover()},
        },
        "stop-during-flash-sale": {
            "description": "Stop one server of the shop while it sells out",
            **_on_servers("stop-server", "aws:ec2:stop-instances"),
        },
        "everything-at-once": _everything(fault_s),
    }


def _everything(fault_s: float) -> dict[str, Any]:
    """Busy processors and a failover at once, and in the middle of it a server is stopped."""
    stress = {"DurationSeconds": str(max(round(fault_s), 1)), "CPU": "1", "LoadPercent": "80"}
    return {
        "description": "Fail over, keep processors busy, and stop one server",
        "targets": {
            "one-server": _target("aws:ec2:instance", "COUNT(1)", filters=_RUNNING),
            "database": _target("aws:rds:cluster", "ALL"),
        },
        "actions": {
            "stress-server": {
                "actionId": "aws:ssm:send-command",
                "targets": {"Instances": "one-server"},
                "parameters": {
                    "documentArn": f"arn:aws:ssm:{REGION}::document/AWSFIS-Run-CPU-Stress",
                    "documentParameters": json.dumps(stress),
                    "duration": _duration(fault_s),
                },
            },
            "fail-over": _failover(),
            "wait": {
                "actionId": "aws:fis:wait",
                "parameters": {"duration": _duration(fault_s / 4)},
            },
            "stop-server": {
                "actionId": "aws:ec2:stop-instances",
                "targets": {"Instances": "one-server"},
                "startAfter": ["wait"],
            },
        },
    }


def _on_servers(name: str, action_id: str) -> dict[str, Any]:
    return {
        "targets": {"one-server": _target("aws:ec2:instance", "COUNT(1)", filters=_RUNNING)},
        "actions": {name: {"actionId": action_id, "targets": {"Instances": "one-server"}}},
    }


def _target(resource_type: str, mode: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": resource_type, "resourceTags": _TAGS, "selectionMode": mode, **more}


def _failover() -> dict[str, Any]:
    return {"actionId": "aws:rds:failover-db-cluster", "targets": {"Clusters": "database"}}


def _duration(seconds: float) -> str:
    return f"PT{max(round(seconds), 1)}S"
