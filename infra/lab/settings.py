"""The lab's settings: how many servers, how fast the architecture reacts.

Two profiles. `article` has the article's health check and an AWS-like pace, shortened only
where waiting teaches nothing (booting an instance). `fast` is for tests. Any setting can be
overridden by an environment variable of its name with `LAB_` before it.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.lab.errors import BadSetting
from infra.near_miss import did_you_mean, near_misses


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSettings:
    """All of the lab's settings. Times are in seconds."""

    # Listening. A port of 0 is any free one.
    load_balancer_port: int = 0
    instance_port: int = 8000
    # 1: all instances on 127.0.0.1 with a port each, as where there is no other address (macOS).
    one_address: int = 0
    # The Auto Scaling group.
    min_size: int = 2
    max_size: int = 4
    desired_capacity: int = 2
    health_check_grace_s: float = 45.0
    scaling_interval_s: float = 5.0
    # A target that the load balancer has failed is replaced when it has been so for this long.
    unhealthy_limit_s: float = 5.0
    # From when an instance's state in EC2 is stopping, stopped, shutting-down or terminated until
    # the load balancer and the Auto Scaling group know. Assumed: AWS documents no such time. In the
    # article requests still went to the stopped server 16 s after the first had failed; had the
    # group known before, it would have deregistered it, so both are taken to hear of it together.
    ec2_state_delay_s: float = 16.0
    # The target group, as in the article.
    health_check_interval_s: float = 10.0
    health_check_timeout_s: float = 5.0
    unhealthy_threshold: int = 3
    healthy_threshold: int = 2
    deregistration_delay_s: float = 10.0
    target_connect_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    # An instance's life: until it is running, until its server starts, from the request to
    # stop until it is off (refusing connections meanwhile), from the request to terminate.
    pending_s: float = 4.0
    boot_s: float = 4.0
    stopping_s: float = 7.0
    shutting_down_s: float = 2.0
    # FIS: until an experiment is running.
    initiating_s: float = 2.0
    # What lasts for a while lasts this long in the experiments that the lab comes with.
    fault_s: float = 20.0
    # The database: from when it goes until it comes back, and whether a COMMIT waits for the disk.
    database_away_s: float = 4.0
    synchronous_commit: str = "on"
    # How much longer a COMMIT takes (100 ms at most): this machine's disk is near, and a database
    # that has its log in three zones waits for two of them.
    commit_delay_ms: int = 0
    # Pieces of each product; 0: what the shop starts with.
    stock: int = 0
    # The shop: the WSGI application that its servers serve, as gunicorn names it. Another one is
    # served in the same way, on the shop's own tables, and found from here or by PYTHONPATH.
    shop_app: str = "shop.wsgi:app"
    shop_workers: int = 4
    stock_factor: int = 100
    # How often the supervisor looks around.
    tick_s: float = 0.1


COMMIT_DELAY_MAX_MS = 100
_APPLICATION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")

PROFILES: dict[str, LabSettings] = {
    "article": LabSettings(),
    "fast": LabSettings(
        health_check_grace_s=8.0,
        scaling_interval_s=0.5,
        unhealthy_limit_s=2.0,
        ec2_state_delay_s=3.5,
        health_check_interval_s=1.0,
        health_check_timeout_s=1.0,
        deregistration_delay_s=1.0,
        target_connect_timeout_s=4.0,
        pending_s=0.5,
        boot_s=0.2,
        stopping_s=2.0,
        shutting_down_s=0.5,
        initiating_s=0.3,
        fault_s=4.0,
        database_away_s=1.5,
        shop_workers=3,
        tick_s=0.05,
    ),
}


VARIABLES = {f"LAB_{field.name.upper()}": field for field in dataclasses.fields(LabSettings)}


def settings_from(environment: Mapping[str, str]) -> LabSettings:
    """The profile named by LAB_PROFILE (default `article`) with LAB_<SETTING> on top.

    Raises:
        BadSetting: naming the variable and what it may be.

    """
    name = environment.get("LAB_PROFILE", "article")
    if name not in PROFILES:
        meant = did_you_mean(name, PROFILES)
        raise BadSetting(f"LAB_PROFILE={name}: {meant}choose one of {', '.join(sorted(PROFILES))}")
    settings = PROFILES[name]
    # One that is like none of ours may be another program's.
    named = [each for each in environment if each.startswith("LAB_")]
    for misspelt, meant in near_misses(named, ["LAB_PROFILE", *VARIABLES]):
        raise BadSetting(f"{misspelt}: the lab has no such setting; did you mean {meant}?")
    changes: dict[str, Any] = {
        field.name: _value(variable, environment[variable], default=getattr(settings, field.name))
        for variable, field in VARIABLES.items()
        if variable in environment
    }
    changed = dataclasses.replace(settings, **changes)
    if changed.commit_delay_ms > COMMIT_DELAY_MAX_MS:
        raise BadSetting(
            f"LAB_COMMIT_DELAY_MS={changed.commit_delay_ms}: must be at most {COMMIT_DELAY_MAX_MS}"
        )
    if not changed.min_size <= changed.desired_capacity <= changed.max_size:
        raise BadSetting(
            f"LAB_DESIRED_CAPACITY={changed.desired_capacity}: must be from LAB_MIN_SIZE "
            f"({changed.min_size}) to LAB_MAX_SIZE ({changed.max_size})"
        )
    return changed


def _value(variable: str, text: str, *, default: str | float) -> str | int | float:
    if not isinstance(default, str):
        return _number(variable, text, whole=isinstance(default, int))
    if variable == "LAB_SYNCHRONOUS_COMMIT":
        if text not in {"on", "off"}:
            raise BadSetting(f"{variable}={text}: must be on or off")
        return text
    if not _APPLICATION.fullmatch(text):
        raise BadSetting(f"{variable}={text}: must be a WSGI application, as package.module:app")
    return text


def _number(variable: str, text: str, *, whole: bool) -> int | float:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number of seconds"
        raise BadSetting(f"{variable}={text}: must be {kind}") from None
    if not 0 <= value < 1e6:  # noqa: PLR2004  (no setting of ours is meant to be larger)
        raise BadSetting(f"{variable}={text}: must not be negative, nor a million or more")
    if variable.endswith("_PORT") and value > 65535:  # noqa: PLR2004  (the largest there is)
        raise BadSetting(f"{variable}={text}: must be a port, at most 65535")
    return value
