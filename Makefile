# Countersign: what a newcomer, a developer and CI run. Needs Python 3.11 or newer and the package registry; nothing else.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo up test check format bench campaign mutants nightly e2e lock clean

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
AWS := .venv-ministack
export COUNTERSIGN_MINISTACK ?= $(CURDIR)/$(AWS)/bin/ministack
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes --requirement

help: ## list what can be done
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## (.*)/make \1|\2/' | column -t -s '|'

demo: ## set up, play the whole story on real servers, stop them; writes demo-report.json
	@$(MAKE) --no-print-directory -j2 $(VENV)/.embedded $(AWS)/.ready
	@$(VENV)/bin/countersign demo

up: ## the embedded stack until Ctrl-C, with who can sign in as whom
	@$(MAKE) --no-print-directory -j2 $(VENV)/.embedded $(AWS)/.ready
	@$(VENV)/bin/countersign dev

# Whole files go to one process, so that servers which a file shares are started once; those with slow tests go first.
test: ## all tests, on real servers, as many side by side as there are cores (at most four)
	@$(MAKE) --no-print-directory -j2 $(VENV)/.dev $(AWS)/.ready
	@$(RUN) -m pytest -q --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev ## format, lint, types, layers
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

format: $(VENV)/.dev ## put every file into the house's shape
	@$(VENV)/bin/ruff format --quiet .
	@$(VENV)/bin/ruff check --quiet --fix .

bench: ## figures against their floors; writes bench-report.json
	@$(MAKE) --no-print-directory -j2 $(VENV)/.dev $(AWS)/.ready
	@$(RUN) -m benchmarks

campaign: ## kill real servers at random under load and count what outlived its window; SHORT=1 for CI; writes campaign-report.json
	@$(MAKE) --no-print-directory -j2 $(VENV)/.embedded $(AWS)/.ready
	@$(RUN) -m campaign

mutants: $(VENV)/.dev ## break each rule, one at a time, and show which tests notice
	@$(RUN) -m tests.mutants

e2e: $(VENV)/.dev ## the passkey page in a headless Chromium (found on the PATH) with a virtual authenticator
	@$(RUN) -m pytest -q -m e2e tests/e2e

nightly: $(VENV)/.dev ## 2,000 histories of up to 100 steps, as many coalitions, 10,000 clean logs, 500 ends under a login hammer
	@COUNTERSIGN_HYPOTHESIS=nightly $(RUN) -m pytest -q tests/service/test_rules_machine.py tests/service/test_prover_agrees.py \
		tests/domain/test_prover.py tests/auditlog/test_verify.py tests/auditlog/test_meaning.py tests/api/test_openapi.py tests/store/test_crashes.py
	@COUNTERSIGN_HAMMER_RUNS=500 $(RUN) -m pytest -q tests/providers/vault/test_hammer.py

lock: $(VENV)/.dev ## resolve the lock files anew from pyproject.toml
	@$(RUN) -m pip install --quiet uv
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		requirements/build.in -o requirements/build.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		pyproject.toml -o requirements/runtime.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		pyproject.toml --extra embedded -o requirements/embedded.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		pyproject.toml --extra embedded --group dev -o requirements/dev.lock
	@$(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		requirements/ministack.in -o requirements/ministack.lock

clean: ## remove what was installed and what was left behind
	rm -rf $(VENV) $(AWS) .countersign *-report.json

$(RUN):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Countersign needs Python 3.11 or newer; say which with make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "setting up $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.embedded: requirements/embedded.lock pyproject.toml | $(RUN)
	@$(RUN) $(INSTALL) requirements/embedded.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(RUN)
	@$(RUN) $(INSTALL) requirements/dev.lock
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@ $(VENV)/.embedded

# The AWS emulator pins its own libraries, so it lives in a virtual environment of its own.
$(AWS)/.ready: requirements/ministack.lock
	@$(PYTHON) -m venv $(AWS)
	@$(AWS)/bin/python $(INSTALL) requirements/ministack.lock
	@touch $@
