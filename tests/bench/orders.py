"""Orders per second and p99: ours against the article's design, in pairs.

Both servers stand side by side with as many worker processes, over one PostgreSQL; each
repetition loads one and then the other, so that what else the machine does meets both.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.measurement import Measurement, median
from tests.bench.stage import Stage

REPETITIONS = 5
SECONDS = 4
CONNECTIONS = 16
GOAL = 2.0
PRODUCTS = {"spread products": 10, "one hot product": 1}
Result = dict[str, float]


def measure(stage: Stage) -> list[Measurement]:
    """For each spread of products: both designs' numbers, and how they compare."""
    ports = {"article": stage.start_articles(), "ours": stage.start_ours()}
    found = []
    for spread, products in PRODUCTS.items():
        for port in ports.values():
            _load(stage, port, 1, products)  # connections are made, statements prepared
        pairs = []
        for number in range(REPETITIONS):
            # Whoever is second finds a warmer or a busier machine: they take turns.
            names = sorted(ports, reverse=number % 2 == 1)
            pairs.append({name: _load(stage, ports[name], SECONDS, products) for name in names})
        found += _compare(spread, pairs)
    return found


def _compare(spread: str, pairs: list[dict[str, Result]]) -> list[Measurement]:
    def each(design: str, what: str) -> list[float]:
        return [pair[design][what] for pair in pairs]

    ratios = [pair["ours"]["per_second"] / pair["article"]["per_second"] for pair in pairs]
    return [
        median(f"{spread}: article's design", each("article", "per_second"), "orders/s"),
        median(f"{spread}: ours", each("ours", "per_second"), "orders/s"),
        median(f"{spread}: ours to the article's", ratios, "times", at_least=GOAL),
        median(f"{spread}: article's design, p99", each("article", "p99_ms"), "ms"),
        median(f"{spread}: ours, p99", each("ours", "p99_ms"), "ms"),
        *(
            median(f"{spread}: {design}, CPU of {what}", each(design, what), "ms/order")
            for design in ("article", "ours")
            for what in ("server", "PostgreSQL", "load generator")
        ),
    ]


def _load(stage: Stage, port: int, seconds: int, products: int) -> Result:
    script = str(Path(__file__).with_name("load.py"))
    command = [sys.executable, script, *(str(n) for n in (port, seconds, CONNECTIONS, products))]
    before = stage.cpu_s(port)
    output = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60 + seconds
    ).stdout
    server, postgres = (now - then for now, then in zip(stage.cpu_s(port), before, strict=True))
    result = json.loads(output)
    statuses = result.pop("statuses")
    if set(statuses) != {"201"}:
        raise RuntimeError(f"not all orders on port {port} were placed: {statuses}")
    orders = statuses["201"]
    return dict(result) | {
        "server": server / orders * 1000,
        "PostgreSQL": postgres / orders * 1000,
        "load generator": result["own_cpu"] / result["per_second"] * 1000,
    }
