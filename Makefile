PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run demo test check format documents clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv in the project with everything that running and testing need

$(STAMP): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; $(PYTHON) is " + sys.version.split()[0] + ". Name another: make setup PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(STAMP) ## A technician's shift against a whole local cloud, each step checked
	@$(BIN)/python -m local demo

run: $(STAMP) ## The whole cloud on this machine; Ctrl-C stops it
	@$(BIN)/python -m local up

test: $(STAMP) ## All tests: unit, integration, end to end
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(STAMP) ## What CI checks besides the tests: style, types, layers, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m local documents --check

format: $(STAMP) ## Format the code and mend what can be mended mechanically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

documents: $(STAMP) ## Write docs/openapi.json and docs/asyncapi.json anew
	$(BIN)/python -m local documents

clean: ## Remove the local cloud's data and all caches; .venv stays
	rm -rf .local .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* htmlcov
