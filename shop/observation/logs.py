"""Log lines: one JSON object each, on stderr. Bodies and secrets are never among them."""

import json
import logging
import sys
from datetime import UTC, datetime

from gunicorn import glogging

# Made once: json.dumps makes one for each line.
ENCODER = json.JSONEncoder(default=str)


class JSONLines(logging.Formatter):
    """A line per record. A record whose message is a dict gives its fields to the line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "source": record.name,
            "pid": record.process,
        }
        if isinstance(record.msg, dict):
            line |= record.msg
        else:
            line["message"] = record.getMessage()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return ENCODER.encode(line)


def start_logging() -> None:
    """Write the log to stderr."""
    # Of who logs where no line says anything, and finding out takes longer than the line.
    # https://docs.python.org/3/howto/logging.html#optimization
    logging._srcfile = None  # noqa: SLF001
    logging.logThreads = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class GunicornLog(glogging.Logger):  # type: ignore[misc]  # gunicorn is not typed
    """gunicorn's own lines in the same form, and none per request: those are the shop's."""

    def setup(self, cfg: object) -> None:
        """As gunicorn's, with our form."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(JSONLines())

    def access(self, *_: object) -> None:
        """Write nothing."""
