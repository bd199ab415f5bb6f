"""How Locust is made to end from within: its users, itself, and with the process it belongs to."""

import os

import gevent
import psutil
from locust.env import Environment
from locust.runners import MasterRunner

__all__ = ["await_end_of", "end_children", "end_web_ui", "stop_users"]

_LOOK_EVERY_S = 0.2


def stop_users(environment: Environment | None) -> None:
    """Stop the users of this process; a master's workers are told by ourselves."""
    runner = environment.runner if environment else None
    if isinstance(runner, MasterRunner):
        # Without its own stop message, which makes workers deaf for the stop timeout.
        runner.stop(send_stop_to_client=False)
    elif runner is not None:
        runner.stop()


def end_web_ui(environment: Environment) -> None:
    """End the web UI, if there is one: Locust ends with it."""
    if environment.web_ui is not None:
        environment.web_ui.stop()  # type: ignore[no-untyped-call]


def await_end_of(parent: int) -> None:
    """Return when the process that started this one has ended."""
    while os.getppid() == parent:
        gevent.sleep(_LOOK_EVERY_S)


def end_children() -> None:
    """End the workers of --processes before any has a load.

    Locust means to do so when it ends, but lets those be that live then: until they have a master
    they try to connect for five minutes.
    """
    for child in psutil.Process().children():
        child.terminate()
