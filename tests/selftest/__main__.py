"""`python -m tests.selftest [SHOP ...]`: is the judge right about shops whose mistakes are known?

Each shop is run in the lab under real load with the fault. Exit code 1 if any row does not hold.
"""

import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from infra.lab.errors import LabError
from tests.selftest.cases import CASES, Case
from tests.selftest.judgements import RunFailed
from tests.selftest.laboratory import FAULT, Laboratory
from tests.selftest.results import Result, compare, failure, show_results, write_results

KEPT_IN = Path("build/selftest.json")
RUNS = Path("build/selftest").resolve()
AT_ONCE = 3


def main(names: list[str]) -> int:
    """Try the judge on those named, or on all."""
    known = dict.fromkeys(each.shop for each in CASES)
    if wrong := set(names) - set(known):
        sys.exit(f"selftest: no shop {', '.join(sorted(wrong))}: choose from {', '.join(known)}")
    cases = [each for each in CASES if not names or each.shop in names]
    began = time.monotonic()
    try:
        results = _run(cases)
    except KeyboardInterrupt:
        print("selftest: interrupted; its labs are being taken down", flush=True)
        return 128 + signal.SIGINT
    show_results(results)
    write_results(results, KEPT_IN)
    failed = sum(not each.holds for each in results)
    print(
        f"selftest: {len(results) - failed} of {len(results)} rows hold, after "
        f"{time.monotonic() - began:.0f} s; kept in {KEPT_IN}, the runs in {RUNS}"
    )
    return 1 if failed else 0


def _run(cases: list[Case]) -> list[Result]:
    laboratory = Laboratory(RUNS)
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        waiting = {pool.submit(_try, laboratory, each): number for number, each in enumerate(cases)}
        found: dict[int, Result] = {}
        for future in as_completed(waiting):
            result = found[waiting[future]] = future.result()
            said = "holds" if result.holds else f"does NOT hold: {result.why}"
            print(f"selftest: {len(found)}/{len(cases)} {result.shop}: {said}", flush=True)
        return [found[number] for number in sorted(found)]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        laboratory.close()


def _try(laboratory: Laboratory, case: Case) -> Result:
    try:
        return compare(case, laboratory.experiment(case), fault=FAULT)
    except (LabError, RunFailed, OSError) as error:
        return failure(case, str(error), fault=FAULT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
