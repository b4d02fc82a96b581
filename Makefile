# What a person or a scheduler runs. `make` alone explains itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
COVERAGE := 95

# faiss-gpu and faiss-cpu both provide the module `faiss`, so the extra `gpu` is installed by hand, instead.
EXTRAS := hunt,clip,probe,ray,sign,dev

# A stamp says what .venv holds; each is older than pyproject.toml as soon as a dependency changes.
BASE := $(VENV)/.installed-base
EVERYTHING := $(VENV)/.installed-everything

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint bench nightly clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(EVERYTHING) ## make .venv and install poisonscan with every extra but gpu (about 6 GB: torch)

demo: $(BASE) ## install the base alone, then poison a loopback web and see it found; report in demo-out/
	rm -rf demo-out
	$(BIN)/poisonscan demo --out demo-out

test: $(EVERYTHING) lint ## every check that CI runs: lint, then the tests with branch coverage
	$(BIN)/pytest --numprocesses=auto --dist=loadfile --cov --cov-report=term --cov-fail-under=$(COVERAGE)

check: $(EVERYTHING) lint ## what to run while you work: lint and the quick tests
	$(BIN)/pytest --quiet --numprocesses=auto -m "not slow"

lint: $(EVERYTHING) ## ruff, mypy --strict and the layers of the imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(EVERYTHING) ## run every script in benchmarks/; each prints a table
	@set -e; for script in benchmarks/[a-z]*.py; do \
		echo "== $$script"; $(BIN)/python $$script; \
	done

nightly: $(BASE) ## check SNAPSHOT=folder into RUN=folder, compare with earlier nights: report, metrics, one JSON line
	@test -n "$(SNAPSHOT)" -a -n "$(RUN)" || { echo "usage: make nightly SNAPSHOT=folder RUN=folder" >&2; exit 2; }
	@$(BIN)/python pipelines/nightly.py "$(SNAPSHOT)" "$(RUN)" $(FLAGS)

clean: ## remove .venv, caches and demo-out
	rm -rf $(VENV) demo-out dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	rm -f .coverage .coverage.*

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "poisonscan needs Python 3.11 or newer; say make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(BASE): pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable .
	touch $@

$(EVERYTHING): pyproject.toml $(BASE)
	$(PIP) install --quiet --editable '.[$(EXTRAS)]'
	touch $@
