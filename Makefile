# Needs Python 3.11 or newer, git and make; all else goes into .venv.
# Another interpreter: make run PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
# Compilation takes most of the tests' time and runs on one core: use them all.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run test test-all check bench notebooks docs clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{ printf "  make %-10s  %s\n", $$1, $$2 }'

run: .venv/run.stamp ## Compute Sand's time of a foam; results in run/foam
	$(BIN)/depojax sand experiments/foam.toml --out run/foam
	@echo "Results are in run/foam."

test: .venv/test.stamp ## Run the tests but for the slow ones
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

test-all: .venv/test.stamp ## Run all tests
	$(BIN)/python -m pytest $(PARALLEL)

check: .venv/dev.stamp ## Lint, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: .venv/test.stamp ## Run the benchmarks
	@for script in benchmarks/*.py; do \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

notebooks: .venv/dev.stamp ## Run the notebooks; leaves them as they are
	$(BIN)/jupyter execute $(wildcard notebooks/*.ipynb)

docs: .venv/docs.stamp ## Build the documentation into build/docs
	$(BIN)/mkdocs build --strict

clean: ## Remove .venv, results, builds and caches
	rm -rf .venv run build dist .pytest_cache .ruff_cache
	find depojax tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed once, and again when pyproject.toml changes. The package itself is
# installed as a link, so that edits need no new installation.
EXTRAS_run :=
EXTRAS_test := [test]
EXTRAS_dev := [test,dev]
EXTRAS_docs := [docs]

.venv/%.stamp: pyproject.toml | $(BIN)/python
	@echo "Installing depojax$(EXTRAS_$*) into .venv (a minute or two, once)."
	$(PIP) --editable '.$(EXTRAS_$*)'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "depojax needs Python 3.11 or newer; $(PYTHON) is" \
			"$$($(PYTHON) --version 2>&1). Choose another: make PYTHON=python3.12"; \
		exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
