"""The experiment's TOML, as far as Locust does not read it: what we believe will happen."""

import tomllib
from pathlib import Path
from typing import Any

from harness.errors import BadArgument

_FOLDER = Path(__file__).resolve().parents[2] / "infra" / "experiments"


def experiment_file(*, config: str | None, experiment: str) -> Path | None:
    """Return --config, or the file of the experiment with this name; None where it is no TOML."""
    path = Path(config) if config else _FOLDER / f"{experiment}.toml"
    return path if path.suffix == ".toml" and (config or path.exists()) else None


def load_hypotheses(*, config: str | None, experiment: str) -> list[dict[str, Any]]:
    """Return the `[[hypothesis]]` tables of --config, or of the experiment with this name.

    BadArgument if the file is there and cannot be read; no file, no hypotheses.
    """
    path = experiment_file(config=config, experiment=experiment)
    if path is None:
        return []
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("hypothesis", [])
    except (OSError, ValueError) as error:
        raise BadArgument(
            f"{path} cannot be read: {error}; save it as TOML in UTF-8 without a mark"
        ) from error
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadArgument(f"{path}: write each hypothesis as a table under [[hypothesis]]")
    return tables
