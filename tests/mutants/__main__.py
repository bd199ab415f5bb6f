"""`python -m tests.mutants [MODULE ...]`: do the tests notice small mistakes in the judging?

Exit code 1 if a mutant survives that survivors.toml does not explain.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.mutants.mutations import Mutant, mutants_of
from tests.mutants.survivors import Score, explained, key_of, show, survivors_before, write
from tests.mutants.trial import get_ready, is_noticed, try_all

MODULES = (
    *("bulk.statements", "bulk.views", "bulk.set_aside", "bulk.duckdb_engine"),
    *("judging.keyless.inference", "judging.keyless.ownerless", "judging.keyless.spans"),
    *("judging.row_owners", "judging.clock", "judging.attempt_verdicts"),
    *("judging.invariants", "judging.invariant_verdicts"),
)
# By stage. None of them needs a database; the quickest to fail come first.
TESTS = {
    "bulk": ("bulk/test_spelling", "bulk/test_set_aside"),
    "judging": (
        *("judging/test_reconcile_bounds", "judging/test_attempt_verdicts"),
        "judging/keyless/test_spans",
        *("judging/test_invariant_verdicts", "judging/test_false_certainty"),
        *("judging/test_incomplete_ledgers", "measures/test_retries"),
        *("judging/test_what_invariants_say", "measures/test_windows"),
        *("judging/test_troubled_runs", "judging/keyless/test_inference"),
        "judging/keyless/test_inferred_histories",
    ),
}
_EVERY = 50


def main(arguments: Sequence[str]) -> int:
    """Try the mutants, show each module's score, and name those that survived."""
    options = _options(arguments)
    mutants = _mutants(options.modules or MODULES)
    if options.again:
        survived = survivors_before()
        mutants = [each for each in mutants if key_of(each) in survived]
    if options.sample:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    tests = {
        stage: [f"tests/analysis/{name}.py" for name in names] for stage, names in TESTS.items()
    }
    get_ready()
    all_of_them = [each for names in tests.values() for each in names]
    if any(failed for _, failed in try_all([None], partial(is_noticed, all_of_them), at_once=1)):
        sys.exit("mutants: these tests fail as it is; see `python -m pytest tests/analysis`")
    score = Score.of(mutants)
    trials = try_all(
        mutants,
        lambda mutant: is_noticed(tests[mutant.module.split(".")[1]], mutant),
        at_once=options.at_once,
    )
    for number, (mutant, noticed) in enumerate(trials, 1):
        if not noticed:
            score.survivors.append(survivor := explained(mutant))
            if not survivor.why:
                print(f"mutants: survived: {survivor}", flush=True)
        if number % _EVERY == 0 or number == len(mutants):
            said = f"{number} of {len(mutants)} tried, {len(score.survivors)} survived"
            print(f"mutants: {said}", flush=True)
    show(score)
    write(score)
    return 1 if any(not each.why for each in score.survivors) else 0


def _mutants(modules: Sequence[str]) -> list[Mutant]:
    return [
        mutant
        for name in modules
        for mutant in mutants_of(
            Path("analysis", *name.split(".")).with_suffix(".py").read_text("utf-8"),
            module=f"analysis.{name}",
        )
    ]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"{', '.join(MODULES)}")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--again", action="store_true", help="only those that survived last time")
    parser.add_argument("--sample", type=int, metavar="N", help="try so many of all mutants")
    parser.add_argument("--seed", type=int, default=1, help="which ones a sample takes (1)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
