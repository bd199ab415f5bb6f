"""The mutants that no test notices: how many of each module, which, and why they may survive."""

import json
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants.mutations import Mutant

EXPLAINED = Path(__file__).with_name("survivors.toml")
KEPT_IN = Path("build/mutants.json")


@dataclass(slots=True, kw_only=True)
class Survivor:
    """A mutant that no test notices. Without a `why` a test is missing."""

    module: str
    function: str
    line: int
    was: str
    becomes: str
    why: str = ""

    def __str__(self) -> str:
        place = f"{self.module}:{self.line} {self.function}"
        return f"{place}: {self.was}  ->  {self.becomes}"


@dataclass(slots=True)
class Score:
    """How many mutants of each module were tried, and which survived."""

    tried: Counter[str]
    survivors: list[Survivor] = field(default_factory=list)

    @classmethod
    def of(cls, mutants: Iterable[Mutant]) -> "Score":
        """Begin with none that survived."""
        return cls(Counter(each.module for each in mutants))


Key = tuple[str, str, str, str]


def key_of(one: Mutant | Survivor) -> Key:
    """Return what it is known by when lines have moved."""
    return one.module, one.function, one.was, one.becomes


@cache
def _reasons() -> dict[Key, str]:
    known = tomllib.loads(EXPLAINED.read_text("utf-8")).get("survivor", [])
    return {
        (each["module"], each["function"], was, becomes): each["why"]
        for each in known
        for was, becomes in each["changes"]
    }


def explained(mutant: Mutant) -> Survivor:
    """Return a mutant that survived, with the reason that survivors.toml has for it."""
    return Survivor(
        module=mutant.module,
        function=mutant.function,
        line=mutant.line,
        was=mutant.was,
        becomes=mutant.becomes,
        why=_reasons().get(key_of(mutant), ""),
    )


def survivors_before() -> set[Key]:
    """Return those of the last time."""
    found = json.loads(KEPT_IN.read_text(encoding="utf-8"))["survivors"]
    return {key_of(Survivor(**each)) for each in found}


def show(score: Score) -> None:
    """Print a row for each module, and whatever survived without a reason."""
    table = Table("module", "mutants", "noticed", "explained", "not", "score")
    survived = Counter(each.module for each in score.survivors)
    unexplained = Counter(each.module for each in score.survivors if not each.why)
    for name, tried in [*score.tried.items(), ("all", score.tried.total())]:
        left, bad = (
            each.total() if name == "all" else each[name] for each in (survived, unexplained)
        )
        share = f"{(tried - left) / tried:.1%}"
        table.add_row(name, *map(str, (tried, tried - left, left - bad, bad)), share)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    for each in score.survivors:
        if not each.why:
            console.print(f"survived: {each}")


def write(score: Score) -> None:
    """Keep it for programs."""
    KEPT_IN.parent.mkdir(exist_ok=True)
    content = {"tried": score.tried, "survivors": [asdict(each) for each in score.survivors]}
    KEPT_IN.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
