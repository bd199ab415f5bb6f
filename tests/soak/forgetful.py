"""A locustfile with a mistake: attempts are sent first and recorded later. A round must see it."""

import gevent
from locust import between

from analysis.evidence.ledger.line_records import AttemptSent
from harness.record.recording import Recording
from locustfiles import shoppers

_record = Recording.sent


def _record_later(recording: Recording, attempt: AttemptSent) -> None:
    gevent.spawn_later(0.2, _record, recording, attempt)


Recording.sent = _record_later  # type: ignore[assignment, method-assign]


class Forgetful(shoppers.Shopper):
    """Orders many times per second."""

    wait_time = between(0, 0.04)
