"""How fast attempts and their ends are recorded: `python -m tests.bench.ledger_rows FOLDER`.

A process of its own, since customers' modules are Locust's, which changes what it is imported into.
"""

import json
import sys
import time
import uuid
from pathlib import Path

import locust  # noqa: F401  before all that knows of TLS

from analysis.evidence.ledger.line_records import AttemptSent
from analysis.evidence.records import Outcome
from harness.customers.outcome import Conclusion
from harness.record.journal import now
from harness.record.ledger import Ledger
from harness.record.recording import Recording

ATTEMPTS = 20_000
_ACKNOWLEDGED = Conclusion(
    outcome=Outcome.ACKNOWLEDGED,
    http_status=201,
    order_id=123456,
    served_by="i-0123456789abcdef0",
)


def main(folder: Path) -> None:
    """Print rows per second and bytes per attempt: each has two rows."""
    folder.mkdir()
    path = folder / "bench.jsonl"
    ledger = Ledger(path, process_id="bench-1", at=now())
    recording = Recording(ledger)
    empty = path.stat().st_size
    names = [str(uuid.uuid4()) for _ in range(ATTEMPTS)]
    began = time.perf_counter()
    for name in names:
        attempt = AttemptSent(
            attempt_id=name,
            order_key=name,
            attempt_no=1,
            user_id="12345-12",
            product_id=5,
            quantity=2,
            due_at=None,
            sent_at=now(),
            trace_id=f"Root=1-{name}",
        )
        recording.sent(attempt)
        recording.ended(attempt, _ACKNOWLEDGED, 250)
    ledger.flush()
    took_s = time.perf_counter() - began
    size = path.stat().st_size - empty
    ledger.close(at=now())
    found = {"rows_per_second": 2 * ATTEMPTS / took_s, "bytes_per_attempt": size / ATTEMPTS}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
