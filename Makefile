# Everything a developer or newcomer needs; `make help` lists it.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
STAMP := $(VENV)/.installed

.PHONY: help install run test check nightly reproduce clean
.DEFAULT_GOAL := help

help: ## List these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(STAMP) ## Make .venv with the package, its extras and the embedded model

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "orchestra needs Python 3.11 or later on PATH"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,embedded]'
	$(BIN)/orchestra models pull embedded
	@touch $@

run: $(STAMP) ## Answer the example task graph with a real 135M model on this CPU
	$(BIN)/orchestra run examples/reviews.yaml --model embedded --topology hybrid

test: $(STAMP) ## Run the tests, with a small copy of every slow one
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(STAMP) ## Lint, types and storeys
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

nightly: $(STAMP) ## Run every test at full size: first those that nothing may disturb, then the others
	$(BIN)/python -m pytest -m "nightly or not nightly" tests/crash
	$(BIN)/python -m pytest -m "nightly or not nightly" -n 2 --dist worksteal --ignore tests/crash

reproduce: $(STAMP) ## Compare all systems: MODEL=openai:gpt-4.1-mini BUDGET_USD=5; estimate first, YES=1 to spend it
	@test -n "$(MODEL)" && test -n "$(BUDGET_USD)$(BUDGET_TOKENS)" || { echo "usage: make reproduce MODEL=provider:model BUDGET_USD=5 (or BUDGET_TOKENS=2000000) [YES=1] [ARGS=...]"; exit 2; }
	$(BIN)/python -m benchmarks.reproduce --model "$(MODEL)" $(if $(BUDGET_USD),--budget-usd $(BUDGET_USD)) \
		$(if $(BUDGET_TOKENS),--budget-tokens $(BUDGET_TOKENS)) $(if $(YES),--yes) $(ARGS)

clean: ## Remove what install and test made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
