"""`python -m locustfiles`: our arguments explained, a command line checked, leftover faults ended.

Locust's own `--help` ends before it has read a locustfile, and so without ours.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main() -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m locustfiles")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("arguments", help="explain our arguments, which go beside Locust's")
    stop = commands.add_parser("fis-stop", help="stop the experiments that dead runs have left")
    stop.add_argument("--run", type=Path, help="those of one run, which hears of it in its events")
    stop.add_argument("--all", action="store_true", help="also those of other machines' runs")
    check = commands.add_parser("check", help="say whether `locust ARGS...` can become a run")
    check.add_argument("args", nargs=argparse.REMAINDER, help="what Locust would be given")
    # Before argparse looks at them: they are Locust's, and it would take `--config` for its own.
    if sys.argv[1:2] == ["check"] and sys.argv[2:] not in (["-h"], ["--help"]):
        return _check(sys.argv[2:])
    asked = parser.parse_args()
    # Imported only where needed: Locust has to come before whatever else knows of TLS.
    if asked.command == "arguments":
        return _tell_arguments()
    from harness.faults.fis.leftovers import stop_what_is_left  # noqa: PLC0415

    return stop_what_is_left(asked.run, also_elsewhere=asked.all)


def _check(arguments: Sequence[str]) -> int:
    from harness.arguments.check_command import check_command_line  # noqa: PLC0415

    return check_command_line(arguments)


def _tell_arguments() -> int:
    from locust.argument_parser import LocustArgumentParser  # noqa: PLC0415

    from harness.arguments.arguments import add_arguments  # noqa: PLC0415

    parser = LocustArgumentParser(prog="locust -f locustfiles", usage="%(prog)s [options]")
    add_arguments(parser)
    parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
