"""Whether Locust's options can become a run: found before a worker or a load is there.

Neither the shop, nor AWS, nor the database is asked.
"""

import errno
import socket
from argparse import Namespace

from harness.arguments.arguments import Settings
from harness.arguments.experiment import load_hypotheses
from harness.arguments.host import Host
from harness.errors import BadArgument


def check_options(options: Namespace) -> Settings | None:
    """Return the settings of a run, None where there will be none; BadArgument.

    Locust checks some of this later itself, but ends then with codes that mean broken or undecided.
    """
    if options.list_commands or options.show_task_ratio or options.show_task_ratio_json:
        return None
    _check_processes(options)
    if options.worker:
        return None  # what counts is what its master was given
    settings = Settings.from_options(options)
    _check_web_ui(options)
    if options.master or options.processes:
        _check_port(options.master_bind_host, options.master_bind_port, "--master-bind-port")
    if options.num_users is not None and options.num_users < 0:
        raise BadArgument(f"--users {options.num_users}: there cannot be fewer than none")
    if options.host:
        Host.parse(options.host)
    settings.check_run_dir()
    load_hypotheses(config=options.config, experiment=settings.experiment)
    if is_headless(options) or options.autostart:
        _check_without_form(settings, options)
    return settings


def is_headless(options: Namespace) -> bool:
    """Whether there will be no web UI; Locust's own `headless` loses against `headful`."""
    return bool(options.headless and not options.headful)


def _check_without_form(settings: Settings, options: Namespace) -> None:
    """Check what people could still fill in where a web UI asks them first."""
    if not options.host:
        raise BadArgument("no host: name the shop's URL with --host")
    run_time_s = options.run_time or None
    settings.orders.check(run_time_s=run_time_s, parts=max(1, options.processes or 1))
    settings.faults.check(run_time_s=run_time_s, users=options.num_users)


def _check_processes(options: Namespace) -> None:
    if options.processes and options.processes < -1:
        raise BadArgument(
            f"--processes {options.processes}: give how many, or -1 for one on each processor"
        )
    if options.master and (options.worker or options.processes):
        other = "--worker" if options.worker else "--processes, which has a master by itself"
        raise BadArgument(f"--master cannot be combined with {other}")


def _check_web_ui(options: Namespace) -> None:
    if options.autoquit != -1 and not options.autostart:
        raise BadArgument("--autoquit is for a run that begins by itself: add --autostart")
    if is_headless(options):
        return
    if options.web_base_path and not options.web_base_path.startswith("/"):
        raise BadArgument(f"--web-base-path {options.web_base_path}: it has to begin with a slash")
    _check_port(options.web_host, options.web_port, "--web-port")


def _check_port(host: str, port: int, flag: str) -> None:
    """Refuse a port that cannot be listened at; it is free again afterwards."""
    where = "" if host == "*" else host
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            where or "0.0.0.0",  # noqa: S104 -- what Locust would listen at
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError, UnicodeError) as error:
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = (
            "is in use: name another one, or end who has it" if is_taken else f"cannot be: {error}"
        )
        raise BadArgument(f"{flag} {port}{f' at {where}' if where else ''} {why}") from error
