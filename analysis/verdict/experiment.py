"""What an experiment's file believes of the shop, looked at before anything is run."""

import tomllib
from pathlib import Path

from analysis.evidence.errors import AnalysisError, UsageError
from analysis.evidence.run import parse_hypotheses
from analysis.measures.hypotheses import check_hypotheses


def check_experiment(path: Path) -> None:
    """Raise UsageError, naming the file, where its hypotheses could not be scored after a run."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("hypothesis", [])
        if not isinstance(tables, list):
            raise UsageError("write each hypothesis as a table under [[hypothesis]]")
        hypotheses = parse_hypotheses(tables)
        names = [each.id for each in hypotheses]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"several hypotheses have the id {', '.join(sorted(twice))}")
        check_hypotheses(hypotheses)
    except (AnalysisError, OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
