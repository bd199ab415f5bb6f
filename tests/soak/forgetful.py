"""A locustfile with a mistake: attempts are sent first and recorded later. A round must see it."""

import gevent
from locust import between

from analysis.evidence.ledger.format import AttemptSent
from harness.customers import customer as _customer
from harness.record.recording import record_sent
from locustfiles import shoppers


def _record_later(attempt: AttemptSent) -> None:
    gevent.spawn_later(0.2, record_sent, attempt)


vars(_customer).update(record_sent=_record_later)


class Forgetful(shoppers.Shopper):
    """Orders many times per second."""

    wait_time = between(0, 0.04)
