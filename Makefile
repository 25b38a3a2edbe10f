# Everything a developer types. `make help` lists the targets.
#
# A fresh machine needs make and a Python of version 3.11 or newer, nothing else: the first target that needs it creates
# .venv, installs the dependencies pinned in constraints.txt and then this package in editable mode. Two stamps remember
# that, so a second call starts at once.

SHELL := /bin/sh
PYTHON ?=
CANDIDATES := python3 python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
DEPENDENCIES := $(VENV)/.dependencies
PACKAGE := $(VENV)/.package
USABLE := import pip, sys; sys.exit(sys.version_info < (3, 11))
CACHE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/qnat

# PennyLane and JAX read these; figures are written to files, never shown.
export MPLBACKEND := Agg
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

## Running

.PHONY: gibbs
gibbs: $(PACKAGE)  ## the main experiment: train thermal states, compare optimisers, draw runs/gibbs (AGAIN=1: start over)
	$(BIN)/qnat sweep gibbs --n 4 --periodic --coupling 1 --field 1 --beta 0.5,1.083,1.667,2.25 \
	  --optimizer natural,qpmd,adam,sgd --warm-start scaled,plain --out runs/gibbs $(if $(AGAIN),--force,--resume)
	$(BIN)/qnat sweep gibbs --n 6 --periodic --coupling 1 --field 1 --beta 0.5,1.083,1.667,2.25 --steps 60 \
	  --tolerance 1e-4 --warm-start scaled --out runs/gibbs-6 $(if $(AGAIN),--force,--resume)

.PHONY: bench
bench: $(PACKAGE)  ## the benchmarks; each writes its results as JSON and the tables that docs/ include (ONLY=engine ARGS=--quick)
	for script in benchmarks/$(or $(ONLY),*).py; do echo "$$script"; $(BIN)/python "$$script" $(ARGS) || exit 1; done

## Checking

.PHONY: test
test: $(PACKAGE)  ## the everyday tests (ARGS="-k name" selects)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

.PHONY: slow
slow: $(PACKAGE)  ## every method in depth, statistics, kills; what `make test` leaves out
	$(BIN)/python -m pytest -m slow --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

.PHONY: mutants
mutants: $(PACKAGE)  ## sabotage one line after another: the everyday tests must notice each (ARGS='"NAME"' selects)
	$(BIN)/python tests/mutants.py $(ARGS)

.PHONY: lint
lint: $(PACKAGE)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(PACKAGE)  ## mypy
	$(BIN)/mypy

.PHONY: contracts
contracts: $(PACKAGE)  ## import-linter: which module may import which
	$(BIN)/lint-imports --no-cache

.PHONY: light
light: $(PACKAGE)  ## the core where PennyLane, QuTiP, scikit-learn and matplotlib are not installed
	$(BIN)/python tests/light.py

.PHONY: examples
examples: $(PACKAGE)  ## run every example script
	for script in examples/*.py; do echo "$$script"; $(BIN)/python "$$script" || exit 1; done

.PHONY: docs
docs: $(PACKAGE)  ## build docs/_build/html, snippets executed, warnings as errors
	$(BIN)/sphinx-build -W --keep-going -q -j auto -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

## Environment

.PHONY: environment
environment: $(PACKAGE)  ## create or update .venv

$(DEPENDENCIES): constraints.txt
	@if ! $(BIN)/python -c '$(USABLE)' >/dev/null 2>&1; then \
	  found=; for python in $(or $(PYTHON),$(CANDIDATES)); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "qnat needs Python 3.11 or newer and found none (tried: $(or $(PYTHON),$(CANDIDATES))). Install one, or name yours: make PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	  fi; \
	  echo "creating $(VENV) with $$found"; \
	  "$$found" -m venv --clear $(VENV) || exit 1; \
	fi
	@echo "installing the dependencies pinned in constraints.txt (once, about a minute)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r constraints.txt
	@touch $@

$(PACKAGE): pyproject.toml $(DEPENDENCIES)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: constraints
constraints:  ## resolve the pinned dependencies anew (needs uv)
	@command -v uv >/dev/null || { echo "'make constraints' needs uv on the PATH." >&2; exit 1; }
	uv pip compile pyproject.toml --extra test --group build --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --upgrade --output-file constraints.txt

.PHONY: clean-cache
clean-cache:  ## forget compiled programs (kept between runs to start faster)
	rm -rf "$(CACHE)"

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 } /^## / { print "\n" substr($$0, 4) }' Makefile
