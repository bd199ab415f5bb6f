"""What a run comes to, in a sentence: from summary.json's content alone. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from analysis.measures.faults import describe_faults

NO_FAULT = "No fault was asked for."


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The one sentence that matters, and what else is to be said of the run."""

    sentence: str
    others: tuple[str, ...]


_BROKEN = {
    "lost": ("acknowledged order is not in the table", "acknowledged orders are not in the table"),
    "altered": (
        "order is in the table other than its customer was told",
        "orders are in the table other than their customers were told",
    ),
    "contradicted": (
        "order was refused, and is in the table all the same",
        "orders were refused, and are in the table all the same",
    ),
    "duplicate": ("row is the second of one order", "rows are the second of one order"),
    "unexpected": ("row was ordered by nobody", "rows were ordered by nobody"),
}


NOT_ACKNOWLEDGED = (
    "not acknowledged ({:,} of them answered with a success that promises none, or names it in a "
    "form that is not understood)"
)


def headline_of(summary: Mapping[str, Any], *, in_doubt: int | None = None) -> Headline:
    """Say it; `in_doubt` counts the orders whose customers were told that they failed, or nothing.

    What is broken comes first, then a fault that did not happen, then what was bought unknown to
    those who bought it, then the rest.
    """
    said = [
        *_broken(summary),
        *filter(None, [describe_faults(summary["faults"])]),
        *_undecided(summary),
        *_hidden(summary, in_doubt),
        *_kept(summary),
    ]
    first, *others = said or ["Nothing was ordered."]
    if not summary["faults"]:
        first = f"{first} {NO_FAULT}"
    return Headline(sentence=first, others=tuple(others))


def _broken(summary: Mapping[str, Any]) -> Iterable[str]:
    for verdict, (one, many) in _BROKEN.items():
        if count := summary["orders"].get(verdict):
            yield f"{count:,} {one if count == 1 else many}."
    named = [each["id"] for each in summary["invariants"] if each["verdict"] == "broken"]
    if named:
        yield f"The shop broke its word: {', '.join(named)}."


def _undecided(summary: Mapping[str, Any]) -> Iterable[str]:
    reasons = [each for each in summary["invariants"] if each["verdict"] == "undecided"]
    if summary["verdict"] == "undecided" and (reasons or not summary["invariants"]):
        reason = f"{reasons[0]['id']}: {reasons[0]['detail']}" if reasons else "nothing was judged"
        yield f"Nothing is proven wrong, and not all is proven right ({reason})."


def _hidden(summary: Mapping[str, Any], in_doubt: int | None) -> Iterable[str]:
    hidden = summary["unacknowledged_orders"]
    if hidden is None:
        return
    count = hidden["count"]
    if count:
        goods = f"{Decimal(hidden['value']):,.2f} in goods"
        if answered := hidden.get("answered"):
            orders = "order" if count == 1 else "orders"
            told = f"{NOT_ACKNOWLEDGED.format(answered)}, {'is' if count == 1 else 'are'}"
            yield f"{count:,} {orders}, {told} in the table: {goods}."
            return
        if in_doubt is None or in_doubt < count:
            whose = "order, whose customer was" if count == 1 else "orders, whose customers were"
            verb = "is" if count == 1 else "are"
            yield f"{count:,} {whose} told of a failure, or nothing, {verb} in the table: {goods}."
            return
        verb = "is" if count == 1 else "are"
        orders = "order whose customer was" if in_doubt == 1 else "orders whose customers were"
        told = f"{orders} told {'it' if in_doubt == 1 else 'they'} failed, or nothing at all,"
        yield f"{count:,} of {in_doubt:,} {told} {verb} in the table: {goods}."
    elif in_doubt and not summary["orders"].get("possible"):
        yield (
            f"None of the {in_doubt:,} orders that ended in doubt is in the table."
            if in_doubt > 1
            else "The one order that ended in doubt is not in the table."
        )


def _kept(summary: Mapping[str, Any]) -> Iterable[str]:
    told = summary["attempts"]["acknowledged"]
    is_kept = all(each["verdict"] == "held" for each in summary["invariants"])
    if is_kept and summary["invariants"] and told:
        yield (
            f"All {told:,} acknowledged orders are in the table, once and as they were sent."
            if told > 1
            else "The one acknowledged order is in the table, once and as it was sent."
        )
