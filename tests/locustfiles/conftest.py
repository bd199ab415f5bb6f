"""A shop to load, and Locust to load it with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.locustfiles.load import Load
from tests.locustfiles.shop_server import Shop, serve


@pytest.fixture
def shop() -> Iterator[Shop]:
    with serve() as running:
        yield running


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Starts Locusts that write into `tmp_path`, and leaves none behind."""
    started = Load(tmp_path)
    yield started
    started.end()
