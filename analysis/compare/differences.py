"""The settings in which two sides differ: to be known before any number is read. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FIRST = ("users", "fault", "interrupted", "experiment", "run_time_s", "workers", "target", "host")
# Where a run was and how it is kept, which changes nothing of what was measured.
_ASIDE = frozenset(
    (
        *("database", "target_group", "evidence_format", "evidence_uri", "stream_ledger"),
        *("poll_every_s", "fail_on", "processes"),
    )
)
_ASKED_FOR = ("fis_template", "fault_plan")
# What decides how many requests are made in a second, and how many in all.
OF_RATES = ("users", "arrival_rate")
OF_COUNTS = (*OF_RATES, "run_time_s", "interrupted")
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting that is another in the run than in its base, as people read it."""

    setting: str
    base: str
    run: str

    def __str__(self) -> str:
        """As in `users: 5 and 50`."""
        return f"{self.setting}: {self.base} and {self.run}"


def settings_of(run: Mapping[str, Any]) -> dict[str, object]:
    """Return what run.json says of how it was run; what it does not say is left out."""
    kept = run.get("settings")
    settings = dict(kept) if isinstance(kept, Mapping) else {}
    settings |= {name: run[name] for name in ("experiment", "target") if name in run}
    if "host" in run and run.get("target") != "lab":  # the lab's is another each time
        settings["host"] = run["host"]
    plan = run.get("plan")
    if isinstance(plan, Mapping) and "processes" in plan:
        settings["workers"] = plan["processes"]
    return {
        **settings,
        "interrupted": bool(run.get("interrupted")),
        "fault": _faults_in_words(run.get("faults") or [run.get("fault")], settings),
    }


def _faults_in_words(faults: object, settings: Mapping[str, object]) -> str:
    listed = faults if isinstance(faults, list) else []
    known = [each for each in listed if isinstance(each, Mapping) and each]
    if not known:
        return "asked for, did not begin" if any(map(settings.get, _ASKED_FOR)) else "none"
    return ", ".join(map(_fault_in_words, known))


def _fault_in_words(fault: Mapping[str, Any]) -> str:
    name = str(fault.get("action") or fault.get("template_id") or "of its own")
    return name if fault.get("started_at") else f"{name} that did not begin"


def differences_of(base: Mapping[str, object], run: Mapping[str, object]) -> list[Difference]:
    """Return what differs of the settings that both sides tell, the weightiest first."""
    names = [name for name in base if name in run and name not in _ASIDE]
    rank = {name: place for place, name in enumerate(_FIRST)}
    return [
        Difference(setting=name, base=_shown(base[name]), run=_shown(run[name]))
        for name in sorted(names, key=lambda name: rank.get(name, len(rank)))
        if base[name] != run[name]
    ]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    is_list = isinstance(value, list | dict)
    text = json.dumps(value, ensure_ascii=False) if is_list else str(value)
    if value is None or text in {"", "[]", "{}"}:
        return "not set"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def incomparable(differences: Sequence[Difference], settings: tuple[str, ...]) -> str:
    """Say why what these settings decide cannot be compared; empty if it can."""
    return ", ".join(str(each) for each in differences if each.setting in settings)
