"""`python -m tests.bench.ledger_wire worker|master PORT FILE`: one end of a ledger's way.

A process of its own for each end, since the peak of a process' memory never falls.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from locust.rpc import Message, zmqrpc

from harness.workers.ledger_copy import LedgerCopy
from harness.workers.stream import LedgerStream
from tests.analysis.close_ledgers import peak_mb

_HOST, _NAME = "127.0.0.1", "worker-1"
_Client: Any = zmqrpc.Client  # Locust gives them no types
_Server: Any = zmqrpc.Server
_Message: Any = Message


def send(port: int, ledger: Path) -> None:
    """A worker, whose ledger is closed already."""
    client = _Client(_HOST, port, _NAME)

    def tell(**message: Any) -> bool:
        client.send(_Message("ledger", message, _NAME))
        return True

    stream = LedgerStream(ledger, tell=tell)

    def listen() -> None:
        while True:
            stream.received(client.recv().data)

    gevent.spawn(listen)
    began = time.perf_counter()
    stream.start()
    stream.finish()
    if not stream.wait(limit_s=60):
        raise RuntimeError("the master has not taken it all")
    print(json.dumps({"took_s": time.perf_counter() - began, "peak_mb": peak_mb()}))


def receive(port: int, file: Path) -> None:
    """A master, until it has one worker's ledger."""
    server = _Server(_HOST, port)

    def answer(told: dict[str, Any]) -> None:
        server.send_to_client(_Message("received", told, _NAME))

    copy = LedgerCopy(file, answer=answer, on_failure=sys.exit)

    def listen() -> None:
        while True:
            copy.take(server.recv_from_client()[1].data)

    gevent.spawn(listen)
    while not copy.is_closed:
        gevent.sleep(0.01)
    gevent.sleep(1)  # the last answer is on its way
    copy.release()
    print(json.dumps({"peak_mb": peak_mb()}))


if __name__ == "__main__":
    {"worker": send, "master": receive}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
