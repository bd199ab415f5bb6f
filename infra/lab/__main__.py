"""`python -m infra.lab up|down|status|outputs`: the lab by itself (`serve` is its own process)."""

import argparse
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from infra.lab.errors import BadSetting, LabError
from infra.lab.processes.ports import refuse_taken_port
from infra.lab.settings import settings_from
from infra.lab.supervision.lab_folder import LabFolder, LabState
from infra.lab.supervision.raising import KEPT, raise_kept, take_down
from infra.proxies import go_past_proxies

WELL, UNWELL, BAD_ARGUMENT, INTERRUPTED = 0, 1, 64, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, text in (
        ("up", _up, "raise the lab and leave it running"),
        ("down", _down, "take it down"),
        ("status", _status, "show its parts and servers"),
        ("outputs", _outputs, "print what Terraform would tell of it"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--folder", type=Path, default=KEPT)
        command.set_defaults(run=run)
    serve = commands.add_parser("serve", help="be the lab's supervisor (the others start this)")
    serve.add_argument("folder", type=Path)
    serve.add_argument("--private", action="store_true", help="end when standard input ends")
    serve.set_defaults(run=_serve)
    options = parser.parse_args(arguments)
    go_past_proxies(os.environ)
    try:
        code: int = options.run(LabFolder(options.folder), options)
        return code
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return BAD_ARGUMENT if isinstance(error, BadSetting) else UNWELL
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return INTERRUPTED


def _up(folder: LabFolder, _: argparse.Namespace) -> int:
    settings = settings_from(os.environ)  # a bad setting is said here, not in the supervisor's log
    if not folder.is_supervised():
        refuse_taken_port(settings.load_balancer_port, "LAB_LOAD_BALANCER_PORT")
    # Both mean: take down what there is, and go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    state = raise_kept(folder, os.environ, progress=lambda text: print(f"lab: {text}", flush=True))
    _show(state)
    return WELL


def _down(folder: LabFolder, _: argparse.Namespace) -> int:
    print("lab: down" if take_down(folder) else "lab: there was none")
    return WELL


def _status(folder: LabFolder, _: argparse.Namespace) -> int:
    state = folder.read()
    if state is None:
        print("lab: not up (`make lab-up` raises it)")
        return UNWELL
    if not folder.is_supervised():
        print(f"lab: not up; it ended as: {state.status} {state.detail}".rstrip())
        return UNWELL
    _show(state)
    return WELL if state.is_well else UNWELL


def _outputs(folder: LabFolder, _: argparse.Namespace) -> int:
    from infra.lab.cloud.terraform_outputs import outputs  # noqa: PLC0415  (boto3 takes its time)

    state = folder.read_live()
    if state is None or not state.is_well:
        print("lab: not up (`make lab-up` raises it)", file=sys.stderr)
        return UNWELL
    print(json.dumps(outputs(state), indent=1))
    return WELL


def _serve(folder: LabFolder, options: argparse.Namespace) -> int:
    # Only the supervisor needs moto and boto3; `lab-status` answers at once without them.
    from infra.lab.cloud.moto_speedup import hasten_moto  # noqa: PLC0415

    hasten_moto()

    from infra.lab.supervision.supervisor import Supervisor  # noqa: PLC0415

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    supervisor = Supervisor(
        folder=folder, settings=settings_from(os.environ), is_private=options.private
    )
    try:
        supervisor.run()
    finally:
        gc.freeze()  # an interpreter that ends would look through all of it for another second
    return WELL


def _show(state: LabState) -> None:
    console = Console()
    console.print(f"lab: [bold]{state.status}[/] (process {state.pid}) {state.detail}")
    parts = Table("part", "state", "address", box=None, pad_edge=False)
    addresses = dict(zip(state.parts, (state.host, state.database_url), strict=False))
    for name, value in state.parts.items():
        colour = "green" if value == "up" else "red"
        parts.add_row(name, f"[{colour}]{value}[/]", addresses.get(name, ""))
    parts.add_row("control plane (moto)", "[green]up[/]", state.aws_endpoint)
    console.print(parts)
    servers = Table("server", "zone", "address", "state", "health", box=None, pad_edge=False)
    for each in state.instances:
        health = " ".join(filter(None, (each.health, each.reason)))
        servers.add_row(each.instance_id, each.zone, each.address, each.state, health)
    console.print(servers)


if __name__ == "__main__":
    sys.exit(main())
