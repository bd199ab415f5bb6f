"""Calls that the lab refuses, since moto would record them and nothing would come of it.

Each with an error that AWS's own model of that call names, and words that say what the lab does.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.utils import camelcase_to_underscores
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.responses import ELBV2Response
from moto.rds.exceptions import RDSClientError
from moto.rds.responses import RDSResponse

from infra.lab.cloud.calls.replacement import Replacement
from infra.lab.cloud.names import CLUSTER, LOAD_BALANCER, WRITER


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error's code and text, for all calls or for those on the lab's own.

    `parameter` names the thing that is called on; `ours` is a pattern of the lab's own.
    """

    code: str
    text: str
    parameter: str = ""
    ours: str = ".*"

    def fits(self, asked: Mapping[str, Any]) -> bool:
        """Whether a call with these parameters is refused."""
        name = str(asked.get(self.parameter) or "")
        return re.fullmatch(self.ours, name, re.IGNORECASE) is not None


_NO_REFRESH = "The lab makes no instance refresh, and there is none"
_BALANCER = "The lab's load balancer is Envoy, which is set up when the lab is raised"
_DATABASE = "The lab's database is PostgreSQL, which is there as long as the lab is"
_CLUSTER = ("DBClusterIdentifier", f"(.*:)?{CLUSTER}")
_INSTANCE = ("DBInstanceIdentifier", f"(.*:)?{WRITER}")
_ALB = f".*/{LOAD_BALANCER}/.*"

# Service and call -> how it is refused.
REFUSED: Mapping[tuple[str, str], Refusal] = {
    ("autoscaling", "StartInstanceRefresh"): Refusal(
        "LimitExceeded",
        "The lab makes no instance refresh; terminate instances and it replaces them",
    ),
    ("autoscaling", "CancelInstanceRefresh"): Refusal("ActiveInstanceRefreshNotFound", _NO_REFRESH),
    ("autoscaling", "RollbackInstanceRefresh"): Refusal(
        "ActiveInstanceRefreshNotFound", _NO_REFRESH
    ),
    ("autoscaling", "PutLifecycleHook"): Refusal(
        "LimitExceeded", "The lab's Auto Scaling group waits for no lifecycle hook"
    ),
    ("autoscaling", "PutScheduledUpdateGroupAction"): Refusal(
        "LimitExceeded", "The lab's Auto Scaling group has no clock; set its size when it is time"
    ),
    ("autoscaling", "PutWarmPool"): Refusal(
        "LimitExceeded", "The lab's Auto Scaling group has no warm pool"
    ),
    ("elbv2", "ModifyListener"): Refusal(
        "InvalidConfigurationRequest", _BALANCER, "ListenerArn", _ALB
    ),
    ("elbv2", "DeleteListener"): Refusal("ResourceInUse", _BALANCER, "ListenerArn", _ALB),
    ("elbv2", "CreateRule"): Refusal("TooManyRules", _BALANCER, "ListenerArn", _ALB),
    ("elbv2", "DeleteLoadBalancer"): Refusal(
        "OperationNotPermitted", _BALANCER, "LoadBalancerArn", _ALB
    ),
    ("elbv2", "SetSubnets"): Refusal(
        "InvalidConfigurationRequest", _BALANCER, "LoadBalancerArn", _ALB
    ),
    ("elbv2", "SetSecurityGroups"): Refusal(
        "InvalidConfigurationRequest", _BALANCER, "LoadBalancerArn", _ALB
    ),
    ("rds", "StartDBCluster"): Refusal("InvalidDBClusterStateFault", _DATABASE, *_CLUSTER),
    ("rds", "StopDBCluster"): Refusal("InvalidDBClusterStateFault", _DATABASE, *_CLUSTER),
    ("rds", "ModifyDBCluster"): Refusal("InvalidDBClusterStateFault", _DATABASE, *_CLUSTER),
    ("rds", "RebootDBCluster"): Refusal(
        "InvalidDBClusterStateFault", "It is no Multi-AZ DB cluster; reboot its instance", *_CLUSTER
    ),
    ("rds", "DeleteDBCluster"): Refusal("InvalidDBClusterStateFault", _DATABASE, *_CLUSTER),
    ("rds", "StartDBInstance"): Refusal("InvalidDBInstanceState", _DATABASE, *_INSTANCE),
    ("rds", "StopDBInstance"): Refusal("InvalidDBInstanceState", _DATABASE, *_INSTANCE),
    ("rds", "ModifyDBInstance"): Refusal("InvalidDBInstanceState", _DATABASE, *_INSTANCE),
    ("rds", "DeleteDBInstance"): Refusal("InvalidDBInstanceState", _DATABASE, *_INSTANCE),
}
# Service -> where moto answers its calls, and moto's error, which knows the service's model.
_SERVICES = {
    "autoscaling": (AutoScalingResponse, AutoscalingClientError),
    "elbv2": (ELBV2Response, ELBClientError),
    "rds": (RDSResponse, RDSClientError),
}


def replacements() -> Iterator[Replacement]:
    """For each call in the table, one that refuses it."""
    for (service, call), refusal in REFUSED.items():
        owner, error = _SERVICES[service]
        name = camelcase_to_underscores(call)
        answers = getattr(owner, name, None)
        yield Replacement(owner, name, _refusing(refusal, error, answers), is_new=answers is None)


def _refusing(
    refusal: Refusal, error: type[ServiceException], answers: Callable[..., Any] | None
) -> Callable[..., Any]:
    def answer(response: Any) -> Any:
        if answers is None or refusal.fits(response.params):
            raise error(refusal.code, f"{refusal.text}.")
        return answers(response)

    return answer
