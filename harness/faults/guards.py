"""What must be so before a fault may happen. One that cannot be checked refuses, too."""

from collections.abc import Callable
from dataclasses import dataclass

from harness.faults.fis.blast_radius import Blast, Hit
from harness.faults.fis.experiments import RUN_TAG, list_experiments, targets_of
from harness.faults.fis.targets import AWS_ERRORS, Clients, reason_of

GUARDS = ("account", "tag", "healthy", "experiments", "baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks, of which account, and where."""

    account: str
    arn: str
    region: str

    def __str__(self) -> str:
        return f"{self.arn} in account {self.account}, {self.region}"


def who_am_i(clients: Clients) -> Identity:
    """Ask STS. Raises AWS_ERRORS."""
    caller = clients.sts.get_caller_identity()
    region = clients.fis.meta.region_name
    return Identity(account=caller["Account"], arn=caller["Arn"], region=region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """`tag` is what every target must bear; `errors_max` a share; `off` names guards left out."""

    account: str
    tag: tuple[str, str]
    min_healthy: int
    errors_max: float
    off: frozenset[str]

    def why_unfit(self, clients: Clients, blast: Blast) -> str:
        """Say what no waiting would mend; empty if nothing is. Raises nothing of AWS's."""
        return self._first(
            ("account", lambda: self._other_account(clients)),
            ("tag", lambda: self._untagged(blast)),
        )

    def why_untimely(self, clients: Clients, blast: Blast, *, run_id: str) -> str:
        """Say what is amiss just now; empty if nothing is. Raises nothing of AWS's."""
        return self._first(
            ("healthy", lambda: self._too_few(blast)),
            ("experiments", lambda: _others(clients, blast, run_id)),
        )

    def why_failing(self, failed_share: float | None) -> str:
        """Say whether the shop fails before there is any fault."""
        if "baseline" in self.off:
            return ""
        if failed_share is None:
            return "no request has ended yet, so it is not known that the shop is well"
        if failed_share > self.errors_max:
            return (
                f"the shop fails already: {failed_share:.1%} of the requests of the last seconds, "
                f"more than --baseline-errors {self.errors_max:.1%}"
            )
        return ""

    def _first(self, *checks: tuple[str, Callable[[], str]]) -> str:
        for name, check in checks:
            if name in self.off:
                continue
            try:
                refusal = check()
            except AWS_ERRORS as error:
                refusal = f"this cannot be checked: {reason_of(error)}"
            if refusal:
                return f"{refusal} (guard {name}; --guard-off {name} does without it)"
        return ""

    def _other_account(self, clients: Clients) -> str:
        if not self.account:
            return ""
        found = who_am_i(clients).account
        if found == self.account:
            return ""
        return f"these credentials are of account {found}, and --expect-account is {self.account}"

    def _untagged(self, blast: Blast) -> str:
        key, value = self.tag
        for hit in blast.hits:
            bare = [] if hit.selected_by.get(key) == value else _without(hit, key, value)
            if bare:
                return f"{', '.join(bare)} may be hit and has no tag {key}={value}"
        return ""

    def _too_few(self, blast: Blast) -> str:
        if self.min_healthy == 0:
            return ""
        if blast.healthy is None or blast.left is None:
            if not blast.touches_servers:
                return ""
            return "it is not known how many targets are healthy; name the group: --target-group"
        if blast.left >= self.min_healthy:
            return ""
        names = ", ".join(sorted(blast.healthy)) or "none"
        return (
            f"only {len(blast.healthy)} healthy ({names}), of which {blast.left} would be left; "
            f"needs --min-healthy {self.min_healthy}"
        )


def _without(hit: Hit, key: str, value: str) -> list[str]:
    """Return who lacks the tag; of what cannot be looked up, that it is so."""
    if not hit.candidates:
        # Nobody is hit now; instances that come to be are looked at again when it fires.
        is_known = hit.kind in {"aws:ec2:instance", "aws:ec2:subnet"}
        return [] if is_known else [f"any {hit.kind or 'target'} of {hit.name}"]
    return [str(each) for each in hit.candidates if (each.tags or {}).get(key) != value]


def _others(clients: Clients, blast: Blast, run_id: str) -> str:
    for each in list_experiments(clients):
        if each.is_over or each.is_rehearsal or each.tags.get(RUN_TAG) == run_id:
            continue
        hit = targets_of(clients, each.id)
        both = sorted(blast.ids.intersection(hit))
        if both:
            return f"another experiment, {each.id}, is {each.state} on {', '.join(both)}"
        if not hit:
            return f"another experiment, {each.id}, is {each.state}, on whom is not known yet"
    return ""
