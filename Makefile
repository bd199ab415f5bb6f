# `make help` lists what there is. Everything runs from .venv, which is made when it is missing
# or older than the locks.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   := $(VENV)/.runtime-is-installed
TESTS  := $(VENV)/.tests-are-installed

# Passed on by the environment, never on a command line: one of them may hold a password.
export ALL EXPERIMENT TARGET USERS SPAWN_RATE RUN_TIME WORKERS HOST DATABASE_URL RUN_DIR LOCUST_ARGS
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Two makes in one fresh clone take turns: pip does not mind its own installations, but does
# mind those of others that are under way.
INSTALL = $(BIN)/python -c 'import fcntl, subprocess, sys; \
  lock = open("$(VENV)/.lock", "w"); fcntl.flock(lock, fcntl.LOCK_EX); \
  sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", "--quiet", \
                            "--require-hashes", "-r", sys.argv[1]]))'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup chaos-load web fis-stop lab-up lab-down lab-status runs report compare finish test \
        bench selftest soak aws-plan aws-up aws-down aws-tunnel check mutants format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Variables of chaos-load and web: EXPERIMENT= TARGET=lab|aws|external USERS= SPAWN_RATE="
	@echo "  RUN_TIME= WORKERS= HOST= DATABASE_URL= RUN_DIR= LOCUST_ARGS=   (README.md says more)"

setup: $(RUNS) ## make .venv from the locks (every other target calls it)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: $(PYTHON) is older than Python 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "make: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }

$(RUNS): requirements.lock | $(VENV)/bin/python
	@echo "make: installing what runs need (once; 450 MB on disk)"
	@$(INSTALL) requirements.lock
	@touch $@

$(TESTS): requirements-dev.lock $(RUNS)
	@echo "make: installing what tests need (once)"
	@$(INSTALL) requirements-dev.lock
	@touch $@

chaos-load: $(RUNS) ## run the experiment without a browser, to a verdict
	@$(BIN)/python -m infra.launch headless

web: $(RUNS) ## the same with Locust's web UI on http://127.0.0.1:8089
	@$(BIN)/python -m infra.launch web

fis-stop: $(RUNS) ## stop FIS experiments that dead runs left behind: TARGET=aws, ALL=1 for other machines' too
	@$(BIN)/python -m infra.launch fis-stop

lab-up: $(RUNS) ## raise the lab and leave it running
	@$(BIN)/python -m infra.lab up

lab-down: $(RUNS) ## take it down
	@$(BIN)/python -m infra.lab down

lab-status: $(RUNS) ## show its parts and servers
	@$(BIN)/python -m infra.lab status

aws-plan: $(RUNS) ## show what would be made on AWS (docs/aws.md)
	@$(BIN)/python -m infra.aws plan

aws-up: $(RUNS) ## make it: it costs money until aws-down; Terraform asks first
	@$(BIN)/python -m infra.aws up

aws-tunnel: $(RUNS) ## a way to its database, until Ctrl-C
	@$(BIN)/python -m infra.aws tunnel

aws-down: $(RUNS) ## take it away: Terraform asks first, and no bucket is emptied
	@$(BIN)/python -m infra.aws down

runs: $(RUNS) ## list the runs with their verdicts
	@$(BIN)/python -m analysis runs

report: $(RUNS) ## draw report.html of a run anew: RUN=runs/...
	@$(BIN)/python -m analysis report $(or $(RUN),runs/latest)

compare: $(RUNS) ## what changed between runs: BASE= RUN= (or several), FAIL_IF='p95(POST /orders) > 1.2x'
	@test -n "$(BASE)" || { echo "make: name what to compare with: make compare BASE=runs/... RUN=runs/..." >&2; exit 64; }
	@$(BIN)/python -m analysis compare $(BASE) $(or $(RUN),runs/latest) $(if $(FAIL_IF),--fail-if '$(FAIL_IF)')

finish: $(RUNS) ## close and judge the evidence of a run whose Locust died: RUN=runs/...
	@$(BIN)/python -m analysis finish $(or $(RUN),runs/latest)

# Compiled modules are kept even where the environment says that they are not, as containers' often
# do: each of the hundreds of processes that tests start would compile everything anew.
test: $(TESTS) ## all tests, one whole experiment among them; PROFILE=long: forty times the random examples
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile -p no:schemathesis \
	  $(if $(PROFILE),--hypothesis-profile=$(PROFILE) --timeout=0)

soak: $(TESTS) ## kill -9 the load a hundred times, and account for every order: ROUNDS= SEED=
	@$(BIN)/python -m tests.soak $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED))

bench: $(TESTS) ## the benchmarks: a table, and build/bench.json
	@$(BIN)/python -m tests.bench $(BENCH)

selftest: $(TESTS) ## the judge against shops with known mistakes: a table, and build/selftest.json
	@$(BIN)/python -m tests.selftest $(SHOPS)

mutants: $(TESTS) ## do the tests notice small mistakes in the judging? MODULES= SAMPLE= SEED=
	@$(BIN)/python -m tests.mutants $(MODULES) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

check: $(TESTS) ## lint, format and types, and checkov on infra/aws (installed into build/ once)
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/python -m tests.infra.aws.configuration.audit

format: $(TESTS) ## mend lint and format where that can be done safely
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

lock: ## write the locks anew from pyproject.toml (uses uv, in a folder of its own)
	@$(PYTHON) -m venv build/uv && build/uv/bin/python -m pip install --quiet uv
	@build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" pyproject.toml --group dev \
	  -c requirements.lock -o requirements-dev.lock
	@for group in audit spark; do \
	  build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --custom-compile-command "make lock" --group $$group \
	    -o requirements-$$group.lock || exit; done

clean: ## remove .venv, build/ and caches; runs/ stays
	@rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis
