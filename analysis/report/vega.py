"""Vega, Vega-Lite and Vega-Embed as one script to be inlined, and charts as PNG; no network.

Making the script takes seconds and its result is always the same, so it is kept in the virtual
environment, where what it was made by lives as well.
"""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from analysis.evidence.files.writing import whole_file

# What always comes out the same and takes long to make; who may not write there makes it anew.
KEPT_IN = Path(sys.prefix) / "share" / "chaos-shop"
_MAKES_KNOWN = "window.vegaEmbed = vegaEmbed;"
_SCALE = 2  # pixels for each of the chart's


@cache
def script() -> str:
    """Return the script; it defines `vegaEmbed`."""
    kept = KEPT_IN / f"vega-embed-of-vl-convert-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    from vl_convert import javascript_bundle  # noqa: PLC0415 -- of use once

    made = javascript_bundle(_MAKES_KNOWN)
    with suppress(OSError):  # it is made again the next time
        KEPT_IN.mkdir(parents=True, exist_ok=True)
        with whole_file(kept) as file:
            file.write(made.encode())
    return made


def render_png(spec: Mapping[str, object]) -> bytes:
    """Draw a Vega-Lite chart; ValueError if it is none."""
    from vl_convert import vegalite_to_png  # noqa: PLC0415 -- few ask for it

    return vegalite_to_png(json.dumps(spec), scale=_SCALE)
