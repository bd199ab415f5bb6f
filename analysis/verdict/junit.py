"""A run as JUnit XML for CI: a case for each invariant, each fault and each hypothesis. Pure.

`broken` is a failure. An invariant that is `undecided`, and a fault that was asked for and is not
known to have happened, is an error, because the run is not held (exit code 2); a hypothesis that
could not be measured is skipped, because nothing hangs on it.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from analysis.measures.hypotheses import limits_in_words

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def render_junit(summary: Mapping[str, Any], *, notes: Mapping[str, str] | None = None) -> str:
    """Return the document of summary.json's content; `notes` say why hypotheses are undecided."""
    run_id = _plain(summary["run_id"])
    suites = Element("testsuites", {"name": run_id})
    _add_suite(suites, f"{run_id}.invariants", map(_of_invariant, summary["invariants"]))
    if summary["faults"]:
        _add_suite(suites, f"{run_id}.faults", map(_of_fault, summary["faults"]))
    hypotheses = (_of_hypothesis(each, notes or {}) for each in summary["hypotheses"])
    _add_suite(suites, f"{run_id}.hypotheses", hypotheses)
    for kind in ("tests", "failures", "errors", "skipped"):
        suites.set(kind, str(sum(int(each.get(kind, "0")) for each in suites)))
    indent(suites)
    return _DECLARATION + tostring(suites, encoding="unicode") + "\n"


def _add_suite(suites: Element, name: str, cases: Iterable[Element]) -> None:
    suite = SubElement(suites, "testsuite", {"name": name})
    suite.extend(cases)
    suite.set("tests", str(len(suite)))
    for count, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{kind}"))))
    for case in suite:
        case.set("classname", name)


def _of_invariant(invariant: Mapping[str, Any]) -> Element:
    return _case(invariant, {"broken": "failure", "undecided": "error"}, invariant["detail"])


def _of_fault(fault: Mapping[str, Any]) -> Element:
    judged = {
        "id": f"fault-{fault['number']}",
        "statement": f"The fault happens: {fault['name']}",
        "verdict": "held" if fault["happened"] else "undecided",
    }
    return _case(judged, {"undecided": "error"}, fault["why_not"] or fault["known_by"])


def _of_hypothesis(hypothesis: Mapping[str, Any], notes: Mapping[str, str]) -> Element:
    tolerated = limits_in_words(hypothesis["tolerated"])
    measured = hypothesis["measured"]
    said = "not measured" if measured is None else f"measured {measured:g}"
    parts = (said, f"tolerated {tolerated}" if tolerated else "", notes.get(hypothesis["id"], ""))
    detail = "; ".join(filter(None, parts))
    return _case(hypothesis, {"broken": "failure", "undecided": "skipped"}, detail)


def _case(judged: Mapping[str, Any], kinds: Mapping[str, str], detail: str) -> Element:
    name = _plain(f"{judged['id']}: {judged['statement']}")
    case = Element("testcase", {"name": name, "time": "0"})
    kind = kinds.get(judged["verdict"])
    if kind is None:
        SubElement(case, "system-out").text = _plain(detail)
        return case
    found = SubElement(case, kind, {"message": _plain(detail)})
    if kind != "skipped":
        found.set("type", judged["verdict"])
        found.text = _plain(f"{judged['statement']}: {detail}")
    return case


def _plain(text: str) -> str:
    """Return text that XML can hold: it has no place for control characters, however written."""
    return "".join(
        each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text
    )
