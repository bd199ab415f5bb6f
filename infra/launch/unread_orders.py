"""The last chance to read a private lab's database: with the lab all that it held is gone."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from infra.launch.commands import run_command


def read_before_it_goes(
    directories: Iterable[str], environment: Mapping[str, str], *, say: Callable[[str], None]
) -> int | None:
    """Finish runs whose orders were not read; the newest run's exit code, None if it was read.

    The analysis waits for the database as long as the run was told to (`--database-wait`).
    """
    code, runs = None, [Path(each) for each in directories]
    for directory in filter(_is_unread, runs):
        say(f"{directory}: its orders were not read; trying once more before the lab goes")
        try:
            words = ("analysis", "finish", str(directory), *_fail_on(directory))
            finished = run_command(*words, environment=environment)
            code = finished if directory == runs[-1] and finished >= 0 else None
        except KeyboardInterrupt:
            say("interrupted")
        if _is_unread(directory):
            say(
                f"{directory}: its orders could not be read and go with the lab's database: the "
                "run stays undecided (`make lab-up` keeps a lab up for the next)"
            )
    return code


def _is_unread(directory: Path) -> bool:
    """Whether the run had a database, and has no orders from it."""
    if not (directory / "snapshot_before.json").exists():
        return False
    return not any((directory / f"orders.{kind}").exists() for kind in ("csv", "parquet"))


def _fail_on(directory: Path) -> list[str]:
    try:
        run = json.loads((directory / "run.json").read_text(encoding="utf-8"))
        return ["--fail-on", str(run["settings"]["fail_on"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # `finish` says what is wrong with it
