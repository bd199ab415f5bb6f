"""One instance's life, as far as it is a matter of states and a clock."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from infra.lab.servers.machine import Machine, MachineState, Place
from infra.lab.settings import LabSettings

SETTINGS = LabSettings(pending_s=0, boot_s=0, stopping_s=7, shutting_down_s=2, ec2_state_delay_s=16)
NOWHERE = Place(instance_id="i-1", zone="a", private_ip="", address="203.0.113.1", port=9)


class Clock:
    """Stands until it is told."""

    now_s = 100.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def machine(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that runs, its server and its silence stand-ins."""
    for name in ("SilentAddress", "SilencedListener"):
        monkeypatch.setattr(f"infra.lab.servers.machine.{name}", MagicMock())
    made = Machine(
        place=NOWHERE,
        settings=SETTINGS,
        serve=lambda _: MagicMock(),
        changed=lambda _: None,
        now=lambda: clock.now_s,
    )
    made.tick()
    made.tick()
    assert made.state is MachineState.RUNNING
    assert made.is_serving
    return made


def known_off_after(machine: Machine, clock: Clock, seconds: float) -> bool:
    began_s = clock.now_s
    for passed in (0.0, 2.0, 7.0, seconds):
        clock.now_s = began_s + min(passed, seconds)
        machine.tick()
    return machine.is_known_off


@pytest.mark.parametrize("verb", ["stop", "terminate"])
@pytest.mark.parametrize(("seconds", "is_known"), [(15.9, False), (16.0, True)])
def test_what_ec2_says_is_known_after_a_delay(
    machine: Machine, clock: Clock, verb: str, seconds: float, is_known: bool
) -> None:
    getattr(machine, verb)()
    assert known_off_after(machine, clock, seconds) is is_known


def test_the_delay_counts_from_when_it_began_to_stop(machine: Machine, clock: Clock) -> None:
    machine.stop()
    assert not known_off_after(machine, clock, 10)
    machine.terminate()
    assert known_off_after(machine, clock, 6)


def test_one_that_is_started_again_is_known_to_run(machine: Machine, clock: Clock) -> None:
    machine.stop()
    assert known_off_after(machine, clock, 16)
    machine.start()
    assert not machine.is_known_off


@pytest.mark.parametrize("loss", ["power_off", "freeze", "reboot"])
def test_ec2_says_nothing_of_a_loss_that_is_not_its_own(
    machine: Machine, clock: Clock, loss: str
) -> None:
    getattr(machine, loss)()
    assert not known_off_after(machine, clock, 600)
