"""A locustfile: shoppers without rest, whose ledger is taken away every other moment.

Both halves of a pair have the same users and connections. Without the ledger nothing is recorded:
none of what is called for the sake of a record is called. The ids of an attempt are made all the
same, since they are in its headers.
"""

from locust import constant

from harness.record.recording import Recording
from locustfiles import shoppers
from tests.bench.slices import measure_slices

_PARTS = ("sent", "ended", "read")
_KEPT = {name: getattr(Recording, name) for name in _PARTS}


class Restless(shoppers.Shopper):
    """As many requests as one process can make, in the shoppers' own mixture."""

    wait_time = constant(0)


def _nothing(*_: object, **__: object) -> None:
    return


def _switch(is_on: bool) -> None:
    for name, part in _KEPT.items():
        setattr(Recording, name, part if is_on else _nothing)


measure_slices(_switch)
