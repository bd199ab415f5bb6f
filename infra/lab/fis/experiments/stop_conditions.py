"""Stop conditions: CloudWatch alarms that must not sound while an experiment is on."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

ALARM = "aws:cloudwatch:alarm"
NONE = "none"
SOURCES = (ALARM, NONE)
HALTED = "Experiment halted by stop condition."

# The alarm's ARN -> its state (OK, ALARM, INSUFFICIENT_DATA); None if there is no such alarm.
AlarmStates = Callable[[str], str | None]


def missing_alarms(conditions: Iterable[Mapping[str, Any]], states: AlarmStates) -> list[str]:
    """ARNs of alarms that there are none of."""
    return [arn for arn in _alarms(conditions) if states(arn) is None]


def should_halt(conditions: Iterable[Mapping[str, Any]], states: AlarmStates) -> bool:
    """Whether an alarm sounds, or cannot be heard any more."""
    return any(states(arn) in {"ALARM", None} for arn in _alarms(conditions))


def _alarms(conditions: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(each.get("value")) for each in conditions if each.get("source") == ALARM]
