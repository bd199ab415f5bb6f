"""`python -m locustfiles check ARGS...`: whether `locust ARGS...` can become a run.

For whoever has to raise something first. The shop, AWS and the database are not asked.
"""

import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress

from locust.argument_parser import get_locustfiles_locally, get_parser, parse_locustfile_option
from locust.main import merge_locustfiles_content

from harness.arguments.arguments import Settings
from harness.arguments.experiment import experiment_file
from harness.errors import EXIT_USAGE, BadArgument
from harness.run.analysis_command import AnalysisCommand


def check_command_line(arguments: Sequence[str]) -> int:
    """Say whether `locust ARGUMENTS` can become a run; returns 0, or 64 after one line on stderr.

    Locust's own functions read the command line: it imports the locustfiles, as a run would.
    """
    sys.argv = ["locust", *arguments]
    try:
        files = get_locustfiles_locally(parse_locustfile_option())  # type: ignore[no-untyped-call]
        users, *_ = merge_locustfiles_content(files)
        options = get_parser().parse_args(namespace=Namespace(is_only_checked=True))
        _check_users(options, set(users))
        _check_hypotheses(options)
    except BadArgument as error:
        sys.stderr.write(f"chaos-shop: {error}\n")
        return EXIT_USAGE
    except SystemExit as refused:  # the line is written; Locust's own codes mean something else
        return EXIT_USAGE if refused.code else 0
    except Exception as error:  # noqa: BLE001 -- a locustfile may fail in any way
        sys.stderr.write(f"chaos-shop: {_where(error)}{type(error).__name__}: {error}\n")
        return EXIT_USAGE
    return 0


def _check_users(options: Namespace, known: set[str]) -> None:
    unknown = sorted(set(options.user_classes or ()) - known)
    if not known or unknown:
        missing = f"no user class is called {', '.join(unknown)}" if unknown else "no user class"
        raise BadArgument(f"{missing} (in the locustfiles: {', '.join(sorted(known)) or 'none'})")


def _check_hypotheses(options: Namespace) -> None:
    """Have the analysis, which will score them, say whether it knows what they are about."""
    experiment = Settings.from_options(options).experiment
    path = experiment_file(config=options.config, experiment=experiment)
    if path is None or options.worker:
        return
    if AnalysisCommand("check-hypotheses", str(path.resolve()), database_url="").run() != 0:
        raise SystemExit(EXIT_USAGE)


def _where(error: Exception) -> str:
    """Return the place in the locustfile where it failed."""
    with suppress(IndexError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{frame.filename}:{frame.lineno}: "
    return ""
