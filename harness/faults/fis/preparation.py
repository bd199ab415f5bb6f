"""What a run has to do with AWS, made ready before its users: faults of FIS, and who watches."""

from harness.arguments.arguments import Settings
from harness.errors import BadArgument
from harness.faults.fis.experiments import stop_leftovers
from harness.faults.fis.fault import FisFault, load_template
from harness.faults.fis.observer import Observer
from harness.faults.fis.targets import AWS_ERRORS, Clients, Fleet, NoFleet, find_fleet, reason_of
from harness.faults.guards import who_am_i
from harness.faults.record import Fault, FaultRecords
from harness.record.journal import Journal


def prepare_aws(
    settings: Settings, journal: Journal, records: FaultRecords, *, host: str
) -> tuple[list[Fault], Observer | None]:
    """Find what stands behind the host; a fault needs it, watching only would like it.

    BadArgument for a template that cannot be read; other failures of AWS are noted.
    """
    try:
        clients = Clients.connect()
    except AWS_ERRORS as error:
        _go_without(settings, journal, reason_of(error))
        return [], None
    found = [(load_template(clients, each.what), each.at) for each in settings.faults.templates]
    fleet = _find_fleet(clients, settings, journal, host)
    faults: list[Fault] = [
        FisFault(
            clients,
            template,
            fleet,
            journal,
            records,
            at=at,
            guards=settings.faults.guards,
            poll_every_s=settings.poll_every_s,
        )
        for template, at in found
    ]
    if faults:
        _look_around(clients, journal)
    if fleet is None:
        return faults, None
    journal.update(health_check=fleet.health_check, load_balancers=list(fleet.load_balancers))
    return faults, Observer(fleet, journal, every_s=settings.poll_every_s)


def _go_without(settings: Settings, journal: Journal, why: str) -> None:
    if settings.faults.templates:
        names = settings.faults.template_names
        raise BadArgument(f"the FIS template {names!r} cannot be read: {why}")
    journal.note_run("observe_failed", why)


def _find_fleet(clients: Clients, settings: Settings, journal: Journal, host: str) -> Fleet | None:
    try:
        return find_fleet(clients, host=host, target_group=settings.target_group)
    except NoFleet as error:
        journal.note_run("observe_failed", str(error))
    except AWS_ERRORS as error:
        journal.note_run("observe_failed", reason_of(error))
    return None


def _look_around(clients: Clients, journal: Journal) -> None:
    """Say who we are to AWS, and stop what a dead run of this machine has left behind."""
    try:
        journal.note_run("aws_identity", str(who_am_i(clients)))
    except AWS_ERRORS as error:
        journal.note_run("aws_identity_unknown", reason_of(error))
    try:
        stop_leftovers(clients, journal.note_run)
    except AWS_ERRORS as error:
        journal.note_run("fis_leftovers_unknown", reason_of(error))
