"""FIS experiments of this account and Region: whose they are, who lives, and what a dead run left.

Each of ours bears its run's id and its owner, a process of a machine; only its owner stops it, or
whoever finds that owner dead.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from harness.faults.fis.targets import AWS_ERRORS, Clients, reason_of

RUN_TAG, FAULT_TAG, OWNER_TAG = "ChaosRun", "ChaosFault", "ChaosOwner"
OVER = frozenset({"completed", "stopped", "failed", "cancelled"})
_TOKENS = uuid.UUID("5b0c1f0e-6f0a-4b0e-9a54-2f7d9d3c7a11")
_STOP_FOR_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One as ListExperiments has it. `created_at` in seconds since the epoch."""

    id: str
    state: str
    created_at: float
    tags: Mapping[str, str]
    is_rehearsal: bool

    @property
    def is_over(self) -> bool:
        """Whether it does nothing any more."""
        return self.state in OVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What has been done under a run's id: the token to use next, or why none may be."""

    token: str
    why_not: str = ""


def owner() -> str:
    """Name this process, so that no other one, of any machine or container, has its name."""
    began = psutil.Process().create_time()
    return f"{_here()}/{os.getpid()}/{began:.2f}"


def is_dead(name: str) -> bool | None:
    """Whether an owner has ended; None where it is of elsewhere, so that nobody here can know."""
    here, _, rest = name.rpartition("/")[0].rpartition("/")
    if here != _here() or not rest.isdecimal():
        return None
    try:
        began = psutil.Process(int(rest)).create_time()
    except psutil.NoSuchProcess:
        return True
    return f"{began:.2f}" != name.rpartition("/")[2]


def list_experiments(clients: Clients) -> list[Experiment]:
    """Return all that FIS tells of. Raises AWS_ERRORS."""
    pages = clients.fis.get_paginator("list_experiments").paginate()
    return [_experiment(each) for page in pages for each in page["experiments"]]


def find_uses(clients: Clients, *, run_id: str, number: int, run_started_at: float) -> Used:
    """Return the client token for a run's fault, the same for whoever runs under this id now.

    So two masters with one id start one experiment, whichever asks first. What an earlier run of
    this id has done is over and makes it another token. Raises AWS_ERRORS.
    """
    before = 0
    for each in list_experiments(clients):
        if each.tags.get(RUN_TAG) != run_id or each.tags.get(FAULT_TAG) != str(number):
            continue
        if not each.is_over or each.created_at >= run_started_at:
            why = f"{each.id} was started under this run's id by {each.tags.get(OWNER_TAG, '?')}"
            return Used(token="", why_not=f"{why}, and there is never a second one")
        before += 1
    return Used(token=str(uuid.uuid5(_TOKENS, f"{run_id}/{number}/{before}")))


def targets_of(clients: Clients, experiment_id: str) -> list[str]:
    """Return whom an experiment hits, as far as FIS has resolved that. Raises AWS_ERRORS."""
    pages = clients.fis.get_paginator("list_experiment_resolved_targets").paginate(
        experimentId=experiment_id
    )
    return [
        target_name(target.get("targetInformation", {}))
        for page in pages
        for target in page["resolvedTargets"]
    ]


def stop_leftovers(
    clients: Clients,
    say: Callable[[str, str], None],
    *,
    run_id: str = "",
    also_elsewhere: bool = False,
) -> bool:
    """Stop what dead runs have left (of one run, if given); `say` an event for each.

    Those of a living owner are let be, and those of another machine unless `also_elsewhere`.
    Returns whether nothing is left that should have been stopped. Raises AWS_ERRORS.
    """
    is_clean = True
    for each in list_experiments(clients):
        name, run = each.tags.get(OWNER_TAG, ""), each.tags.get(RUN_TAG, "")
        if each.is_over or not run or run_id not in {"", run}:
            continue
        dead = is_dead(name)
        if dead is False:
            continue
        if dead is None and not also_elsewhere:
            say("fis_left_alone", f"{each.id} of run {run} belongs to {name or 'nobody known'}")
            continue
        is_clean = _stop(clients, each, say) and is_clean
    return is_clean


def _stop(clients: Clients, left: Experiment, say: Callable[[str, str], None]) -> bool:
    """Stop one and wait until it is over, for a minute at most."""
    say("fis_leftover_found", f"{left.id} of run {left.tags[RUN_TAG]} is {left.state}")
    give_up_at = time.monotonic() + _STOP_FOR_S
    is_asked = False
    while time.monotonic() < give_up_at:
        try:
            if not is_asked:
                clients.fis.stop_experiment(id=left.id)
                is_asked = True
            state = clients.fis.get_experiment(id=left.id)["experiment"]["state"]["status"]
        except AWS_ERRORS as error:
            say("fis_stop_failed", f"{left.id}: {reason_of(error)}")
        else:
            if state in OVER:
                say("fis_leftover_stopped", f"{left.id} of run {left.tags[RUN_TAG]} is {state}")
                return True
        time.sleep(0.5)
    say("fis_not_stopped", f"{left.id} was not seen to end in {_STOP_FOR_S:g} s")
    return False


def _experiment(summary: Any) -> Experiment:
    created = summary.get("creationTime")
    return Experiment(
        id=summary["id"],
        state=str(summary.get("state", {}).get("status", "")),
        created_at=created.timestamp() if isinstance(created, datetime) else 0.0,
        tags=summary.get("tags", {}),
        is_rehearsal=summary.get("experimentOptions", {}).get("actionsMode") == "skip-all",
    )


def target_name(information: Mapping[str, str]) -> str:
    """Return the id at the end of the resource's ARN, or whatever else names it."""
    arns = [value for value in information.values() if value.startswith("arn:")]
    if arns:
        return arns[0].rpartition("/")[2] or arns[0]
    return next(iter(information.values()), "unknown")


def _here() -> str:
    """Name the place where process ids mean what they mean here."""
    try:
        space = str(Path("/proc/self/ns/pid").readlink()).rpartition("[")[2].rstrip("]")
    except OSError:
        space = "0"
    return f"{socket.gethostname()}/{space}"
