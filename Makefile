# Everything that is typed in this repository. `make` alone lists it.
PYTHON ?= python3
BIN := .venv/bin
# More words for the command behind a target: make verify ARGS=--keep
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup verify test check site bench lock format clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\): [^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name says; do \
	  printf '  make %-8s %s\n' "$$name" "$$says"; done

setup: ## Install what is missing (asks first, unless CI or YES=1 is set)
	@$(PYTHON) -m tools.setup $(QUIETLY)

verify: QUIETLY = --quiet
verify: setup ## Prove every path in throwaway virtual machines, then build the site
	@$(BIN)/lading verify --site $(ARGS)

test: QUIETLY = --quiet
# A file's tests stay together, in one of two processes: they share guests and fixtures.
test: setup ## Run the whole test suite, with branch coverage of the engine
	@$(BIN)/python -m pytest --cov --cov-report=term --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(ARGS)

check: QUIETLY = --quiet
check: setup ## Run every linter
	@$(BIN)/python -m tools.check $(ARGS)

site: QUIETLY = --quiet
site: setup ## Build the site into site/
	@$(BIN)/mkdocs build --strict $(ARGS)

bench: QUIETLY = --quiet
bench: setup ## Measure how fast guests boot and restore on this machine
	@$(BIN)/python -m tools.bench $(ARGS)

lock: ## Write requirements.lock anew from pyproject.toml (newest versions)
	@$(PYTHON) -m tools.lock $(ARGS)

format: QUIETLY = --quiet
format: setup ## Format the Python code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean: ## Remove what was made in this folder; the cache of images goes with 'lading gc'
	@rm -rf .venv .cache site .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
