"""gunicorn's settings, the same in the lab and on AWS.

`python -m gunicorn --config python:shop.gunicorn_conf --bind ADDR:PORT shop.wsgi:app`
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from shop.observation.logs import GunicornLog, start_logging
from shop.observation.metrics_folder import make_metrics_folder, remove_metrics_folder

# Before anything imports prometheus_client, which looks at the environment when it is.
_metrics_folder = make_metrics_folder(os.environ)

# Once for all workers, which have them by being forked. The application itself is each worker's.
import flask  # noqa: E402, F401
import prometheus_client  # noqa: E402, F401

from shop.start import load_settings_or_exit, prepare_database_or_exit  # noqa: E402

if TYPE_CHECKING:
    from shop.serving.worker import Worker

_settings = load_settings_or_exit()

# Processes as in the article, each with threads. A thread that waits for the database is
# no use to anybody else, so there are more of them than the pool and its waiting room
# admit: the spare ones find /health something to answer it whatever the database does.
# Sync workers would need a process for each request that may ever hang.
SPARE_THREADS = 8
worker_class = "shop.serving.worker.Worker"
workers = _settings.workers
threads = _settings.pool_size + _settings.waiting_room + SPARE_THREADS

# A connection that the load balancer keeps is closed by it, after 60 s without a request,
# and never by us: what it sent on one that we were just closing would become a 502.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
keepalive = 75

# A worker whose main loop is silent for this long is killed.
timeout = 30

# SIGTERM: no new connections, this long for the requests in flight. Kept connections are
# open for two more seconds, and what comes in on them is answered with Connection: close.
graceful_timeout = 15

# The socket would be one file in the home folder, shared by every server of a user.
control_socket_disable = True

# Workers show that they live by touching a file, which must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108

# `shop.web.request_log` writes a line per request, and the load balancer's log has more.
logger_class = GunicornLog


def on_starting(_server: object) -> None:
    """Prepare the database once per server, before it listens.

    Not in the workers: one that is replaced during an outage must come up without it,
    or gunicorn gives up on the whole server.
    """
    start_logging()
    prepare_database_or_exit(_settings)


def post_worker_init(worker: "Worker") -> None:
    """Tell a worker how long it may wait for its clients."""
    worker.limit_ms = _settings.client_timeout_ms


def on_exit(_server: object) -> None:
    """Remove what the workers counted into."""
    remove_metrics_folder(_metrics_folder)
