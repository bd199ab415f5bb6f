"""Starts one FIS experiment in the middle of a run, follows it, and sees that it ends.

The client token is in run.json before the first call, so that no retry can start a second one.
AWS's failures become events; they never disturb the users.
"""

import time
import uuid
from typing import TYPE_CHECKING, Any

import gevent
from botocore.exceptions import ClientError
from gevent.event import Event

from analysis.records import format_time
from locustfiles._blast import describe_blast, why_refuse
from locustfiles._errors import BadArgument
from locustfiles._fleet import AWS_ERRORS, Clients, Fleet, reason_of
from locustfiles._journal import Journal, now

if TYPE_CHECKING:
    from mypy_boto3_fis.type_defs import ExperimentTemplateTypeDef, ExperimentTypeDef

__all__ = ["Hook", "load_template"]

RUN_TAG = "ChaosRun"
_OVER = frozenset({"completed", "stopped", "failed", "cancelled"})
_START_FOR_S = 30.0
_STOP_FOR_S = 60.0
_FIND_FOR_S = 5.0
# Whoever gets one of these may ask again; any other answer is final.
_TRY_AGAIN = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "InternalServerException"}
)


def load_template(clients: Clients, wanted: str) -> "ExperimentTemplateTypeDef":
    """Find the template with this id or with this tag `Name`; BadArgument if there is not one."""
    try:
        if wanted.startswith("EXT"):
            return clients.fis.get_experiment_template(id=wanted)["experimentTemplate"]
        pages = clients.fis.get_paginator("list_experiment_templates").paginate()
        templates = [summary for page in pages for summary in page["experimentTemplates"]]
        found = [
            each["id"]
            for each in templates
            if wanted in (each["id"], each.get("tags", {}).get("Name"))
        ]
        if len(found) == 1:
            return clients.fis.get_experiment_template(id=found[0])["experimentTemplate"]
    except AWS_ERRORS as error:
        message = f"the FIS template {wanted!r} cannot be read: {reason_of(error)}"
        raise BadArgument(message) from error
    names = sorted(each.get("tags", {}).get("Name") or each["id"] for each in templates)
    message = (
        f"{len(found)} FIS templates are named {wanted!r}: {', '.join(found)}; give an id"
        if found
        else f"there is no FIS template {wanted!r}; there are: {', '.join(names) or 'none'}"
    )
    raise BadArgument(message)


class Hook:
    """One run's fault: from `start` to `close` it belongs to this and to nobody else."""

    def __init__(
        self,
        clients: Clients,
        template: "ExperimentTemplateTypeDef",
        fleet: Fleet | None,
        journal: Journal,
        *,
        poll_every_s: float,
    ) -> None:
        self._clients = clients
        self._template = template
        self._fleet = fleet
        self._journal = journal
        self._poll_every_s = poll_every_s
        self._fault: dict[str, Any] = {}
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._is_failing = False
        self.fires_after_s: float | None = None
        self._is_wanted_now = Event()
        self._stopper: gevent.Greenlet[..., None] | None = None
        self._stop_is_asked = False

    def announce(self) -> None:
        """Note what the template would hit now, and that it is to come. Raises AWS_ERRORS."""
        blast = describe_blast(self._clients, self._template, self._fleet)
        self._journal.note_run("blast_radius", blast)
        actions = [action.get("actionId", "") for action in self._template["actions"].values()]
        self._learn(
            client_token=None,
            template_id=self._template["id"],
            experiment_id=None,
            action=", ".join(actions),
            targets=[],
            started_at=None,
            ended_at=None,
            state=None,
        )

    def start(self, after_s: float) -> None:
        """Fire in `after_s` seconds, without waiting."""
        self.fires_after_s = after_s
        self._greenlet = gevent.spawn(self._live, after_s)

    def why_not_fire(self) -> str:
        """Say why it cannot be fired now; empty if it can. There is one experiment at most."""
        if self._fault.get("client_token"):
            return "this run's experiment was started already, and there is never a second one"
        if self._greenlet is None:
            return "no users are there any more, or not yet"
        if self._is_wanted_now.is_set() and not self._greenlet.ready():
            return "it was asked for already"
        return ""

    def fire_now(self) -> None:
        """Fire at once, and not when it was to come; ask `why_not_fire` first.

        It is the schedule's own shot. Where that was refused, because too little was healthy, it
        is tried again.
        """
        if self._greenlet is None or self.why_not_fire():
            return
        self._is_wanted_now.set()
        self._journal.note("user", self._journal.run.run_id, "inject_requested")
        if self._greenlet.ready():
            self.start(0)

    def why_not_stop(self) -> str:
        """Say why it cannot be stopped; empty if it can."""
        if not self._fault.get("client_token"):
            return "no experiment was started"
        if self._is_over:
            return "the experiment is over"
        if self._stopper is not None or self._greenlet is None:
            return "it was asked to stop already"
        return ""

    def stop_now(self) -> None:
        """Stop the experiment as `close` does, without waiting; ask `why_not_stop` first."""
        if self._greenlet is None or self.why_not_stop():
            return
        self._stopper = gevent.spawn(self._stop_for_user, self._greenlet)
        self._journal.note("user", self._journal.run.run_id, "stop_requested", self._subject)

    def close(self) -> None:
        """Stop the experiment if it is on, and wait (a minute at most) until it is over."""
        gevent.killall([each for each in (self._stopper, self._greenlet) if each is not None])
        self._greenlet = None
        self._stop_within_limit()

    def _stop_for_user(self, following: "gevent.Greenlet[..., None]") -> None:
        try:
            following.kill()
            self._stop_within_limit()
        except Exception as error:  # noqa: BLE001 -- the end of a greenlet: nobody else would hear
            self._journal.on_our_fault(error)

    def _stop_within_limit(self) -> None:
        if not self._fault.get("client_token") or self._is_over:
            return
        try:
            with gevent.Timeout(_STOP_FOR_S):
                self._stop()
        except gevent.Timeout:
            self._journal.note_run(
                "fis_not_stopped", f"{self._subject} was not seen to end in {_STOP_FOR_S:g} s"
            )

    @property
    def _is_over(self) -> bool:
        return self._fault.get("state") in _OVER

    @property
    def _subject(self) -> str:
        return str(self._fault.get("experiment_id") or self._fault["template_id"])

    def _live(self, after_s: float) -> None:
        try:
            self._is_wanted_now.wait(after_s)
            if self._may_fire():
                self._fire()
                self._follow()
        except Exception as error:  # noqa: BLE001 -- the end of a greenlet: nobody else would hear
            self._journal.on_our_fault(error)

    def _may_fire(self) -> bool:
        try:
            refusal = why_refuse(self._template, self._fleet)
        except AWS_ERRORS as error:
            refusal = reason_of(error)
        if refusal:
            self._journal.note_run("fis_refused", refusal)
        return not refusal

    def _fire(self) -> None:
        """Start the experiment; with the one token, as often as it takes for half a minute."""
        token = str(uuid.uuid4())
        self._learn(client_token=token)
        give_up_at = time.monotonic() + _START_FOR_S
        while not self._fault["experiment_id"]:
            called_at = now()
            try:
                experiment = self._clients.fis.start_experiment(
                    clientToken=token,
                    experimentTemplateId=self._template["id"],
                    tags={RUN_TAG: self._journal.run.run_id},
                )["experiment"]
            except AWS_ERRORS as error:
                self._journal.note("fis", self._subject, "start_failed", reason_of(error))
                if _is_final(error):
                    self._learn(state="failed", ended_at=format_time(now()))
                    return
                if time.monotonic() > give_up_at:
                    return  # it may have been heard all the same: `close` looks for it
                gevent.sleep(self._poll_every_s)
            else:
                self._learn(experiment_id=experiment["id"], started_at=format_time(called_at))
                self._see(experiment)

    def _follow(self) -> None:
        while self._fault["experiment_id"] and not self._is_over:
            gevent.sleep(self._poll_every_s)
            self._poll()

    def _poll(self) -> None:
        """Look at the experiment once; a failure to is noted when failures begin."""
        try:
            experiment = self._clients.fis.get_experiment(id=self._fault["experiment_id"])
            self._see(experiment["experiment"])
            self._name_victims()
        except AWS_ERRORS as error:
            if not self._is_failing:
                self._journal.note("fis", self._subject, "poll_failed", reason_of(error))
            self._is_failing = True
        else:
            self._is_failing = False

    def _see(self, experiment: "ExperimentTypeDef") -> None:
        """Note the experiment's state if it is another than before."""
        state = experiment["state"]
        status = str(state["status"])
        if status == self._fault["state"]:
            return
        self._journal.note("fis", self._subject, status, state.get("reason", ""))
        times = {"ended_at": format_time(now())} if status in _OVER else {}
        began = _began_at(experiment)
        if began:
            times["started_at"] = began
        self._learn(state=status, **times)

    def _name_victims(self) -> None:
        pages = self._clients.fis.get_paginator("list_experiment_resolved_targets").paginate(
            experimentId=self._fault["experiment_id"]
        )
        for page in pages:
            for target in page["resolvedTargets"]:
                name = _target_name(target.get("targetInformation", {}))
                if name not in self._fault["targets"]:
                    self._journal.note("fis", self._subject, "target_resolved", name)
                    self._learn(targets=[*self._fault["targets"], name])

    def _stop(self) -> None:
        """Ask for a stop, again if need be, and follow the experiment to its end."""
        give_up_at = time.monotonic() + _FIND_FOR_S
        while not self._is_over:
            try:
                if not self._fault["experiment_id"]:
                    self._find(is_last=time.monotonic() > give_up_at)
                elif not self._stop_is_asked:
                    self._clients.fis.stop_experiment(id=self._fault["experiment_id"])
                    self._stop_is_asked = True
                    self._journal.note_run("fis_stop_requested", self._subject)
            except AWS_ERRORS as error:
                # Also when it has ended by itself in between, which the next look will show.
                self._journal.note("fis", self._subject, "stop_failed", reason_of(error))
            if self._fault["experiment_id"]:
                self._poll()
            if not self._is_over:
                gevent.sleep(self._poll_every_s)

    def _find(self, *, is_last: bool) -> None:
        """Look for an experiment that was started although its reply never came."""
        pages = self._clients.fis.get_paginator("list_experiments").paginate()
        run_id = self._journal.run.run_id
        for page in pages:
            for experiment in page["experiments"]:
                if experiment.get("tags", {}).get(RUN_TAG) == run_id:
                    self._learn(experiment_id=experiment["id"])
                    return
        if is_last:
            self._learn(state="failed", ended_at=format_time(now()))

    def _learn(self, **facts: Any) -> None:
        self._fault = {**self._fault, **facts}
        self._journal.update(fault=self._fault)


def _began_at(experiment: "ExperimentTypeDef") -> str | None:
    """When the first action began to act, by AWS's clock: an experiment is initiating before."""
    began = [
        action["startTime"]
        for action in experiment.get("actions", {}).values()
        if "startTime" in action
    ]
    return format_time(round(min(began).timestamp() * 1_000_000)) if began else None


def _is_final(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return False  # no answer at all: it may have been heard
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.response.get("Error", {}).get("Code", "")
    return code not in _TRY_AGAIN and status < 500  # noqa: PLR2004


def _target_name(information: dict[str, str]) -> str:
    """Return the id at the end of the resource's ARN, or whatever else names it."""
    arns = [value for value in information.values() if value.startswith("arn:")]
    if arns:
        return arns[0].rpartition("/")[2] or arns[0]
    return next(iter(information.values()), "unknown")
