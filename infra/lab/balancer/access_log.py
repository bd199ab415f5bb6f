"""The load balancer's access log in an ALB's own line format, made from Envoy's.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOAD_BALANCER = "app/chaos-lab-alb/50dc6c495c0c9188"
CLIENT_CLOSED = 460
_CONNECTED = "via_upstream"


def _text(value: object) -> str:
    r"""As it may stand between an ALB's quotes: its own stand as \x22."""
    if value is None:
        return "-"
    escaped = str(value).replace("\\", "\\\\").replace('"', "\\x22")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02X}" for c in escaped)


def _seconds(us: int | None) -> str:
    return "-1" if us is None else f"{us / 1e6:.3f}"


def _count(value: object) -> int | None:
    """Envoy writes a number, or "-" (or null) for one it does not have."""
    return int(value) if isinstance(value, int | float) else None


def _rfc3339(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _processing_times(entry: dict[str, Any], total_us: int) -> list[str]:
    """Until the target was asked, until it answered, until the answer was sent; -1 for none.

    Never dispatched, or dispatched and never answered: the two look the same in an ALB's log.
    """
    to_dispatch, to_reply = _count(entry["to_dispatch_us"]), _count(entry["to_reply_us"])
    if to_dispatch is None or to_reply is None:
        return ["-1"] * 3
    target_us = to_reply - to_dispatch if to_reply and to_dispatch else None
    response_us = max(0, total_us - to_reply) if to_reply else None
    return [_seconds(to_dispatch), _seconds(target_us), _seconds(response_us)]


def alb_line(
    entry: dict[str, Any], *, target_group_arn: str, load_balancer: str = LOAD_BALANCER
) -> str:
    """One line of an ALB's access log (HTTP, no newline) from one of Envoy's entries."""
    total_us = _count(entry["total_us"])
    if total_us is None:
        total_us = (_count(entry["duration_ms"]) or 0) * 1000
    started = float(entry["started"])
    status = str(_count(entry["status"]) or CLIENT_CLOSED)
    target = entry["target"] or "-"
    target_status = status if entry["details"] == _CONNECTED else "-"
    request = (
        f"{_text(entry['method'])} http://{_text(entry['authority'])}{_text(entry['path'])} "
        f"{_text(entry['protocol'])}"
    )
    fields = [
        *("http", _rfc3339(started + total_us / 1e6), load_balancer),
        *(_text(entry["client"]), target, *_processing_times(entry, total_us)),
        *(status, target_status),
        *(str(_count(entry[name]) or 0) for name in ("received", "sent")),
        *(f'"{request}"', f'"{_text(entry["user_agent"])}"', "-", "-", target_group_arn),
        *(f'"{_text(entry["trace_id"])}"', '"-"', '"-"', "0", _rfc3339(started)),
        *('"forward"', '"-"', '"-"', f'"{target}"', f'"{target_status}"', '"-"', '"-"', "-"),
    ]
    return " ".join(fields)


class AccessLog:
    """Follows Envoy's log and appends to the ALB's, whole lines only."""

    def __init__(
        self,
        *,
        source: Path,
        destination: Path,
        target_group_arn: str,
        load_balancer: str = LOAD_BALANCER,
    ) -> None:
        self._source = source
        self._destination = destination
        self._names = {"target_group_arn": target_group_arn, "load_balancer": load_balancer}
        self._offset = 0

    def follow(self) -> None:
        """Convert what has come since the last call."""
        if not self._source.exists():
            return
        with self._source.open("rb") as source:
            source.seek(self._offset)
            fresh = source.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        if not whole:
            return
        self._offset += len(whole)
        lines = [alb_line(json.loads(line), **self._names) for line in whole.splitlines()]
        with self._destination.open("a", encoding="utf-8") as destination:
            destination.write("\n".join(lines) + "\n")
