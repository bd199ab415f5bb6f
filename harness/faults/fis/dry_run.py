"""`--fis-dry-run`: what the fault would hit and whether it might, without a load or a fault."""

import time
import uuid

from harness.arguments.arguments import Settings
from harness.errors import EXIT_UNDECIDED, EXIT_USAGE, BadArgument
from harness.faults.fis.blast_radius import Blast, find_blast
from harness.faults.fis.experiments import OVER, OWNER_TAG, RUN_TAG, owner, targets_of
from harness.faults.fis.fault import load_template
from harness.faults.fis.targets import AWS_ERRORS, Clients, Fleet, NoFleet, find_fleet, reason_of
from harness.faults.guards import who_am_i

_WITHIN_S = 60.0


def rehearse(settings: Settings, *, host: str) -> int:
    """Print a line for each thing found; returns 0 it might be, 2 not now, 64 not like this."""
    templates = settings.faults.templates
    if not templates:
        return _refuse("--fis-dry-run needs a --fis-template", EXIT_USAGE)
    try:
        clients = Clients.connect()
        print(f"dry run: as {who_am_i(clients)}", flush=True)
        fleet = _fleet(clients, host, settings.target_group)
        codes = [_rehearse(clients, fleet, settings, each.what) for each in templates]
    except BadArgument as error:
        return _refuse(str(error), EXIT_USAGE)
    except AWS_ERRORS as error:
        return _refuse(reason_of(error), EXIT_USAGE)
    return max(codes)


def _fleet(clients: Clients, host: str, target_group: str) -> Fleet | None:
    try:
        return find_fleet(clients, host=host, target_group=target_group)
    except NoFleet as error:
        print(f"dry run: {error}", flush=True)
        return None


def _rehearse(clients: Clients, fleet: Fleet | None, settings: Settings, wanted: str) -> int:
    template = load_template(clients, wanted)
    guards = settings.faults.guards
    blast = find_blast(clients, template, fleet)
    print(f"dry run: {wanted} ({template['id']}): {blast.describe()}", flush=True)
    if unfit := guards.why_unfit(clients, blast):
        return _refuse(f"{wanted}: {unfit}", EXIT_USAGE)
    if untimely := guards.why_untimely(clients, blast, run_id=""):
        return _refuse(f"{wanted}: {untimely}", EXIT_UNDECIDED)
    return _skip_all(clients, template["id"], wanted, blast)


def _skip_all(clients: Clients, template_id: str, wanted: str, blast: Blast) -> int:
    """Have FIS itself resolve the targets and skip every action."""
    experiment = clients.fis.start_experiment(
        clientToken=str(uuid.uuid4()),
        experimentTemplateId=template_id,
        experimentOptions={"actionsMode": "skip-all"},
        tags={RUN_TAG: "dry-run", OWNER_TAG: owner()},
    )["experiment"]
    name = experiment["id"]
    try:
        if experiment.get("experimentOptions", {}).get("actionsMode") != "skip-all":
            return _refuse(f"{wanted}: {name} does not skip its actions; stopped", EXIT_USAGE)
        give_up_at = time.monotonic() + _WITHIN_S
        while experiment["state"]["status"] not in OVER and time.monotonic() < give_up_at:
            time.sleep(0.5)
            experiment = clients.fis.get_experiment(id=name)["experiment"]
    finally:
        if experiment["state"]["status"] not in OVER:
            clients.fis.stop_experiment(id=name)
    state = experiment["state"]
    chosen = targets_of(clients, name)
    if state["status"] != "completed":
        return _refuse(f"{wanted}: {name} {state['status']}: {state.get('reason')}", EXIT_UNDECIDED)
    strangers = sorted(set(chosen) - blast.ids) if blast.touches_servers else []
    if strangers:
        return _refuse(f"{wanted}: FIS chose {', '.join(strangers)} as well", EXIT_USAGE)
    print(
        f"dry run: {wanted}: {name} chose {', '.join(chosen) or 'nobody'} and skipped its actions"
    )
    print(f"dry run: {wanted}: it may be", flush=True)
    return 0


def _refuse(why: str, code: int) -> int:
    print(f"dry run: refused: {why}", flush=True)
    return code
