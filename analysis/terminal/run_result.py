"""A judgement as people see it on the terminal. What others wrote is shown, never obeyed."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from analysis.evidence.records import Outcome, RunVerdict, Verdict, format_time
from analysis.evidence.run import HealthCheck
from analysis.judging.finding_records import Method
from analysis.measures.faults import FaultFinding, describe_faults
from analysis.measures.hypotheses import Hypothesis, limits_in_words
from analysis.measures.latency import Latency, Spread
from analysis.measures.retries import Retries
from analysis.measures.windows import EC2_STATE_EXPECTATION, Window, balancer_window_name
from analysis.terminal.parts import grid, safe
from analysis.terminal.stories import stories_of
from analysis.verdict.headline import NO_FAULT, NOT_ACKNOWLEDGED
from analysis.verdict.judgement import Judgement

_MARKS = {RunVerdict.HELD: "✓", RunVerdict.UNDECIDED: "?", RunVerdict.BROKEN: "✗"}
_STYLES = {RunVerdict.HELD: "green", RunVerdict.UNDECIDED: "yellow", RunVerdict.BROKEN: "bold red"}
_SHOULD_BE_NONE = {
    *(Verdict.LOST, Verdict.ALTERED, Verdict.CONTRADICTED),
    *(Verdict.DUPLICATE, Verdict.UNEXPECTED),
}
_VERDICTS_OF = {
    Outcome.ACKNOWLEDGED: (Verdict.CONFIRMED, Verdict.LOST, Verdict.ALTERED),
    Outcome.REJECTED: (Verdict.CLEAN, Verdict.CONTRADICTED),
    Outcome.UNSENT: (Verdict.CLEAN, Verdict.CONTRADICTED),
    Outcome.INDETERMINATE: (Verdict.COMMITTED, Verdict.ABSENT, Verdict.POSSIBLE),
}
_BROKEN_IN_WORDS = {
    Verdict.LOST: ("order", "told to its customer as placed, not in the table"),
    Verdict.ALTERED: ("order", "in the table other than its customer was told"),
    Verdict.CONTRADICTED: ("order", "refused, and in the table all the same"),
    Verdict.DUPLICATE: ("row", "the second of one order"),
    Verdict.UNEXPECTED: ("row", "ordered by nobody"),
}


def render(judgement: Judgement, console: Console, *, directory: Path) -> None:
    """Print the verdict and everything that it rests on."""
    console.print(_panel(judgement))
    for title, part in _parts(judgement):
        console.print(Text(title, style="bold"))
        console.print(Padding(part, (0, 0, 1, 1), expand=False))
    for note in _notes(judgement):
        console.print(Text(f"note: {safe(note)}", style="yellow"))
    files = "reconciliation.csv holds every attempt, summary.json the numbers above"
    console.print(Text(safe(str(directory)), style="bold"), soft_wrap=True)
    console.print(Text(f"  {files}", style="dim"))


def _parts(judgement: Judgement) -> Iterable[tuple[str, RenderableType]]:
    yield "What customers were told, and what the orders table holds", _outcomes(judgement)
    if judgement.open_by_cause():
        yield "Attempts without a definite answer, by cause", _causes(judgement)
    if judgement.retries is not None:
        yield "What trying again did", _retries(judgement.retries)
    if hidden := judgement.hidden:
        title = "Orders in the table that were not acknowledged"
        count = judgement.findings.count(Verdict.COMMITTED)
        yield title, stories_of(hidden, judgement, count=count)
    latency = judgement.latency
    if latency.from_due is not None:
        yield "How long orders took, in seconds", _latency(latency, latency.from_due)
    yield "How long it was felt", _windows(judgement)
    if judgement.hypotheses:
        yield "What we believed", _hypotheses(judgement.hypotheses)
    yield "What must always hold", _invariants(judgement)


# --- the verdict in words ---


def _panel(judgement: Judgement) -> Panel:
    verdict = judgement.verdict
    run = judgement.evidence.run
    head = Text(f"{_MARKS[verdict]} {verdict.value.upper()}", style=_STYLES[verdict])
    head.append(f"  {_sentence(judgement)}", style="default")
    lines = [head, *(Text(line) for line in _for_customers(judgement))]
    missing = _missing_faults(judgement)
    if missing and missing != _sentence(judgement):
        lines.insert(1, Text(missing, style="yellow"))
    if run.interrupted:
        lines.append(Text("The run was interrupted; this is what it had recorded.", style="yellow"))
    title = Text(safe(run.run_id))
    return Panel(Group(*lines), title=title, title_align="left", border_style=_STYLES[verdict])


def _sentence(judgement: Judgement) -> str:
    of_verdict = [each for each in judgement.invariants if each.verdict is judgement.verdict]
    named = ", ".join(each.id for each in of_verdict)
    match judgement.verdict:
        case RunVerdict.HELD:
            count = judgement.findings.count_outcome(Outcome.ACKNOWLEDGED)
            kept = f"All {count} acknowledged orders are in the table, once and as they were sent."
            return kept if judgement.faults else f"{kept} {NO_FAULT}"
        case RunVerdict.BROKEN:
            return f"The shop broke its word: {named}."
        case RunVerdict.UNDECIDED:
            if not of_verdict and judgement.invariants:
                return _missing_faults(judgement)
            reason = of_verdict[0].detail if of_verdict else "nothing was judged"
            return safe(f"Nothing is proven wrong, and not all is proven right: {reason}.")


def _missing_faults(judgement: Judgement) -> str:
    return safe(describe_faults([each.as_json() for each in judgement.faults]))


def _for_customers(judgement: Judgement) -> Iterable[str]:
    findings = judgement.findings
    for verdict, (noun, words) in _BROKEN_IN_WORDS.items():
        if count := findings.count(verdict):
            yield f"{_number(count, noun)}: {words}."
    hidden = findings.unacknowledged
    if hidden is None:
        return
    if hidden.count:
        told, verb = "whose customers were told that they failed, or nothing,", "are"
        if hidden.count == 1:
            told, verb = "whose customer was told that it failed, or nothing,", "is"
        if hidden.answered:
            told = f"{NOT_ACKNOWLEDGED.format(hidden.answered)},"
        goods = f"{_number(hidden.pieces, 'piece')}, {hidden.value:.2f} in goods"
        yield f"{_number(hidden.count, 'order')}, {told} {verb} in the table: {goods}."
    elif findings.count_outcome(Outcome.INDETERMINATE) and not findings.count(Verdict.POSSIBLE):
        yield "No order is in the table without its customer knowing."


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


# --- tables ---


def _outcomes(judgement: Judgement) -> Table:
    findings = judgement.findings
    table = grid("outcome", "attempts", "in the orders table", right=["attempts"])
    for outcome, verdicts in _VERDICTS_OF.items():
        total = findings.count_outcome(outcome)
        counts = {verdict: findings.count_outcome(outcome, verdict) for verdict in verdicts}
        is_read = findings.row_count is not None or outcome is Outcome.INDETERMINATE
        said = _counts(counts) if is_read and total else Text("–", style="dim")
        table.add_row(outcome.value, str(total), said)
    table.add_section()
    extra = {each: findings.count(each) for each in (Verdict.DUPLICATE, Verdict.UNEXPECTED)}
    rows = findings.row_count
    said = Text("not read", style="yellow") if rows is None else _counts(extra)
    table.add_row("rows made in the run", "–" if rows is None else str(rows), said)
    return table


def _counts(counts: dict[Verdict, int]) -> Text:
    parts = []
    for verdict, count in counts.items():
        is_bad = count and verdict in _SHOULD_BE_NONE
        style = "bold red" if is_bad else "" if count else "dim"
        parts.append(Text(f"{count} {verdict.value}", style=style))
    return Text(", ").join(parts)


def _causes(judgement: Judgement) -> Table:
    verdicts = _VERDICTS_OF[Outcome.INDETERMINATE]
    names = [verdict.value for verdict in verdicts]
    table = grid("cause", "attempts", *names, right=["attempts", *names])
    of_verdict = [judgement.open_by_cause(verdict) for verdict in verdicts]
    for cause, count in judgement.open_by_cause().items():
        counts = (str(each.get(cause, 0)) for each in of_verdict)
        table.add_row(Text(safe(cause)), str(count), *counts)
    return table


def _retries(retries: Retries) -> Table:
    table = grid("", "orders", "pieces", "in goods", right=["orders", "pieces", "in goods"])
    for name, sold in (
        ("sold twice to one who wanted it once", retries.sold_twice),
        ("found by their key, and not sold again", retries.saved),
    ):
        table.add_row(name, str(sold.orders), str(sold.pieces), f"{sold.value:.2f}")
    table.add_section()
    table.add_row(f"asked for again (retries: {retries.attempts})", str(retries.wants))
    if retries.undecided:
        table.add_row("of those, with an attempt that is in doubt", str(retries.undecided))
    return table


def _latency(latency: Latency, from_due: Spread) -> Table:
    columns = ["orders", "p50", "p95", "p99", "max"]
    table = grid("from when they were", *columns, right=columns)
    for name, spread in (("due", from_due), ("sent", latency.from_sent)):
        times = (_time(spread, each) for each in ("p50_s", "p95_s", "p99_s", "max_s"))
        table.add_row(name, str(spread.count), *times)
    return table


def _time(spread: Spread, name: str) -> str:
    time_s: float | None = getattr(spread, name)
    if time_s is None:
        return "–"
    return f"{'≥ ' if name in spread.at_least else ''}{time_s:.3f}"


def _windows(judgement: Judgement) -> RenderableType:
    fault = judgement.evidence.run.fault
    if fault is None:
        return Text("no fault was asked for", style="dim")
    head = Text("\n").join(Text(safe(_told(each))) for each in judgement.faults)
    if fault.started_at is None:
        return head
    table = grid("seen by", "from", "to", "seconds", right=["from", "to", "seconds"])
    for name, window in (
        ("clients: first to last failure", judgement.windows.client),
        (balancer_window_name(judgement.windows.load_balancer), judgement.windows.load_balancer),
        ("auto scaling: first activity to the last success", judgement.windows.autoscaling),
    ):
        table.add_row(name, *_window(window, fault.started_at))
    exposure = judgement.exposure
    caught = Text(
        f"orders in flight when it began: {_or_unknown(exposure.orders_in_flight_at_fault)}, "
        f"on the victim: {_or_unknown(exposure.on_victim)}"
    )
    if judgement.exposure_note:
        caught.append(f" ({judgement.exposure_note})", style="yellow")
    return Group(head, table, *_arithmetic(judgement.evidence.run.health_check), caught)


def _told(finding: FaultFinding) -> str:
    fault = finding.fault
    victims = f" on {', '.join(fault.targets)}" if fault.targets else ""
    began = "" if fault.started_at is None else f", began {format_time(fault.started_at)}"
    said = {True: "happened", False: "did not happen", None: "may have happened"}[finding.happened]
    return f"{fault.action or fault.title}{victims}{began}: {said}, {finding.why}"


def _window(window: Window | None, fault_at: int) -> tuple[str, str, str]:
    if window is None:
        return ("–", "–", "–")
    begins_s, ends_s = (window.begins_at - fault_at) / 1e6, (window.ends_at - fault_at) / 1e6
    return (f"+{begins_s:.1f}", f"+{ends_s:.1f}", f"{window.seconds:.1f}")


def _arithmetic(check: HealthCheck | None) -> Iterable[Text]:
    if check is not None:
        yield Text(
            f"expected of {check.unhealthy_threshold} checks every {check.interval_s:g} s with a "
            f"{check.timeout_s:g} s timeout: {check.best_s:g} to {check.worst_s:g} s; "
            f"{EC2_STATE_EXPECTATION}"
        )


def _hypotheses(hypotheses: Iterable[Hypothesis]) -> Table:
    table = grid("", "hypothesis", "measured", "tolerated", right=["measured"])
    for each in hypotheses:
        measured = "–" if each.measured is None else f"{round(each.measured, 2):g}"
        statement = Text(safe(each.statement or each.id))
        table.add_row(_mark(each.verdict), statement, measured, limits_in_words(each.tolerated))
    return table


def _invariants(judgement: Judgement) -> Table:
    table = grid("", "invariant", "found")
    for each in judgement.invariants:
        table.add_row(_mark(each.verdict), each.id, Text(safe(each.detail)))
    return table


def _mark(verdict: RunVerdict) -> Text:
    return Text(_MARKS[verdict], style=_STYLES[verdict])


def _notes(judgement: Judgement) -> Iterable[str]:
    yield from judgement.evidence.notes
    if judgement.findings.method is Method.INFERRED and judgement.findings.ownerless_rows:
        rows = _number(judgement.findings.ownerless_rows, "row")
        yield f"{rows} that no reply names: whose is inferred from product, quantity and time"
    yield from judgement.unclear_answers
    torn = judgement.evidence.run.ledger.torn_last_lines
    if torn:
        yield f"{torn} ledgers end in an unfinished line: their process died while writing it"
    for each in judgement.hypotheses:
        if each.verdict is RunVerdict.UNDECIDED and each.note:
            yield f"hypothesis {each.id}: {each.note}"


def _or_unknown(count: int | None) -> str:
    return "unknown" if count is None else str(count)
