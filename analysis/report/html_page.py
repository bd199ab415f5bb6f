"""HTML pages that need nothing from elsewhere: all is inlined, and data is escaped."""

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from analysis.evidence.records import Verdict, format_time
from analysis.measures.hypotheses import Hypothesis, limits_in_words
from analysis.report.vega import KEPT_IN, script
from analysis.verdict.stories import Step

_TEMPLATES = Path(__file__).parent / "templates"
_SCRIPT = "charts.js"
_ALARMS = {
    **dict.fromkeys((Verdict.LOST, Verdict.ALTERED, Verdict.CONTRADICTED), "bad"),
    **dict.fromkeys((Verdict.DUPLICATE, Verdict.UNEXPECTED), "bad"),
    **dict.fromkeys((Verdict.COMMITTED, Verdict.POSSIBLE), "doubt"),
}
_MINUTE_S = 60


def render_page(template: str, *, is_charted: bool = True, **content: object) -> str:
    """Fill a template in; everything in `content` is shown as text, whatever it holds."""
    scripts = [script(), _source(_SCRIPT)] if is_charted else []
    hashes = " ".join(f"'sha256-{_digest(each)}'" for each in scripts) or "'none'"
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    # Ours, and not to be escaped; no data is in them.
    ours = [Markup(each) for each in scripts]  # noqa: S704
    style = Markup(_source("style.css"))  # noqa: S704
    page = _environment().get_template(template)
    return page.render(policy=policy, scripts=ours, style=style, **content)


class _Compiled(FileSystemBytecodeCache):
    """Templates as Jinja has compiled them, as that takes a tenth of a second.

    They are looked up by their content, and by what else decides what becomes of it.
    """

    def __init__(self) -> None:
        how = hashlib.sha256(Path(__file__).read_bytes() + version("jinja2").encode())
        super().__init__(str(KEPT_IN), f"template-{how.hexdigest()[:16]}-%s")

    def dump_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError):
            super().dump_bytecode(bucket)


@cache
def _environment() -> Environment:
    environment = Environment(
        bytecode_cache=_Compiled(),
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (_grouped, _duration, _clock, _known, _alarm, _measured, _after, _as_json)
    environment.filters |= {each.__name__.lstrip("_"): each for each in filters}
    return environment


def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# --- filters, by their names without the underscore ---


def _grouped(value: float | None) -> str:
    return "–" if value is None else f"{value:,}"


def _duration(value: float | None) -> str:
    """Say seconds as people do: 11 ms, 3.01 s, 2 min 5 s."""
    if value is None:
        return "–"
    if abs(value) < 1:
        return f"{value * 1000:.3g} ms" if value else "0 s"
    if abs(value) < _MINUTE_S:
        return f"{round(value, 2):g} s"
    minutes, seconds = divmod(round(value), _MINUTE_S)
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def _clock(at: int) -> str:
    return f"{format_time(at)[:19].replace('T', ' ')} UTC"


def _known(value: object) -> str:
    return "unknown" if value is None else str(value)


def _alarm(verdict: str) -> str:
    return _ALARMS.get(Verdict(verdict), "")


def _measured(hypothesis: Hypothesis) -> str:
    limits = limits_in_words(hypothesis.tolerated)
    measured = hypothesis.measured
    found = "not measured" if measured is None else f"measured {round(measured, 2):g}"
    return f"{found}, tolerated {limits}" if limits else found


def _after(step: Step, steps: Sequence[Step]) -> str:
    """Say how long after the first of the steps this one was."""
    first = next((each.at for each in steps if each.at is not None), None)
    return "" if step.at is None or first is None else f"+{(step.at - first) / 1e6:.3f} s"


def _as_json(value: Any) -> Markup:
    """Return JSON that ends no script element and begins none."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 -- nothing is left in it that HTML would understand
