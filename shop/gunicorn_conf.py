"""gunicorn's settings, the same in the lab and on AWS.

`python -m gunicorn --config python:shop.gunicorn_conf --bind ADDR:PORT shop.wsgi:app`
"""

from __future__ import annotations

from pathlib import Path

from shop.start import load_settings_or_exit, prepare_database_or_exit, start_logging

_settings = load_settings_or_exit()

# As in the article: a worker is a process that answers one request at a time.
worker_class = "sync"
workers = _settings.workers

# A worker that is silent for this long is killed. More than the waits of one request
# add up to: two attempts to connect or to lock, and three statements.
timeout = 30

# SIGTERM: no new connections, this long for the requests in flight.
graceful_timeout = 15

# The socket would be one file in the home folder, shared by every server of a user.
control_socket_disable = True

# Workers show that they live by touching a file, which must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108

# `--access-logfile -` turns it on; the load balancer's log has the same and more.
accesslog = None


def on_starting(_server: object) -> None:
    """Prepare the database once per server, before it listens.

    Not in the workers: one that is replaced during an outage must come up without it,
    or gunicorn gives up on the whole server.
    """
    start_logging()
    prepare_database_or_exit(_settings)
