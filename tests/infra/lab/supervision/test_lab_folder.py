"""The lab's folder as others read it."""

import contextlib
import json
from pathlib import Path

from infra.lab.supervision.lab_folder import InstanceState, LabFolder, LabState

SERVER = InstanceState(
    instance_id="i-1", zone="a", address="127.0.0.1:1", state="running", health="", reason=""
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    state = LabState(pid=1, status="up", instances=(SERVER,))
    LabFolder(tmp_path).write(state)
    assert LabFolder(tmp_path).read() == state


def test_another_versions_state_is_read_as_far_as_it_is_understood(tmp_path: Path) -> None:
    raw = {"pid": 7, "status": "up", "colour": "blue", "instances": [{"name": "i-1"}]}
    (tmp_path / "state.json").write_text(json.dumps(raw), encoding="utf-8")
    assert LabFolder(tmp_path).read() == LabState(pid=7, status="up")


def test_asking_leaves_no_trace(tmp_path: Path) -> None:
    assert not LabFolder(tmp_path).is_supervised()
    assert not LabFolder(tmp_path / "none").is_supervised()
    assert list(tmp_path.iterdir()) == []


def test_a_lab_is_supervised_as_long_as_its_lock_is_held(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    with contextlib.closing(folder.lock("supervisor")) as lock:
        assert lock.try_take()
        assert folder.is_supervised()
    assert not folder.is_supervised()


def test_clearing_removes_all_but_locks(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    with contextlib.closing(folder.lock("raise")) as lock:
        assert lock.try_take()
        (tmp_path / "postgres").mkdir()
        (tmp_path / "postgres" / "log").touch()
        folder.supervisor_log.touch()
        folder.clear()
        assert [each.name for each in tmp_path.iterdir()] == ["raise.lock"]
