"""One FIS experiment of a run: started once, followed, and seen to end.

The client token is in run.json before the first call, so that no retry can start a second one.
AWS's failures become events; they never disturb the users.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gevent
from botocore.exceptions import ClientError
from gevent.lock import RLock

from analysis.evidence.records import HARMLESS_ACTIONS, format_time
from harness.errors import BadArgument
from harness.faults.fis.blast_radius import Blast, find_blast
from harness.faults.fis.experiments import (
    FAULT_TAG,
    OVER,
    OWNER_TAG,
    RUN_TAG,
    find_uses,
    list_experiments,
    owner,
    targets_of,
)
from harness.faults.fis.targets import AWS_ERRORS, Clients, Fleet, reason_of
from harness.faults.guards import Guards
from harness.faults.moment import FireAt
from harness.faults.record import Fault, FaultRecords
from harness.record.journal import Journal, now

if TYPE_CHECKING:
    from mypy_boto3_fis.type_defs import ExperimentTemplateTypeDef

_START_FOR_S = 30.0
_AT_WORK = frozenset({"running", "completed"})
_STOP_FOR_S = 60.0
_FIND_FOR_S = 5.0
# Two attempts of seven seconds each, as the clients are set up, and a little.
_ANSWER_WITHIN_S = 16.0
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
        raise BadArgument(
            f"the FIS template {wanted!r} cannot be read: {reason_of(error)}"
        ) from error
    names = sorted(each.get("tags", {}).get("Name") or each["id"] for each in templates)
    raise BadArgument(
        f"{len(found)} FIS templates are named {wanted!r}: {', '.join(found)}; give an id"
        if found
        else f"there is no FIS template {wanted!r}; there are: {', '.join(names) or 'none'}"
    )


class FisFault(Fault):
    """One experiment: it belongs to this process, and to nobody else, from `fire` to `stop`."""

    def __init__(
        self,
        clients: Clients,
        template: "ExperimentTemplateTypeDef",
        fleet: Fleet | None,
        journal: Journal,
        records: FaultRecords,
        *,
        at: FireAt,
        guards: Guards,
        poll_every_s: float,
    ) -> None:
        self._clients = clients
        self._template = template
        self._fleet = fleet
        self._journal = journal
        self._guards = guards
        self._poll_every_s = poll_every_s
        name = template.get("tags", {}).get("Name") or template["id"]
        actions = [action.get("actionId", "") for action in template["actions"].values()]
        record = records.add(
            name=name,
            template_id=template["id"],
            action=", ".join(actions),
            at=str(at),
            asked_at=None,
            actions=[],
        )
        super().__init__(record, at=at, name=name)
        self._run_began = time.time()
        self._is_failing = False
        self._stop_is_asked = False
        self._stopping = RLock()
        self._call: gevent.Greenlet[..., Any] | None = None

    # --- before ---

    def announce(self) -> None:
        """Note what it would hit now; BadArgument for what would have to be mended first."""
        try:
            blast = self._blast()
        except AWS_ERRORS as error:
            raise BadArgument(
                f"what the fault would hit cannot be told: {reason_of(error)}"
            ) from error
        self._journal.note_run("blast_radius", blast.describe())
        refusal = self._guards.why_unfit(self._clients, blast)
        if refusal:
            self._journal.note_run("fis_refused", refusal)
            raise BadArgument(f"the fault {self.name} is refused: {refusal}")

    def why_refuse(self) -> str:
        """Say why it must not happen now; empty if it may."""
        try:
            blast = self._blast()
        except AWS_ERRORS as error:
            return f"what it would hit cannot be told: {reason_of(error)}"
        run_id = self._journal.run.run_id
        return self._guards.why_unfit(self._clients, blast) or self._guards.why_untimely(
            self._clients, blast, run_id=run_id
        )

    def _blast(self) -> Blast:
        return find_blast(self._clients, self._template, self._fleet)

    # --- how it stands ---

    @property
    def was_started(self) -> bool:
        """Whether there may be an experiment."""
        return bool(self._record["client_token"])

    @property
    def is_over(self) -> bool:
        """Whether it does nothing any more."""
        return self._record["state"] in OVER

    @property
    def _subject(self) -> str:
        return str(self._record["experiment_id"] or self._record["template_id"])

    # --- its life ---

    def fire(self) -> None:
        """Start the experiment and follow it to its end."""
        token = self._choose_token()
        if not token:
            return
        self._record.learn(client_token=token, asked_at=format_time(now()), why_not=None)
        self._start(token)
        while self._record["experiment_id"] and not self.is_over:
            gevent.sleep(self._poll_every_s)
            self._poll()

    def stop(self) -> None:
        """Stop it if it is on, and wait (a minute at most) until it is over."""
        if not self.was_started or self.is_over:
            return
        with self._stopping:
            try:
                with gevent.Timeout(_STOP_FOR_S):
                    self._stop()
            except gevent.Timeout:
                self._journal.note_run(
                    "fis_not_stopped", f"{self._subject} was not seen to end in {_STOP_FOR_S:g} s"
                )

    def _choose_token(self) -> str:
        """Return the token, or nothing where another process has fired under this run's id."""
        if "experiments" in self._guards.off:
            return str(uuid.uuid4())
        try:
            used = find_uses(
                self._clients,
                run_id=self._journal.run.run_id,
                number=self._record.number,
                run_started_at=self._run_began,
            )
        except AWS_ERRORS as error:
            self._refuse(reason_of(error))
            return ""
        if used.why_not:
            self._refuse(used.why_not)
        return used.token

    def _refuse(self, why: str) -> None:
        self.rule_out(why)
        self._journal.note_run("fis_refused", f"{self.name}: {why}")

    def _start(self, token: str) -> None:
        """Ask for it; with the one token, as often as it takes for half a minute."""
        give_up_at = time.monotonic() + _START_FOR_S
        while not self._record["experiment_id"]:
            # A greenlet of its own: an answer that comes after our end is waited for by `stop`.
            self._call = gevent.spawn(self._ask_to_start, token)
            self._call.join()
            answer = self._call.value
            if not isinstance(answer, Exception):
                self._take(answer)
                return
            error = answer
            self._journal.note("fis", self._subject, "start_failed", reason_of(error))
            if _is_final(error):
                why = f"FIS did not start it: {reason_of(error)}"
                self._record.learn(state="failed", ended_at=format_time(now()), why_not=why)
                return
            if time.monotonic() > give_up_at:
                return  # it may have been heard all the same: `stop` looks for it
            gevent.sleep(self._poll_every_s)

    def _ask_to_start(self, token: str) -> Any:
        """Return the experiment, or the error: nobody may be there to catch one."""
        tags = {
            RUN_TAG: self._journal.run.run_id,
            FAULT_TAG: str(self._record.number),
            OWNER_TAG: owner(),
        }
        try:
            return self._clients.fis.start_experiment(
                clientToken=token, experimentTemplateId=self._template["id"], tags=tags
            )["experiment"]
        except AWS_ERRORS as error:
            return error

    def _take(self, experiment: Any) -> None:
        """Take FIS's answer; an experiment of another process with our token is not ours."""
        whose = experiment.get("tags", {}).get(OWNER_TAG)
        if whose is not None and whose != owner():
            why = f"{experiment['id']} was started under this run's id by {whose}"
            self._refuse(why)
            self._record.learn(state="cancelled")
            return
        self._record.learn(experiment_id=experiment["id"])
        self._see(experiment)

    def _poll(self) -> None:
        """Look at the experiment once; a failure to is noted when failures begin."""
        try:
            experiment = self._clients.fis.get_experiment(id=self._record["experiment_id"])
            try:
                # First: where a fault is seen to have begun, whom it hit is known.
                self._name_victims()
            finally:
                self._see(experiment["experiment"])
        except AWS_ERRORS as error:
            if not self._is_failing:
                self._journal.note("fis", self._subject, "poll_failed", reason_of(error))
            self._is_failing = True
        else:
            self._is_failing = False

    def _see(self, experiment: Any) -> None:
        """Note the state of the experiment, and of its actions, where it is another than before."""
        state = experiment["state"]
        status = str(state["status"])
        actions = _actions_of(experiment, before=self._record["actions"])
        if status == self._record["state"] and actions == self._record["actions"]:
            return
        facts: dict[str, Any] = {"state": status, "actions": actions}
        if status != self._record["state"]:
            self._journal.note("fis", self._subject, status, state.get("reason", ""))
            facts["reason"] = state.get("reason", "")
            if status in OVER:
                facts["ended_at"] = format_time(now())
        if not self._record["started_at"]:
            facts["started_at"] = _began_at(actions)
        self._record.learn(**facts)

    def _name_victims(self) -> None:
        for name in targets_of(self._clients, self._record["experiment_id"]):
            if name not in self._record["targets"]:
                self._journal.note("fis", self._subject, "target_resolved", name)
                self._record.learn(targets=[*self._record["targets"], name])

    def _stop(self) -> None:
        """Ask for a stop, again if need be, and follow the experiment to its end."""
        self._await_answer()
        give_up_at = time.monotonic() + _FIND_FOR_S
        while not self.is_over:
            try:
                if not self._record["experiment_id"]:
                    self._find(is_last=time.monotonic() > give_up_at)
                elif not self._stop_is_asked:
                    self._clients.fis.stop_experiment(id=self._record["experiment_id"])
                    self._stop_is_asked = True
                    self._journal.note_run("fis_stop_requested", self._subject)
            except AWS_ERRORS as error:
                # Also when it has ended by itself in between, which the next look will show.
                self._journal.note("fis", self._subject, "stop_failed", reason_of(error))
            if self._record["experiment_id"]:
                self._poll()
            if not self.is_over:
                gevent.sleep(self._poll_every_s)

    def _await_answer(self) -> None:
        """Wait for an answer to StartExperiment that is still to come: it may name one."""
        call = self._call
        if call is None or self._record["experiment_id"]:
            return
        call.join(timeout=_ANSWER_WITHIN_S)
        if call.ready() and call.value is not None and not isinstance(call.value, Exception):
            self._take(call.value)

    def _find(self, *, is_last: bool) -> None:
        """Look for an experiment that was started although its reply never came."""
        run_id, number = self._journal.run.run_id, str(self._record.number)
        for each in list_experiments(self._clients):
            is_ours = each.tags.get(RUN_TAG) == run_id and each.tags.get(FAULT_TAG) == number
            if is_ours and each.tags.get(OWNER_TAG) == owner():
                self._record.learn(experiment_id=each.id)
                return
        if is_last:
            self._journal.note_run(
                "fis_not_found", f"{self.name} was asked for and is not there: see `make fis-stop`"
            )
            why = "it was asked for, and FIS knows of no such experiment"
            self._record.learn(state="failed", ended_at=format_time(now()), why_not=why)


def _actions_of(
    experiment: Any, *, before: Sequence[Mapping[str, Any]]
) -> list[dict[str, str | bool | None]]:
    """Return how its actions stand: name, id, state, when each began by FIS's clock.

    That one has been stopped, or has failed, does not show that it acted: only that it was seen to
    be at work or done, now or as they stood `before`.
    """
    acted = {each["name"] for each in before if each["has_acted"]}
    found: list[dict[str, str | bool | None]] = []
    for name, action in sorted(experiment.get("actions", {}).items()):
        began = action.get("startTime")
        state = str(action.get("state", {}).get("status", ""))
        found.append(
            {
                "name": name,
                "id": action.get("actionId", ""),
                "state": state,
                "began_at": format_time(round(began.timestamp() * 1_000_000)) if began else None,
                "has_acted": name in acted or (began is not None and state in _AT_WORK),
            }
        )
    return found


def _began_at(actions: Sequence[Mapping[str, Any]]) -> str | None:
    """When the first action that harms began, of those that were seen to act."""
    began = [
        str(each["began_at"])
        for each in actions
        if each["has_acted"] and each["id"] not in HARMLESS_ACTIONS
    ]
    return min(began, default=None)


def _is_final(error: BaseException) -> bool:
    if not isinstance(error, ClientError):
        return False  # no answer at all: it may have been heard
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.response.get("Error", {}).get("Code", "")
    return code not in _TRY_AGAIN and status < 500  # noqa: PLR2004
