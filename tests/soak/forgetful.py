"""A locustfile with a mistake: attempts are sent first and recorded later. A round must see it."""

import gevent
from locust import between

from analysis.records import AttemptSent
from locustfiles import shoppers
from locustfiles._ledger import Ledger

_write_at_once = Ledger.sent


def _write_later(ledger: Ledger, attempt: AttemptSent) -> None:
    gevent.spawn_later(0.2, _write_at_once, ledger, attempt)


Ledger.sent = _write_later  # type: ignore[assignment, method-assign]


class Forgetful(shoppers.Shopper):
    """Orders many times per second."""

    wait_time = between(0, 0.04)
