"""The runs of one Locust as they are seen from its web UI: the newest live, all by their files."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gevent

from analysis.evidence.records import Event
from analysis.evidence.run_directory import RunDirectory
from harness.page.resolution import Resolution
from harness.page.results import Results, read_results
from harness.page.servers import Scene
from harness.run.run import Run


class WatchedRun:
    """One run: what is live of it, and in the end what was found.

    `state` is preparing, running, stopping, judging, over or called off.
    """

    def __init__(self) -> None:
        self.scene = Scene()
        self.state = "preparing"
        self._lasted_s: float | None = None
        self.results = Results()
        self.run: Run | None = None  # as soon as it has a directory
        self._resolution: Resolution | None = None

    def release(self) -> None:
        """Users start."""
        self.state = "running"
        if self.run is not None:
            url = self.run.settings.database_url
            self._resolution = Resolution(self.run.fleet, database_url=url, gather=self.gather)
            self._resolution.start()

    @property
    def elapsed_s(self) -> float:
        """Seconds since users started, until all of them had stopped; 0 before."""
        if self._lasted_s is not None or self.run is None:
            return self._lasted_s or 0.0
        return self.run.clock.elapsed_s

    def gather(self) -> None:
        """Bring into the fleet what this process has seen since the last time."""
        if self.run is not None:
            self.run.gather()

    def stop(self) -> None:
        """Users are told to stop."""
        if self.state in {"preparing", "running"}:
            self.state = "stopping"

    def close(self) -> None:
        """Users have stopped, and the evidence is closed and judged."""
        self.state = "judging"
        self._lasted_s = self.elapsed_s
        self.gather()
        if self._resolution is not None:
            self._resolution.close()

    def finish(self, *, is_over: bool) -> None:
        """All that there will be of it is in its directory; it was called off or is over."""
        if self.state in {"over", "called off"}:
            return
        self.gather()
        if self._resolution is not None:
            self._resolution.close()
        self._lasted_s = self.elapsed_s
        if self.run is not None and is_over:
            # In a real thread: a table of a million rows takes a while, and the page goes on.
            pool = gevent.get_hub().threadpool
            self.results = pool.apply(partial(read_results, self.run.directory.path))
        self.state = "over" if is_over else "called off"

    def resolution(self) -> dict[str, Any] | None:
        """Return which doubts have committed so far."""
        return None if self._resolution is None else self._resolution.as_dict()


class Watch:
    """Follows the runs of this Locust, where it has a page to show them on.

    `trouble` is what people should see of the newest.
    """

    def __init__(self, *, is_shown: bool) -> None:
        self.is_shown = is_shown
        self.newest = WatchedRun()
        self.has_run = False
        self.trouble = ""
        self._directories: dict[str, RunDirectory] = {}

    def begin(self) -> Callable[[Event], None]:
        """Follow a run that is about to be made; returns who wants to hear its events."""
        if not self.is_shown:
            return lambda _event: None
        self.newest, self.has_run, self.trouble = WatchedRun(), True, ""
        return self.newest.scene.hear

    def prepared(self, run: Run) -> None:
        """Take the run of which `begin` told: it has a directory now."""
        if self.is_shown:
            self.newest.run = run
            self._directories[run.directory.run_id] = run.directory

    def directory(self, run_id: str) -> RunDirectory | None:
        """Return the directory of a run of this Locust; None for any other."""
        return self._directories.get(run_id)

    def fail(self, why: str) -> None:
        """Show that something went wrong with the run that is on, or is to be."""
        self.trouble = why
