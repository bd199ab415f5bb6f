"""What the processes of a server have counted together."""

from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from shop.observation import metrics
from shop.observation.metrics_folder import VARIABLE


def test_a_process_that_ended_before_it_counted_hides_not_what_others_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    other = MmapedDict(str(tmp_path / "counter_2.db"))  # type: ignore[no-untyped-call]
    key = mmap_key("sold", "sold_total", [], [], "Pieces.")
    other.write_value(key, 3.0, 0.0)  # type: ignore[no-untyped-call]
    (tmp_path / "counter_1.db").touch()
    assert b"sold_total 3.0" in metrics.render()
    other.close()  # type: ignore[no-untyped-call]
