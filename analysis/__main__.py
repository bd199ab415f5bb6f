"""The commands: reconcile, snapshot, finish, story, report, compare, runs, fetch-access-log.

What only some of them need, and takes long to import, is imported where it is used.
Exit codes: 0 held, 1 broken, 2 undecided, 64 a wrong argument or unreadable input, 70 our fault.
With --json the result is one JSON document on stdout, and nothing else is there.
"""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path

from analysis.evidence.errors import (
    EXIT_INTERRUPTED,
    EXIT_OUR_FAULT,
    EXIT_USAGE,
    AnalysisError,
    UsageError,
)
from analysis.evidence.run_directory import RunDirectory
from analysis.terminal.arguments import make_parser
from analysis.terminal.commands import RunCommand, Surroundings, plain_console, print_json
from analysis.terminal.listing import list_runs, render_runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors are one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    surroundings = read_surroundings()
    try:
        options = make_parser(__doc__).parse_args(arguments)
        return _run(options, surroundings)
    except AnalysisError as error:
        surroundings.complain(str(error))
        return EXIT_USAGE
    except OSError as error:
        if not _is_of_the_place(error):
            return _confess(error, surroundings)
        surroundings.complain(f"{error.filename or 'the disk'}: {error.strerror}")
        return EXIT_USAGE
    except KeyboardInterrupt:
        surroundings.complain("interrupted; the same command can be run again")
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is ours and has an exit code
        return _confess(error, surroundings)


def read_surroundings() -> Surroundings:
    """Read DATABASE_URL, CHAOS_SHOP_DEBUG and, in GitHub's CI, GITHUB_STEP_SUMMARY."""
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    return Surroundings(
        database_url=os.environ.get("DATABASE_URL", ""),
        should_show_traceback=bool(os.environ.get("CHAOS_SHOP_DEBUG")),
        step_summary=Path(step_summary) if step_summary else None,
    )


def _is_of_the_place(error: OSError) -> bool:
    """Whether whoever owns the folder can put it right: rights, space, a folder for a file."""
    return error.filename is not None or error.errno in {errno.ENOSPC, errno.EDQUOT}


def _confess(error: Exception, surroundings: Surroundings) -> int:
    surroundings.complain(f"a fault of ours: {type(error).__name__}: {error}")
    return EXIT_OUR_FAULT


def _run(options: argparse.Namespace, surroundings: Surroundings) -> int:
    match options.command:
        case "compare":
            from analysis.compare.command import run_comparison  # noqa: PLC0415 -- see above

            return run_comparison(options, plain_console(), step_summary=surroundings.step_summary)
        case "runs":
            runs = list_runs(options.root)
            if options.json:
                print_json({"runs": [asdict(each) for each in runs]})
            else:
                render_runs(runs, plain_console(), root=options.root)
        case "check-hypotheses":
            from analysis.verdict.experiment import check_experiment  # noqa: PLC0415 -- see above

            check_experiment(options.experiment)
        case _:
            return RunCommand(_directory(options), options, surroundings).run()
    return 0


def _directory(options: argparse.Namespace) -> RunDirectory:
    if "://" not in options.run_dir:
        return RunDirectory(options.run_dir)
    if options.command != "reconcile" or options.engine != "spark":
        raise UsageError(
            f"{options.run_dir}: only `reconcile --engine spark` reads a run where it lies; copy it"
        )
    from analysis.closing.remote_run import fetch_small_evidence  # noqa: PLC0415 -- see above

    return fetch_small_evidence(options.run_dir)


if __name__ == "__main__":
    sys.exit(main())
