"""What the page asks for once a second: a run as it stands, and what is new since the last time."""

import time
from dataclasses import asdict
from typing import Any

from locust.env import Environment

from harness.page.runs_seen import Watch, WatchedRun


def live_view(
    watch: Watch, environment: Environment, *, run_id: str, since: int, after: int
) -> dict[str, Any]:
    """Return the newest run. What the page has of `run_id` is not repeated.

    `since` is the newest second it has, `after` the number of the newest event.
    """
    runner = environment.runner
    watched = watch.newest
    view: dict[str, Any] = {
        "now": time.time(),
        "users": runner.user_count if runner is not None else 0,
        "trouble": watch.trouble,
        "run": None,
    }
    if not watch.has_run:
        return view
    is_known = watched.run is not None and watched.run.directory.run_id == run_id
    return {**view, **_run_view(watched, since if is_known else 0, after if is_known else 0)}


def _run_view(watched: WatchedRun, since: int, after: int) -> dict[str, Any]:
    watched.gather()
    run = watched.run
    fleet = run.fleet if run is not None else None
    return {
        "run": {
            "id": run.directory.run_id if run is not None else "",
            "state": watched.state,
            "elapsed_s": round(watched.elapsed_s, 1),
            "experiment": run.settings.experiment if run is not None else "",
            "host": run.host if run is not None else "",
            "template": run.settings.faults.template_names if run is not None else "",
            "plan": run.hook.plan if run is not None else [],
            "fires_at_s": run.hook.fires_after_s if run is not None else None,
            "run_time_s": run.run_time_s if run is not None else None,
        },
        "can": {
            "inject": run is not None and watched.state == "running" and not run.why_not_inject(),
            "stop": run is not None
            and watched.state in {"running", "stopping"}
            and not run.hook.why_not_stop(),
        },
        "scene": watched.scene.as_dict(),
        "events": watched.scene.events(after=after),
        "seconds": fleet.seconds(since=since) if fleet is not None else [],
        "orders": fleet.orders() if fleet is not None else None,
        "resolution": watched.resolution(),
        "results": asdict(watched.results) if watched.state == "over" else None,
    }
