"""From the lines of the ledgers to the rows of attempts.csv and requests.csv, in one pass.

An attempt is written before its first byte is sent. One whose end is not in its ledger was in
flight when the process died: it is indeterminate. Only attempts in flight are held in memory, and
of those a bounded number. Rows are made as text: a record for each would take four times as long.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import lru_cache

from analysis.evidence.errors import EvidenceError, TornLine
from analysis.evidence.ledger.in_flight import Fields, InFlight
from analysis.evidence.ledger.line_fields import Kind, read_fields
from analysis.evidence.ledger.line_records import (
    LEDGER_VERSION,
    LEDGER_WITH_TAIL,
    AttemptEnded,
    AttemptSent,
    LedgerClosed,
    LedgerFindings,
    LedgerOpened,
    RequestDone,
)
from analysis.evidence.records import Outcome, format_time

IN_FLIGHT = "in_flight_at_stop"
ORDER_METHOD, ORDER_NAME = "POST", "/orders"
VERSIONS = (str(LEDGER_VERSION), str(LEDGER_WITH_TAIL))

Cells = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class LedgerReader:
    """Reads ledgers one after the other and hands on the rows that they hold, as cells.

    An unfinished last line is what a sudden end leaves behind: it is counted, and does no harm,
    since an attempt whose line is unfinished was not sent yet. Any other torn line is a gap.
    """

    put_attempt: Callable[[Cells], object]
    put_request: Callable[[Cells], object]
    in_flight: InFlight = field(default_factory=InFlight)
    last_at: int | None = None
    _counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(LedgerFindings.__dataclass_fields__, 0)
    )

    @property
    def findings(self) -> LedgerFindings:
        """What was found so far, over all ledgers."""
        return LedgerFindings(**self._counts)

    def read(self, lines: Iterable[bytes], *, name: str, has_tail: bool = False) -> None:
        """Read one ledger; EvidenceError if another version wrote it.

        `has_tail` says that what its tail held is in it (`tail.complete`), or that nobody
        takes it for whole anyway.
        """
        one = _OneLedger(reader=self, name=name)
        put: dict[Kind, Callable[..., None]] = {
            LedgerOpened: one.put_opened,
            AttemptSent: one.put_sent,
            AttemptEnded: one.put_ended,
            RequestDone: one.put_request,
            LedgerClosed: one.put_closed,
        }
        count = torn = 0
        was_torn = False
        for line in lines:
            count += 1
            try:
                kind, values = read_fields(line)
            except TornLine:
                torn += 1
                was_torn = True
                continue
            was_torn = False
            put[kind](*values)
        self.count("files")
        self.count("lines", count)
        self.count("torn_lines", torn - was_torn)
        self.count("torn_last_lines", was_torn)
        one.finish(has_tail=has_tail)

    def count(self, what: str, how_many: int = 1) -> None:
        """Add to a finding."""
        self._counts[what] += how_many

    def see(self, at: str) -> None:
        """Remember the latest time in any ledger."""
        if at and (self.last_at is None or int(at) > self.last_at):
            self.last_at = int(at)


@dataclass(slots=True, kw_only=True)
class _OneLedger:
    """What each line does. The methods take a line's fields in their order (see `records`)."""

    reader: LedgerReader
    name: str
    process_id: str = ""
    needs_tail: bool = True  # until a line says otherwise, which a power cut may have taken

    def put_opened(self, version: str, process_id: str, at: str, _about: str) -> None:
        if version not in VERSIONS:
            raise EvidenceError(
                f"{self.name} is a ledger of version {version}, and this reads "
                f"{' and '.join(VERSIONS)}; judge the run with the release that made it"
            )
        self.needs_tail = version == VERSIONS[-1]
        self.process_id = process_id
        self.reader.see(at)

    def put_sent(self, attempt_id: str, *more: str) -> None:
        sent = (attempt_id, *more)
        self.reader.see(more[_SENT_AT - 1])
        earlier = self.reader.in_flight.put(attempt_id, sent)
        if earlier is not None:  # an id used twice: both are kept, and the judge will object
            self._end(earlier, _NO_END)

    def put_ended(self, attempt_id: str, *end: str) -> None:
        self.reader.see(end[0])
        sent = self.reader.in_flight.take(attempt_id)
        if sent is None:
            self.reader.count("unmatched_ends")
            return
        self._end(sent, end)

    def put_request(
        self, user: str, name: str, method: str, due: str, sent: str, ended: str, *more: str
    ) -> None:
        self.reader.see(ended or sent)
        times = (render_time(due), render_time(sent), render_time(ended))
        self.reader.put_request((self.process_id, user, name, method, *times, *more, ""))

    def put_closed(self, at: str) -> None:
        self.needs_tail = False
        self.reader.see(at)

    def finish(self, *, has_tail: bool) -> None:
        if self.needs_tail and not has_tail:
            self.reader.count("cut_off")
        for sent in self.reader.in_flight.take_all():
            self.reader.count("open_attempts")
            self._end(sent, _NO_END)

    def _end(self, sent: Fields, end: Fields) -> None:
        attempt_id, order_key, number, user, product, quantity, due, at, trace, retry_of = sent
        ended_at, outcome, status, error, order_id, served_by, size = end
        times = (render_time(due), render_time(at), render_time(ended_at))
        process = self.process_id
        self.reader.put_attempt(
            (
                *(attempt_id, order_key, number, user, process, product, quantity),
                *times,
                *(outcome, status, error, order_id, served_by, trace, retry_of),
            )
        )
        self.reader.put_request(
            (
                *(process, user, ORDER_NAME, ORDER_METHOD),
                *times,
                *(status, error, size, served_by, attempt_id),
            )
        )


_SENT_AT = [each.name for each in fields(AttemptSent)].index("sent_at")
# The fields of an AttemptEnded but for the id.
_NO_END: Fields = ("", Outcome.INDETERMINATE.value, "", IN_FLIGHT, "", "", "")
_PLAIN_TIME = len("1795435200000000")


def render_time(at: str) -> str:
    """Return what `format_time` does of microseconds in digits, and nothing of nothing."""
    if len(at) == _PLAIN_TIME and at[0] != "-":
        return f"{_render_second(at[:-6])}{at[-6:]}Z"
    return format_time(int(at)) if at else ""


@lru_cache(maxsize=4096)
def _render_second(seconds: str) -> str:
    """Return 2026-11-23T12:00:00. with its full stop."""
    return format_time(int(seconds) * 1_000_000).removesuffix("000000Z")
