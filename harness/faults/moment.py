"""When a fault begins: a time, a share of the run, a number of users, or once load is steady."""

import re
from dataclasses import dataclass

from harness.errors import BadArgument

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")
_USERS = re.compile(r"users:([1-9]\d{0,6})")
_STEADY = "steady:"
_STEADY_LEAST_S = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FireAt:
    """One is set: seconds after users start, a share of the run time, users, steady seconds."""

    seconds: float | None = None
    share: float | None = None
    users: int | None = None
    steady_s: float | None = None

    def __str__(self) -> str:
        if self.users is not None:
            return f"users:{self.users}"
        if self.steady_s is not None:
            return f"steady:{self.steady_s:g}s"
        return f"{self.seconds:g}s" if self.share is None else f"{self.share * 100:g}%"

    @property
    def is_by_clock(self) -> bool:
        """Whether the clock alone tells when it is."""
        return self.users is None and self.steady_s is None

    def after_s(self, run_time_s: float | None) -> float:
        """Seconds after users start; BadArgument if that is not within the run."""
        if self.share is not None and run_time_s is None:
            raise BadArgument(
                "--fault-at as a share needs a --run-time; give it as a time, such as 30s"
            )
        after_s = self.seconds if self.share is None else self.share * (run_time_s or 0)
        if after_s is None or (run_time_s is not None and after_s >= run_time_s):
            raise BadArgument(
                f"--fault-at is {after_s or 0:g} s, but the run ends after {run_time_s:g} s"
            )
        return after_s

    def check(self, *, run_time_s: float | None, users: int | None) -> None:
        """Raise BadArgument for what can never come to be in a run of this time and these users."""
        if self.is_by_clock:
            self.after_s(run_time_s)
        if self.users is not None and users is not None and self.users > users:
            raise BadArgument(f"--fault-at {self} never comes: the run has {users} users")
        if self.steady_s is not None and run_time_s is not None and self.steady_s >= run_time_s:
            raise BadArgument(f"--fault-at {self} never comes: the run ends after {run_time_s:g} s")


def parse_fire_at(text: str) -> FireAt:
    """Read `30s`, `1m30s`, `90`, `40%`, `users:200` or `steady:10s`; ValueError otherwise."""
    text = text.strip()
    if users := _USERS.fullmatch(text):
        return FireAt(users=int(users[1]))
    if text.startswith(_STEADY):
        steady_s = parse_duration_s(text.removeprefix(_STEADY))
        if steady_s is None or steady_s < _STEADY_LEAST_S:
            raise ValueError(f"{text!r} is not as steady:10s, with at least {_STEADY_LEAST_S} s")
        return FireAt(steady_s=steady_s)
    if share := _SHARE.fullmatch(text):
        percent = float(share[1])
        if percent >= 100:  # noqa: PLR2004
            raise ValueError(f"{text!r} is not before the end of the run")
        return FireAt(share=percent / 100)
    seconds = parse_duration_s(text)
    if seconds is None:
        raise ValueError(
            f"{text!r} is neither a time (30s, 1m30s), a share of the run time (40%), "
            "users:200 nor steady:10s"
        )
    return FireAt(seconds=seconds)


def parse_duration_s(text: str) -> float | None:
    """Read `30s`, `1m30s` or `90` as seconds; None where it is no time."""
    duration = _DURATION.fullmatch(text.strip())
    if not duration or not any(duration.groups()):
        return None
    hours, minutes, seconds = (float(part or 0) for part in duration.groups())
    return hours * 3600 + minutes * 60 + seconds
