"""The access log files that an ALB has delivered to S3: those of a run's time.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
One file for each node and five minutes, named by their end, under the day of its delivery:
<prefix>/AWSLogs/<account>/elasticloadbalancing/<region>/yyyy/mm/dd/<name>. A line is written when
its request has ended. Delivery takes minutes, and is not promised: what is missing proves nothing.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from analysis.closing.bucket import Bucket, Object
from analysis.evidence.errors import EvidenceError
from analysis.evidence.run import parse_run
from analysis.evidence.run_directory import RunDirectory

MINUTE_US = 60_000_000
_COVERS_US = 5 * MINUTE_US
# The load generator's clock may be off; a request may end long after its client has gone.
_EARLIER_US, _LATER_US = MINUTE_US, 5 * MINUTE_US
DELIVERED_WITHIN_US = 15 * MINUTE_US
# Connection logs, health check logs and those of other kinds of load balancer are named otherwise.
_NAME = re.compile(
    r"\d{12}_elasticloadbalancing_[a-z0-9-]+_(app\.[A-Za-z0-9.-]+)_"
    r"(\d{8}T\d{4}Z)_[0-9A-Fa-f.:]+_[A-Za-z0-9]+\.log(?:\.gz)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What was fetched: files and bytes, those that were here before included."""

    files: int = 0
    bytes: int = 0
    may_be_more: bool = False


def fetch_access_log(directory: RunDirectory, uri: str, *, now: int) -> Delivery:
    """Copy into the run's elb_access/ what was delivered of its time; `now` in microseconds.

    What is there already is not fetched again. EvidenceError if there is none, if S3 cannot be
    read, or if the run is not over.
    """
    run = parse_run(directory.read_run())
    began, ended = run.started_at, run.ended_at
    if began is None or ended is None:
        raise EvidenceError(
            f"{directory.path / 'run.json'} does not say when the run began and ended; "
            f"`python -m analysis finish {directory.path}` closes it"
        )
    bucket = Bucket(uri, about="the access logs", way_out="fetch them again")
    files = size = 0
    for name, found in _delivered(bucket, began, ended):
        if not is_of(name, run.load_balancers):
            continue
        files, size = files + 1, size + found.size
        if directory.access_log.size_of(name) != found.size:
            directory.access_log.keep_file(name, bucket.read(found))
    may_be_more = now < ended + _LATER_US + DELIVERED_WITHIN_US
    if not files:
        whose = f" of {', '.join(run.load_balancers)}" if run.load_balancers else ""
        advice = "try again in some minutes" if may_be_more else "see whether it is the right place"
        raise EvidenceError(
            f"{uri} holds no ALB access log{whose} of the run's time; where a load balancer has "
            f"them enabled they are delivered every five minutes: {advice}"
        )
    return Delivery(files=files, bytes=size, may_be_more=may_be_more)


def _delivered(bucket: Bucket, began: int, ended: int) -> Iterator[tuple[str, Object]]:
    for folder in _folders(bucket, began, ended):
        for each in bucket.objects(folder):
            name = each.key.rpartition("/")[2]
            if is_of_time(name, began=began, ended=ended):
                yield name, each


def is_of_time(name: str, *, began: int, ended: int) -> bool:
    """Whether a file of this name may hold lines of requests from then; in microseconds."""
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    try:
        moment = datetime.strptime(found[2], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    until = round(moment.timestamp()) * 1_000_000
    return began - _EARLIER_US <= until and until - _COVERS_US <= ended + _LATER_US


def is_of(name: str, balancers: Collection[str]) -> bool:
    """Whether a file of this name is one of these load balancers', or these are not known."""
    found = _NAME.fullmatch(name)
    named = {each.replace("/", ".") for each in balancers}
    return found is not None and (not named or found[1] in named)


def _folders(bucket: Bucket, began: int, ended: int) -> Iterator[str]:
    """Yield what to list: only the run's days, where the place is laid out as an ALB does."""
    prefix = bucket.prefix.strip("/")
    root = f"{prefix}/" if prefix else ""
    accounts = bucket.folders(f"{root}AWSLogs/")
    if not accounts:  # copied elsewhere, or a folder further down
        yield root
    for account in accounts:
        for region in bucket.folders(f"{account}elasticloadbalancing/"):
            yield from (f"{region}{day}/" for day in _days(began, ended))


def _days(began: int, ended: int) -> Iterator[str]:
    """Yield the days on which files can have been delivered, one more than the run had."""
    day = datetime.fromtimestamp((began - _EARLIER_US) / 1e6, tz=UTC).date()
    last = datetime.fromtimestamp((ended + _LATER_US) / 1e6, tz=UTC).date() + timedelta(days=1)
    while day <= last:
        yield f"{day:%Y/%m/%d}"
        day += timedelta(days=1)
