# Everything that a machine with Python 3.11 or newer and make can do with Parley.
PORT ?= 3000
DATA_DIR ?= .parley

UV_VERSION := 0.13.8
BIN := .venv/bin
FUNCTIONS := $(notdir $(patsubst %/app.py,%,$(wildcard functions/*/app.py)))
# Those of more than an app.py, which imports the other modules by their names alone.
OF_MODULES := $(sort $(notdir $(patsubst %/,%,$(dir $(filter-out %/app.py,$(wildcard functions/*/*.py))))))
SOURCES := layers/shared/python cli local project functions packaging examples bench tests
# Tests that leave each other alone, two files at a time, in the order that they are collected in; those
# of the integration tests, which wait for more than half of their time, four. Each process that runs
# some imports all.
AT_ONCE := -n 2 --dist loadfile --no-loadscope-reorder
FOUR_AT_ONCE := $(AT_ONCE) -n 4
# So where targets run side by side each is one process, and the integration tests are in parts: large
# folders first, and then all that no other part has. A folder may be in one part only.
PARTS := turns gateway+cli+stack+project api+stores workbench+restored
FOLDERS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard tests/integration/*/test_*.py)))))
empty :=
OTHERS := $(subst $(empty) ,+,$(strip $(filter-out $(subst +, ,$(PARTS)),$(FOLDERS))))
INTEGRATION := $(addprefix integration-,$(PARTS) $(OTHERS))
# Many tests wait more than they work: beside each target there is time for others. What one has to
# say is said when it has ended; after one that fails none is begun, and make names it at the end. Those
# that take longest begin, so that none is left alone at the end.
CHECKS := unit types lint imports
TESTS := $(INTEGRATION) survival pages e2e $(CHECKS) template
side_by_side = $(MAKE) --jobs=$(1) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
	--no-print-directory AT_ONCE= BROWSER=
# Nothing of these may reach for AWS, a browser or a newer version of itself. Some want a region all
# the same; whatever deploys must not take this one for the caller's.
ifeq ($(origin AWS_DEFAULT_REGION),undefined)
export AWS_DEFAULT_REGION := eu-west-1
IN_CALLERS_REGION := env -u AWS_DEFAULT_REGION
endif
export SAM_CLI_TELEMETRY := 0
export UV_PYTHON_DOWNLOADS := never
# The tests start hundreds of processes: each would compile every module that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help dev check test format lint types imports template unit integration $(INTEGRATION) pooled survival sdk-suite openapi prices setup clean

help: ## Say what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

dev: .venv/.run ## Run Parley on this machine (PORT=3000, DATA_DIR=.parley)
	@exec $(BIN)/parley dev --port $(PORT) --data-dir $(DATA_DIR)

check: .venv/.test ## The quick checks: before each commit
	@+$(call side_by_side,2) $(CHECKS)

# What the targets need is there first: make would begin with those that wait for nothing, and end with
# the longest.
test: .venv/.test tests/clients/node_modules browser ## All checks and tests, as CI runs them
	@+$(call side_by_side,4) $(TESTS)

lint: .venv/.test ## Style, and whether the code is formatted
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: .venv/.test ## Strict types; a function of several modules by itself, since all have an app.py
	$(BIN)/mypy layers/shared/python/parley cli local project packaging/parley_packages \
		packaging/parley_deploy packaging/parley_backend/__init__.py bench tests \
		$(patsubst %,functions/%/app.py,$(filter-out $(OF_MODULES),$(FUNCTIONS)))
	@set -e; for name in $(OF_MODULES); do \
		echo "mypy functions/$$name"; MYPYPATH=functions/$$name $(BIN)/mypy functions/$$name/*.py; done

imports: .venv/.test ## A lower floor never imports a higher one
	$(BIN)/lint-imports

template: cfn-lint checkov ## The SAM template, and what reviewers say of it

unit: .venv/.test ## Tests without sockets
	$(BIN)/pytest tests/unit --disable-socket --allow-unix-socket $(AT_ONCE)

integration: .venv/.test tests/clients/node_modules ## Tests on embedded PostgreSQL, moto and the local gateway
	$(BIN)/pytest tests/integration $(FOUR_AT_ONCE)

$(INTEGRATION): integration-%: .venv/.test tests/clients/node_modules
	$(BIN)/pytest $(addprefix tests/integration/,$(subst +, ,$*))

include tests/clients/targets.mk

POOLED := stores turns guards
pooled: .venv/.test ## Some of them with the functions behind PgBouncer in transaction mode (POOLED=…)
	PARLEY_TEST_POOLER=pgbouncer $(BIN)/pytest $(addprefix tests/integration/,$(POOLED)) $(AT_ONCE)

survival: .venv/.test ## Tests that break the system on purpose: kills, zombies, schedules
	$(BIN)/pytest tests/faults --timeout=3000 $(AT_ONCE)

sdk-suite: .venv/.test ## The Agents SDK's own session tests, on Parley's session (downloads them)
	tests/sdk_suite/run.sh

format: .venv/.test ## Format and mend what can be mended
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

openapi: .venv/.test ## Write the OpenAPI document from the code
	$(BIN)/python -m parley_local.openapi

GENAI_PRICES := 0.2.3
prices: .venv/.test ## Write the table of models' prices from genai-prices (GENAI_PRICES=…)
	$(BIN)/uv run --quiet --no-project --with genai-prices==$(GENAI_PRICES) \
		python packaging/price_table.py layers/shared/python/parley/usage/price_table.txt

setup: .venv/.test ## Make the virtual environment, and let git run the quick checks at each commit
	$(BIN)/pre-commit install

clean: ## Remove what these targets made, but not the data of `make dev`
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

include packaging/targets.mk packaging/deploy.mk tests/faults/targets.mk tests/browser/targets.mk bench/targets.mk

# The environment of `make dev` is small and quickly there; the tests' holds the tools too.
.venv/.run: uv.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv sync --quiet --frozen --inexact --no-default-groups --extra dev
	@touch $@

.venv/.test: uv.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv sync --quiet --frozen --inexact --no-default-groups --group dev
	@touch $@ .venv/.run

$(BIN)/uv:
	@for python in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making .venv with $$($$python --version)"; \
			$$python -m venv --clear .venv && $(BIN)/pip install --quiet uv==$(UV_VERSION) && exit 0; \
			exit 1; \
		fi; done; \
	echo "Parley needs Python 3.11 or newer; name one with PYTHON=/path/to/python3" >&2; exit 1
