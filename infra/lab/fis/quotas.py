"""FIS's default quotas, as AWS lists them. What AWS would raise on request is not raised here."""

from collections.abc import Mapping

TEMPLATES = 500
ACTIONS_PER_TEMPLATE = 20
STOP_CONDITIONS_PER_TEMPLATE = 5
PARALLEL_ACTIONS = 10
ACTIVE_EXPERIMENTS = 5
TAGS = 50
ACTION_DURATION_S = 12 * 3600.0
EXPERIMENT_DURATION_S = 12 * 3600.0

# Resources that one action may act on at once.
RESOURCES_PER_ACTION: Mapping[str, int] = dict.fromkeys(
    (
        "aws:ec2:stop-instances",
        "aws:ec2:terminate-instances",
        "aws:ec2:reboot-instances",
        "aws:network:disrupt-connectivity",
        "aws:rds:failover-db-cluster",
        "aws:rds:reboot-db-instances",
        "aws:ssm:send-command",
    ),
    5,
)
