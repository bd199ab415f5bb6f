"""From the lines of the ledgers to attempts and requests. Pure, and in one pass per ledger.

An attempt is written before its first byte is sent. One whose end is not in its ledger was in
flight when the process died: it is indeterminate. Only attempts in flight are held in memory.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from analysis.errors import EvidenceError
from analysis.records import (
    Attempt,
    AttemptEnded,
    AttemptSent,
    LedgerClosed,
    LedgerLine,
    LedgerOpened,
    Outcome,
    Request,
    RequestDone,
    TornLine,
    parse_line,
)
from analysis.run import LedgerFindings

IN_FLIGHT = "in_flight_at_stop"
ORDER_METHOD, ORDER_NAME = "POST", "/orders"
LEDGER_VERSION = 2


@dataclass(slots=True, kw_only=True)
class LedgerReader:
    """Reads ledgers one after the other and hands on what they hold.

    An unfinished last line is what a sudden end leaves behind: it is counted, and does no harm,
    since an attempt whose line is unfinished was not sent yet. Any other torn line is a gap.
    """

    put_attempt: Callable[[Attempt], object]
    put_request: Callable[[Request], object]
    last_at: int | None = None
    _counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(LedgerFindings.__dataclass_fields__, 0)
    )

    @property
    def findings(self) -> LedgerFindings:
        """What was found so far, over all ledgers."""
        return LedgerFindings(**self._counts)

    def read(self, lines: Iterable[bytes], *, name: str) -> None:
        """Read one ledger; EvidenceError if another version wrote it."""
        self._counts["files"] += 1
        one = _OneLedger(reader=self, name=name)
        torn = 0
        for line in lines:
            torn += one.was_torn
            one.take(line)
            self._counts["lines"] += 1
        self._counts["torn_lines"] += torn
        self._counts["torn_last_lines"] += one.was_torn
        one.finish()

    def count(self, what: str) -> None:
        """Add one to a finding."""
        self._counts[what] += 1

    def see(self, at: int | None) -> None:
        """Remember the latest time in any ledger."""
        if at is not None and (self.last_at is None or at > self.last_at):
            self.last_at = at


@dataclass(slots=True, kw_only=True)
class _OneLedger:
    reader: LedgerReader
    name: str
    process_id: str = ""
    was_torn: bool = False
    _open: dict[str, AttemptSent] = field(default_factory=dict)

    def take(self, line: bytes) -> None:
        try:
            record = parse_line(line)
        except TornLine:
            self.was_torn = True
            return
        self.was_torn = False
        self._put(record)

    def finish(self) -> None:
        for sent in self._open.values():
            self.reader.count("open_attempts")
            self._end(sent, None)

    def _put(self, record: LedgerLine) -> None:
        match record:
            case LedgerOpened():
                self._put_opened(record)
            case AttemptSent():
                self._put_sent(record)
            case AttemptEnded():
                self._put_ended(record)
            case RequestDone():
                self.reader.see(record.ended_at or record.sent_at)
                self.reader.put_request(_request(record, process_id=self.process_id))
            case LedgerClosed():
                self.reader.see(record.at)

    def _put_opened(self, opened: LedgerOpened) -> None:
        if opened.version != LEDGER_VERSION:
            message = (
                f"{self.name} is a ledger of version {opened.version}, and this reads version "
                f"{LEDGER_VERSION}; judge the run with the release that made it"
            )
            raise EvidenceError(message)
        self.process_id = opened.process_id
        self.reader.see(opened.at)

    def _put_sent(self, sent: AttemptSent) -> None:
        self.reader.see(sent.sent_at)
        earlier = self._open.get(sent.attempt_id)
        if earlier is not None:  # an id used twice: both are kept, and the judge will object
            self._end(earlier, None)
        self._open[sent.attempt_id] = sent

    def _put_ended(self, ended: AttemptEnded) -> None:
        self.reader.see(ended.ended_at)
        sent = self._open.pop(ended.attempt_id, None)
        if sent is None:
            self.reader.count("unmatched_ends")
            return
        self._end(sent, ended)

    def _end(self, sent: AttemptSent, ended: AttemptEnded | None) -> None:
        self.reader.put_attempt(_attempt(sent, ended, process_id=self.process_id))
        self.reader.put_request(_order_request(sent, ended, process_id=self.process_id))


def _attempt(sent: AttemptSent, ended: AttemptEnded | None, *, process_id: str) -> Attempt:
    return Attempt(
        attempt_id=sent.attempt_id,
        order_key=sent.order_key,
        attempt_no=sent.attempt_no,
        user_id=sent.user_id,
        process_id=process_id,
        product_id=sent.product_id,
        quantity=sent.quantity,
        due_at=sent.due_at,
        sent_at=sent.sent_at,
        ended_at=ended.ended_at if ended else None,
        outcome=ended.outcome if ended else Outcome.INDETERMINATE,
        http_status=ended.http_status if ended else None,
        error=ended.error if ended else IN_FLIGHT,
        order_id=ended.order_id if ended else None,
        served_by=ended.served_by if ended else "",
        trace_id=sent.trace_id,
        retry_of=sent.retry_of,
    )


def _order_request(sent: AttemptSent, ended: AttemptEnded | None, *, process_id: str) -> Request:
    return Request(
        process_id=process_id,
        user_id=sent.user_id,
        name=ORDER_NAME,
        method=ORDER_METHOD,
        due_at=sent.due_at,
        sent_at=sent.sent_at,
        ended_at=ended.ended_at if ended else None,
        http_status=ended.http_status if ended else None,
        error=ended.error if ended else IN_FLIGHT,
        bytes=ended.bytes if ended else None,
        served_by=ended.served_by if ended else "",
        attempt_id=sent.attempt_id,
    )


def _request(done: RequestDone, *, process_id: str) -> Request:
    return Request(
        process_id=process_id,
        user_id=done.user_id,
        name=done.name,
        method=done.method,
        due_at=done.due_at,
        sent_at=done.sent_at,
        ended_at=done.ended_at,
        http_status=done.http_status,
        error=done.error,
        bytes=done.bytes,
        served_by=done.served_by,
        attempt_id="",
    )
