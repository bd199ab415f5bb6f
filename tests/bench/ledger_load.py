"""A locustfile: shoppers without rest, whose ledger is taken away every other quarter of a second.

Both halves of a pair have the same users and connections. Without the ledger no line of it is made
and nothing is written; the ids of an attempt are made all the same, since they are in its headers.
"""

from __future__ import annotations

from locust import constant

from locustfiles import _recording, shoppers
from locustfiles._ledger import Ledger
from tests.bench.slices import measure_slices

_PARTS = ((Ledger, "sent"), (Ledger, "write"), (Ledger, "put_off"), (_recording, "ended_line"))
_KEPT = [(owner, name, getattr(owner, name)) for owner, name in _PARTS]


class Restless(shoppers.Shopper):
    """As many requests as one process can make, in the shoppers' own mixture."""

    wait_time = constant(0)


def _nothing(*_: object, **__: object) -> None:
    return


def _switch(is_on: bool) -> None:
    for owner, name, part in _KEPT:
        setattr(owner, name, part if is_on else _nothing)


measure_slices(_switch)
