"""`python -m analysis.database.resolution`: which of these orders have rows, while a run goes on.

A JSON list of order keys per line on standard input, one JSON object per line in answer:
{"rows": [[order_key, attempt_id], ...]}, or {"error": why}. DATABASE_URL names the database, which
is connected to anew for each question. It is no evidence: a run is judged from its last snapshot.
"""

import json
import os
import sys
from collections.abc import Sequence

from analysis.database.reading import connect
from analysis.evidence.errors import DatabaseError

QUESTION_LIMIT_S = 2.0


def answer(line: str, url: str) -> dict[str, object]:
    """Answer one line of questions; what goes wrong is told, never raised."""
    try:
        keys = _keys(line)
        with connect(url) as database:
            rows = database.rows_of(keys, limit_s=QUESTION_LIMIT_S)
    except (DatabaseError, ValueError) as error:
        return {"error": str(error)}
    return {"rows": rows}


def main() -> int:
    """Answer until there are no more questions."""
    url = os.environ.get("DATABASE_URL", "")
    for line in sys.stdin:
        print(json.dumps(answer(line, url)), flush=True)
    return 0


def _keys(line: str) -> Sequence[str]:
    keys = json.loads(line)
    if not isinstance(keys, list) or not all(isinstance(each, str) for each in keys):
        raise ValueError("a question is a JSON list of order keys")
    return keys


if __name__ == "__main__":
    sys.exit(main())
