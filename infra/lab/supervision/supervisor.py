"""The process that raises the lab, keeps it going, and takes it down."""

import contextlib
import dataclasses
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from infra import ROOT
from infra.lab.balancer.access_log import AccessLog
from infra.lab.balancer.envoy import Envoy
from infra.lab.balancer.health_checks import HealthChecks, Opinion
from infra.lab.balancer.target_health import Health, TargetHealth
from infra.lab.cloud import account
from infra.lab.cloud.moto_replacements import MotoReplacements
from infra.lab.cloud.moto_server import MotoServer
from infra.lab.database.data_api import DataApi
from infra.lab.database.failover import Writer
from infra.lab.database.postgres import Postgres
from infra.lab.errors import LabBusy, LabError
from infra.lab.fis.servers_and_database import Database, Lab, Servers
from infra.lab.processes.guard import Guard
from infra.lab.processes.process_group import ProcessGroup, last_lines
from infra.lab.processes.progress_timeout import STUCK_AFTER_S, ProgressTimeout
from infra.lab.servers.addresses import Network
from infra.lab.servers.auto_scaling_group import AutoScalingGroup
from infra.lab.servers.machine import Place
from infra.lab.settings import LabSettings
from infra.lab.supervision.lab_folder import InstanceState, LabFolder, LabState

log = logging.getLogger(__name__)

HEALTH_LOOK_S = 0.25
STATE_WRITE_S = 1.0
# Where a server finds its modules, and whether it may keep them compiled for the next one.
_PYTHONS = frozenset({"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"})


class Supervisor:
    """One lab. `run()` returns when it has been told to stop and everything has ended."""

    def __init__(
        self, *, folder: LabFolder, settings: LabSettings, is_private: bool = False
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._is_private = is_private
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._status = "starting"
        self._next_look = 0.0
        self._next_write = 0.0

    def run(self) -> None:
        """Raise the lab, look after it, take it down.

        Raises:
            LabError: it could not be raised; what had started has ended, and the logs are kept.

        """
        lock = self._folder.lock("supervisor")
        if not lock.try_take():
            raise LabBusy(f"a lab is up already in {self._folder.path}: `make lab-status` shows it")
        self._take_signals()
        with Guard() as guard:
            if self._is_private:
                guard.remove_folder(self._folder.path)
            try:
                with contextlib.ExitStack() as ends:
                    self._make_parts(guard, ends)
                    self._start_parts()
                    if not self._stop.is_set():
                        self._look_after()
            except Exception as error:
                # Whatever it was: `lab-status` and who raised the lab have to hear of it.
                self._tell_failure(error)
                guard.keep_folder(self._folder.path)
                raise
        lock.close()

    # Making and ending.

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop.set())
        if self._is_private:
            threading.Thread(target=self._stop_with_our_maker, daemon=True).start()

    def _stop_with_our_maker(self) -> None:
        """A private lab's standard input is a pipe that its maker holds open."""
        while os.read(sys.stdin.fileno(), 4096):
            pass
        self._stop.set()

    def _make_parts(self, guard: Guard, ends: contextlib.ExitStack) -> None:
        """Make them, and note how each ends: the last noted is the first to end."""
        settings, folder = self._settings, self._folder.path
        self._guard = guard
        self._network = Network(
            instance_port=settings.instance_port, one_address=bool(settings.one_address)
        )
        self._postgres = Postgres(
            folder=folder / "postgres",
            guard=guard,
            synchronous_commit=settings.synchronous_commit == "on",
            commit_delay_ms=settings.commit_delay_ms,
        )
        self._writer = Writer(self._postgres, away_s=settings.database_away_s, now=time.monotonic)
        self._data_api = DataApi(self._postgres.url)
        self._envoy = Envoy(settings=settings, folder=folder, guard=guard)
        self._access_log: AccessLog | None = None
        self._checks = HealthChecks(settings)
        self._health = TargetHealth(deregistration_delay_s=settings.deregistration_delay_s)
        self._group = AutoScalingGroup(
            settings=settings,
            network=self._network,
            health=self._health,
            serve=self._serve,
            now=time.monotonic,
        )
        self._moto = MotoServer()
        self._replacements = MotoReplacements(
            lock=self._lock,
            lab=Lab(
                servers=Servers(machines=self._group.machines, run=self._run_beside),
                database=Database(self._writer),
            ),
            group=self._group,
            health=self._health,
            data_api=self._data_api,
            initiating_s=settings.initiating_s,
        )
        for end in (
            self._network.close,
            self._replacements.remove,
            self._postgres.stop,
            self._data_api.close,
            self._end_access_log,
            self._envoy.stop,
            self._checks.close,
            self._end_group,
            self._tell_stopping,
        ):
            ends.callback(end)

    def _start_parts(self) -> None:
        self._write_state()
        for start in (
            self._envoy.start,
            self._postgres.start,
            self._replacements.install,
            self._moto.start,
            self._make_account,
        ):
            if not self._stop.is_set():
                start()

    def _make_account(self) -> None:
        made = account.build(
            settings=self._settings,
            network=self._network,
            endpoint=self._moto.endpoint,
            load_balancer_port=self._envoy.port,
            database_port=self._postgres.port,
        )
        self._access_log = AccessLog(
            source=self._envoy.files.access_log,
            destination=self._folder.access_log,
            target_group_arn=made.target_group_arn,
            load_balancer=made.load_balancer,
        )

    def _end_group(self) -> None:
        with self._lock:
            self._group.close()

    def _end_access_log(self) -> None:
        if self._access_log is not None:
            self._access_log.follow()

    def _serve(self, place: Place) -> ProcessGroup:
        """Start the shop on a machine, as systemd would."""
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            # The shop's own settings, where somebody wants them other than they are.
            **{
                name: value
                for name, value in os.environ.items()
                if name.startswith("SHOP_") or name in _PYTHONS
            },
            "DATABASE_URL": self._postgres.url,
            "INSTANCE_ID": place.instance_id,
            "AZ": place.zone,
            "PRIVATE_IP": place.private_ip,
            "SHOP_WORKERS": str(self._settings.shop_workers),
            "SHOP_STOCK_FACTOR": str(self._settings.stock_factor),
        }
        return ProcessGroup(
            [
                *(sys.executable, "-m", "gunicorn", "--config", "python:shop.gunicorn_conf"),
                *("--bind", f"{place.address}:{place.port}", self._settings.shop_app),
            ],
            guard=self._guard,
            log=self._folder.path / f"{place.instance_id}.log",
            environment=environment,
            folder=ROOT,
        )

    def _run_beside(self, instance_id: str, command: Sequence[str]) -> ProcessGroup:
        """Start a program on a machine, as its neighbour."""
        return ProcessGroup(
            command, guard=self._guard, log=self._folder.path / f"{instance_id}.log"
        )

    # Looking after it.

    def _look_after(self) -> None:
        limit = ProgressTimeout()
        while not self._stop.wait(self._settings.tick_s):
            self._tick()
            if self._status == "starting":
                if self._group.is_up:
                    self._be_up()
                else:
                    self._see_that_it_comes_up(limit)

    def _be_up(self) -> None:
        if self._settings.stock:
            self._postgres.set_stock(self._settings.stock)
        # What was there before the run must not be what a crash takes.
        self._postgres.settle()
        self._status = "up"
        self._write_state()

    def _see_that_it_comes_up(self, limit: ProgressTimeout) -> None:
        """Give up on servers that have ended or are stuck, and not on slow ones; LabError."""
        ended = self._group.ended()
        if ended:
            raise LabError(f"a server ended while it started: {self._last_words(ended[0])}")
        if limit.is_over(self._group.progress()):
            late = [each for each in self._instances() if each.health != "healthy"]
            words = f"; the first: {self._last_words(late[0].instance_id)}" if late else ""
            raise LabError(
                f"of {self._settings.desired_capacity} servers {len(late)} are not healthy, and "
                f"nothing has changed for {STUCK_AFTER_S:g} s{words}"
            )

    def _last_words(self, instance_id: str) -> str:
        log_file = self._folder.path / f"{instance_id}.log"
        return f"{last_lines(log_file, 3)} (log: {log_file})"

    def _tick(self) -> None:
        assert self._access_log is not None
        self._guard.keep_up()
        now = time.monotonic()
        views = None
        if now >= self._next_look:
            self._next_look = now + HEALTH_LOOK_S
            views = self._envoy.views()  # without the lock: it may take a moment
        opinions = self._checks.opinions()
        with self._lock:
            self._health.look(opinions=opinions, routed=views, now=now)
            self._group.tick()
            self._writer.tick()
            self._replacements.tick()
            registered = self._health.registered()
        self._checks.watch(registered, now)
        self._checks.tick(now)
        self._envoy.route_to({each: opinions.get(each) is Opinion.HEALTHY for each in registered})
        self._access_log.follow()
        if now >= self._next_write:
            self._next_write = now + STATE_WRITE_S
            self._write_state()

    # Telling.

    def _tell_stopping(self) -> None:
        self._status = "stopping"
        self._write_state()

    def _tell_failure(self, error: Exception) -> None:
        foreseen = isinstance(error, LabError)
        if not foreseen:
            log.error("the lab ends by a fault of ours", exc_info=error)
        why = str(error) if foreseen else f"a fault of ours: {type(error).__name__}: {error}"
        last = self._folder.read() or LabState(pid=os.getpid(), status="")
        self._folder.write(dataclasses.replace(last, status="failed", detail=why))

    def _write_state(self) -> None:
        self._folder.write(
            LabState(
                pid=os.getpid(),
                status=self._status,
                parts=self._parts(),
                host=f"http://127.0.0.1:{self._envoy.port}",
                aws_endpoint=self._moto.endpoint,
                database_url=self._postgres.url,
                instances=self._instances(),
            )
        )

    def _parts(self) -> dict[str, str]:
        def word(is_alive: bool, log_file: str) -> str:
            return "up" if is_alive else f"not running (log: {self._folder.path / log_file})"

        return {
            "load balancer (Envoy)": word(self._envoy.is_alive(), "envoy.log"),
            "database (PostgreSQL)": word(self._postgres.is_alive(), "postgres/postgres.log"),
        }

    def _instances(self) -> tuple[InstanceState, ...]:
        with self._lock:
            registered = set(self._health.instance_ids())
            return tuple(
                InstanceState(
                    instance_id=each.place.instance_id,
                    zone=each.place.zone,
                    address=f"{each.place.address}:{each.place.port}",
                    state=each.state.value,
                    health=health.state,
                    reason=health.reason or "",
                )
                for name, each in self._group.machines.items()
                for health in [self._health.of(name) if name in registered else Health("")]
            )
