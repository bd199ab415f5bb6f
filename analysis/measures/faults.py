"""Whether each fault that was asked for happened: without it, a run shows nothing of it. Pure.

True needs proof: an action that FIS saw begin, a command that ended with 0, or a target that the
observer saw go. False needs proof too. Where the record ends in between, it is None: not known.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.evidence.records import HARMLESS_ACTIONS, Event, RunVerdict, format_time
from analysis.evidence.run import Fault, Run

# What an action makes of an instance that it hits, as EC2 tells it.
_MAKES = {
    "aws:ec2:stop-instances": frozenset({"stopping", "stopped"}),
    "aws:ec2:terminate-instances": frozenset({"shutting-down", "terminated"}),
}
# These name nobody whom they hit.
_WITHOUT_TARGETS = frozenset({"aws:ssm:start-automation-execution"})
_ACTED = frozenset({"running", "completed"})
_Found = tuple[bool | None, str]  # whether it happened, and why not or how that is known
_BY_ITS_EXIT_CODE = "its command ended with 0, which is all that is known of it"
_NOT_BY_ITS_EXIT_CODE = (
    "its command did not end with 0 by itself, and only that shows that it did its part"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFinding:
    """A fault that was asked for, and whether it happened; None where that is not known.

    `why` says why not, or why it is not known, or how it is known that it did.
    """

    fault: Fault
    happened: bool | None
    why: str

    @property
    def verdict(self) -> RunVerdict:
        """What it makes of the run: undecided unless it happened."""
        return RunVerdict.HELD if self.happened else RunVerdict.UNDECIDED

    def as_json(self) -> dict[str, object]:
        """Return the form that summary.json holds."""
        fault = self.fault
        return {
            "experiment_id": fault.experiment_id,
            "action": fault.action,
            "targets": list(fault.targets),
            "started_at": _time(fault.started_at),
            "ended_at": _time(fault.ended_at),
            "number": fault.number,
            "name": fault.title,
            "at": fault.at,
            "happened": self.happened,
            "why_not": "" if self.happened else self.why,
            "known_by": self.why if self.happened else "",
        }


def judge_faults(run: Run, events: Iterable[Event] | None) -> list[FaultFinding]:
    """Return every fault that was asked for, in that order, and whether it happened."""
    seen = list(events or ())
    found = []
    for each in run.asked_for:
        happened, why = (_of_command if each.is_command else _of_experiment)(each, seen)
        found.append(FaultFinding(fault=each, happened=happened, why=why))
    return found


def describe_faults(faults: Sequence[Mapping[str, object]]) -> str:
    """Say in a sentence which faults (as in summary.json) did not happen; empty if all did."""
    missing = [each for each in faults if not each["happened"]]
    if not missing:
        return ""
    named = "; ".join(f"{each['name']}: {str(each['why_not']).rstrip('.')}" for each in missing)
    if all(each["happened"] is None for each in missing):
        what = "the fault" if len(faults) == 1 else f"{len(missing)} of {len(faults)} faults"
        return f"It is not known that {what} happened ({named})."
    if len(missing) == len(faults):
        return f"No fault happened ({named})."
    verb = "was" if len(missing) == 1 else "were"
    return f"{len(missing)} of {len(faults)} faults {verb} not seen to happen ({named})."


def _of_command(fault: Fault, events: Sequence[Event]) -> _Found:
    if fault.why_not:
        return False, fault.why_not
    if not fault.was_asked:
        return False, _too_early(fault)
    if fault.exit_code == 0 or fault.state == "completed":
        return True, _BY_ITS_EXIT_CODE
    # Older runs keep the exit code in an event alone, which does not say whose it is.
    ended = [each.detail for each in events if each.event == "fault_command_ended"]
    begun = [each for each in events if each.event == "fault_command_started"]
    if len(ended) == len(begun) > 0 and all(
        f"{each}:".startswith("exit code 0:") for each in ended
    ):
        return True, _BY_ITS_EXIT_CODE
    return None, _NOT_BY_ITS_EXIT_CODE


def _of_experiment(fault: Fault, events: Sequence[Event]) -> _Found:
    if fault.started_at is None:
        return _unbegun(fault, events)
    if fault.actions is None:
        return _of_older(fault, events)
    harmful = [each for each in fault.actions if each.id not in HARMLESS_ACTIONS]
    idle = [
        f"{each.name} ({each.state})"
        for each in harmful
        if each.state != "failed" and not each.has_acted
    ]
    if idle:
        what = f"of its actions, {', '.join(idle)} had not begun"
        return False if _is_closed(events) else None, what
    failed = [
        each.name
        for each in harmful
        if each.state == "failed" and not _witness(fault, events, [each.id])
    ]
    if failed:
        what = f"its action {', '.join(failed)} failed, and nothing shows that it did anything"
        return None, f"{what}: {fault.reason}" if fault.reason else what
    return _of_targets(fault, events)


def _of_older(fault: Fault, events: Sequence[Event]) -> _Found:
    """Judge a record in which `started_at` is when FIS had answered, whatever came of it."""
    if fault.action and set(fault.action.split(", ")) <= HARMLESS_ACTIONS:
        return False, "none of its actions harms anybody"
    has_ended_early = fault.state in {"stopping", "stopped", "failed", "cancelled"}
    states = {each.event for each in _of_fis(fault, events)}
    if has_ended_early and not states & _ACTED and not _witness(fault, events):
        return None, f"its experiment was {fault.state}, and was not seen to run"
    return _of_targets(fault, events)


def _of_targets(fault: Fault, events: Sequence[Event]) -> _Found:
    names_nobody = set(fault.action.split(", ")) <= _WITHOUT_TARGETS | HARMLESS_ACTIONS
    if not _targets(fault, events) and not names_nobody:
        return None, "its experiment ran, and nobody is known whom it hit"
    return True, "FIS saw its action begin"


def _unbegun(fault: Fault, events: Sequence[Event]) -> _Found:
    if fault.why_not:
        return False, fault.why_not
    if not fault.was_asked:
        return False, _too_early(fault)
    if gone := _witness(fault, events):
        return True, f"FIS was asked for it, and then {gone}; when it began is not known"
    return _unseen(fault, events)


def _unseen(fault: Fault, events: Sequence[Event]) -> _Found:
    """Judge what FIS was asked for, and nobody saw act."""
    said = f": {fault.reason}" if fault.reason else ""
    if any(each.has_begun for each in fault.actions or () if each.id not in HARMLESS_ACTIONS):
        return None, f"its action was {fault.state} before it was seen to act{said}"
    if not fault.experiment_id:
        return None, "FIS was asked for it, and the record ends before its answer"
    what = f"its experiment was {fault.state or 'started'}, and no action of it had begun"
    is_over = fault.state in {"failed", "cancelled", "completed", "stopped"}
    if is_over or _is_closed(events):
        skipped = [each.name for each in fault.actions or () if each.state == "skipped"]
        return False, f"{what} ({', '.join(skipped)} skipped)" if skipped else f"{what}{said}"
    return None, f"{what} when the record ends"


def _too_early(fault: Fault) -> str:
    due = f"it was to come at {fault.at}, and " if fault.at else "it "
    return f"{due}had not begun when the run ended"


def _witness(fault: Fault, events: Sequence[Event], actions: Sequence[str] = ()) -> str:
    """Say which of its targets was seen to go after it was asked for; empty if none was.

    Only what one of `actions` makes of a target counts, or any of the fault's own.
    """
    since = fault.asked_at if fault.asked_at is not None else fault.started_at
    targets = _targets(fault, events)
    signs = frozenset().union(
        *(_MAKES.get(each, ()) for each in actions or fault.action.split(", "))
    )
    for each in events:
        is_hit = each.source == "ec2" and each.subject in targets and each.event in signs
        if is_hit and since is not None and each.at >= since:
            return f"{each.subject} was {each.event}"
    return ""


def _targets(fault: Fault, events: Sequence[Event]) -> set[str]:
    """Return whom it hit: by its record, and by events, which are written first."""
    told = {each.detail for each in _of_fis(fault, events) if each.event == "target_resolved"}
    return {*fault.targets, *told}


def _of_fis(fault: Fault, events: Sequence[Event]) -> list[Event]:
    name = fault.experiment_id
    return [each for each in events if name and each.source == "fis" and each.subject == name]


def _is_closed(events: Sequence[Event]) -> bool:
    """Whether the load generator lived to see the end of its faults."""
    return any(each.source == "harness" and each.event == "users_stopped" for each in events)


def _time(at: int | None) -> str | None:
    return None if at is None else format_time(at)
