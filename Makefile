# Needs python3 (3.11 to 3.13) and make. Everything is installed into $(VENV) from the locked requirements.
VENV ?= .venv
BIN  := $(VENV)/bin
UV   ?= $(BIN)/uv
# The first of these that is 3.11, 3.12 or 3.13 makes the environment.
PYTHON ?= python3 python3.13 python3.12 python3.11

PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
# Wheels only: nothing is compiled on the way, and nothing runs while it installs.
LOCKED := $(PIP) --require-hashes --only-binary :all:

# Stamps: what they name is installed. The lock files agree on every version, so one never undoes another.
PYTHON_READY   := $(VENV)/.python
BUILD_READY    := $(VENV)/.build
EMBEDDED_READY := $(VENV)/.embedded
DEV_READY      := $(VENV)/.dev
PROJECT_READY  := $(VENV)/.project

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run dev test fault heart-rates lint format types layers check schema readme bench bench-ingest bench-spool bench-query bench-backfill bench-samples backfill-1d backfill-7d \
	backfill-21d lock clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1  /p' $(MAKEFILE_LIST) | awk -F '  ' '{ printf "%-14s %s\n", $$1, $$2 }'

run: $(EMBEDDED_READY) $(PROJECT_READY) ## install and serve at http://127.0.0.1:8000 (ARGS="--port 9000")
	@exec $(BIN)/readership serve $(ARGS)

dev: $(DEV_READY) $(PROJECT_READY) ## install everything the targets below use

# Two processes, each with servers of its own, halve the time on two cores; one begins with each engine.
test: dev ## run the tests (ARGS="-k plan", ARGS="-n 0" in one process)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

fault: dev ## the fault tier in full, two hours and more: kills, cuts, full disks (ARGS="-k proxy")
	@$(BIN)/python -m pytest tests/fault --faults full $(ARGS)

heart-rates: dev ## 26 million heart rates against numpy, about half an hour
	@$(BIN)/python -m pytest tests/test_heart_rates.py --readings full $(ARGS)

lint: dev ## ruff: rules and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: dev ## let ruff rewrite what lint complains about
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

types: dev ## mypy, strict
	@$(BIN)/mypy

layers: dev ## import-linter: who may import whom
	@$(BIN)/lint-imports

check: lint types layers ## lint, types and layers

schema: dev ## rewrite the golden files of the derived DDL
	@$(BIN)/python -m tests.schema_golden

readme: dev ## rewrite the outputs in the README from a running service
	@$(BIN)/python -m tests.readme

bench: dev ## measure; every number in the README comes from here
	@$(BIN)/python -m bench $(ARGS)

bench-ingest: dev ## measure how events are taken: rates, CPU, bytes written (ARGS="--quick")
	@$(BIN)/python -m bench --ingest $(ARGS)

bench-spool: dev ## measure the spool's log against SQLite
	@$(BIN)/python -m bench.spool $(ARGS)

bench-backfill: dev ## measure a rebuild of every rollup from 50 M events (ARGS="--quick")
	@$(BIN)/python -m bench.backfill $(ARGS)

bench-query: dev ## measure answers on 50 M events (ARGS="--quick")
	@$(BIN)/python -m bench.query $(ARGS)

bench-samples: dev ## measure answers about 26 M samples (ARGS="--quick")
	@$(BIN)/python -m bench.samples $(ARGS)

# A made-up series up to now. METRIC_NAME is required; LABELS='k=v,k2="a, b"', STEP_SIZE=1m, FLAT_BASE=10,
# TREND_COEFFICIENT=0.5, NOISE_STD=0, SEED=7, DESCRIPTION=… and OUTPUT_DIR=… as wanted; ARGS="--blocks DIR", "--load", ….
SYNTH_OPTIONS := METRIC_NAME LABELS STEP_SIZE FLAT_BASE TREND_COEFFICIENT NOISE_STD SEED DESCRIPTION OUTPUT_DIR
OUTPUT_DIR := build/backfill
# An unrelated SEED or DESCRIPTION may stand in anyone's environment: but for the first two only what is given to make.
$(foreach name,$(filter-out METRIC_NAME LABELS,$(SYNTH_OPTIONS)),$(if $(filter environment,$(origin $(name))),$(eval $(name) :=)))
export $(SYNTH_OPTIONS)

# Read from the environment, where quotes and commas in them are nothing to a shell; what is not given is left out.
define SYNTH
	@[ -n "$$METRIC_NAME" ] || { echo "make $@ METRIC_NAME=name [LABELS='k=v,k2=v2']: the name is missing" >&2; exit 2; }
	@set --; \
	for name in $(SYNTH_OPTIONS); do \
	    eval "value=\$$$$name"; \
	    option=$$(echo "--$$name" | tr 'A-Z_' 'a-z-'); \
	    [ -z "$$value" ] || set -- "$$@" "$$option=$$value"; \
	done; \
	exec $(BIN)/readership synth --last $(@:backfill-%=%) "$$@" $(ARGS)
endef

backfill-1d: $(EMBEDDED_READY) $(PROJECT_READY) ## a made-up series of the last day (METRIC_NAME=m LABELS='k=v')
	$(SYNTH)

backfill-7d: $(EMBEDDED_READY) $(PROJECT_READY) ## of the last 7 days (STEP_SIZE, FLAT_BASE, … as well: see README)
	$(SYNTH)

backfill-21d: $(EMBEDDED_READY) $(PROJECT_READY) ## of the last 21 days (ARGS="--blocks DIR", ARGS="--load")
	$(SYNTH)

# The big lock first; the others are cut from it, so that all name the same versions.
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-build \
	--custom-compile-command "make lock"
lock: $(if $(filter $(BIN)/uv,$(UV)),$(DEV_READY)) ## remake requirements/ from pyproject.toml (UPGRADE=1 takes newer versions)
	@$(LOCK) $(if $(UPGRADE),--upgrade) --all-extras --group dev pyproject.toml --output-file requirements/dev.txt >/dev/null
	@$(LOCK) --constraint requirements/dev.txt --extra embedded pyproject.toml --output-file requirements/embedded.txt >/dev/null
	@$(LOCK) --constraint requirements/dev.txt pyproject.toml --output-file requirements/base.txt >/dev/null
	@$(LOCK) --constraint requirements/dev.txt --group build --output-file requirements/build.txt >/dev/null

clean: ## remove the environment, caches, builds and made-up series; ./data, your events, stays
	rm -rf $(VENV) build dist .coverage htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find service workers clickhouse tests bench -type d -name __pycache__ -prune -exec rm -rf {} +

define CHECK_PYTHON
import sys
if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit("%s is %d.%d" % ((sys.executable,) + sys.version_info[:2]))
try:
    import ensurepip, venv
except ImportError:
    sys.exit("%s has no venv module (Debian and Ubuntu: apt install python3-venv)" % sys.executable)
endef
export CHECK_PYTHON

$(PYTHON_READY):
	@for python in $(PYTHON); do \
	    command -v "$$python" >/dev/null || continue; \
	    "$$python" -c "$$CHECK_PYTHON" || continue; \
	    "$$python" -m venv --clear $(VENV) && touch $@ && exit; \
	done; \
	echo "Readership needs Python 3.11, 3.12 or 3.13 with its venv module; looked for: $(PYTHON)" >&2; exit 1

$(BUILD_READY): requirements/build.txt | $(PYTHON_READY)
	@$(LOCKED) -r $<
	@touch $@

$(EMBEDDED_READY): requirements/embedded.txt | $(PYTHON_READY)
	@echo "Installing Readership into $(VENV); the first time this takes about a minute."
	@$(LOCKED) -r $<
	@touch $@

$(DEV_READY): requirements/dev.txt | $(PYTHON_READY)
	@echo "Installing Readership's development tools into $(VENV); the first time this takes about a minute."
	@$(LOCKED) -r $<
	@touch $(EMBEDDED_READY) $@

$(PROJECT_READY): pyproject.toml $(BUILD_READY)
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
