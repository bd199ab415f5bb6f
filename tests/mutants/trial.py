"""Whether the tests notice a mutant: each is tried in a process forked from one that is ready.

Forking saves what takes longest, importing pytest and Hypothesis; the project's own modules are
imported anew, one of them with the mistake in it.
"""

import importlib
import io
import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.mutants.mutations import Mutant

_OURS = ("analysis", "tests.analysis")
_MEMORY = 2 << 30
# A mutant may never end. Counted in CPU time, so that a busy machine is not taken for one.
_CPU_S = 120
_OPTIONS = (
    *("-x", "-q", "--assert=plain", "--timeout=0", "-p", "no:cacheprovider"),
    "--hypothesis-profile=mutants",
)

Noticed = bool
CaseT = TypeVar("CaseT")


class _Loader(SourceFileLoader):
    """Loads a module as if its file held other code."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Finder(MetaPathFinder):
    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self._name, self._path, self._code = name, path, code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(fullname, str(self._path), self._code)
        return spec_from_file_location(fullname, self._path, loader=loader)


def get_ready() -> None:
    """Import what the project imports, and forget the project's own modules."""
    importlib.import_module("analysis.verdict.judge_run")
    importlib.import_module("hypothesis.strategies")
    importlib.import_module("duckdb")
    for name in [each for each in sys.modules if each.startswith(_OURS)]:
        del sys.modules[name]
    # The same examples each time and as long as they take, or a mutant would be noticed by luck;
    # a tenth of what the tests ask for, since each mutant is tried on all of them.
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        max_examples=10,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def is_noticed(tests: Sequence[str], mutant: Mutant | None) -> Noticed:
    """Run the tests, in this process, which is none for anything else afterwards."""
    if mutant is not None:
        path = Path(*mutant.module.split(".")).with_suffix(".py").resolve()
        sys.meta_path.insert(0, _Finder(mutant.module, path, mutant.compiled()))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return pytest.main([*_OPTIONS, *tests]) != pytest.ExitCode.OK


def try_all(
    cases: Iterable[CaseT], attempt: Callable[[CaseT], Noticed], *, at_once: int
) -> Iterator[tuple[CaseT, Noticed]]:
    """Yield each case and whether it was noticed, as they end; `attempt` runs in a fork."""
    running: dict[int, CaseT] = {}
    for case in cases:
        if len(running) == at_once:
            yield _next_ended(running)
        running[_fork(attempt, case)] = case
    while running:
        yield _next_ended(running)


def _next_ended(running: dict[int, CaseT]) -> tuple[CaseT, Noticed]:
    process_id, status = os.wait()
    return running.pop(process_id), status != 0


def _fork(attempt: Callable[[CaseT], Noticed], case: CaseT) -> int:
    process_id = os.fork()
    if process_id:
        return process_id
    noticed = True  # whatever goes wrong, something does
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        noticed = attempt(case)
    finally:
        os._exit(int(noticed))
