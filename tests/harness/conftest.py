"""A shop to load, and Locust to load it with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cloud import Cloud, build
from tests.harness.gate import Gate, serve_gate
from tests.harness.load import Load
from tests.harness.shop_server import Shop, serve


@pytest.fixture
def shop() -> Iterator[Shop]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def cloud(shop: Shop) -> Iterator[Cloud]:
    """An AWS account around the module's own shop, which it has to have for as long."""
    with build(shop) as built:
        yield built


@pytest.fixture(scope="module")
def open_gate(cloud: Cloud) -> Iterator[Gate]:
    """A gate before it, for the whole module."""
    with serve_gate(cloud.url) as gate:
        yield gate


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Starts Locusts that write into `tmp_path`, and leaves none behind."""
    started = Load(tmp_path)
    yield started
    started.end()
