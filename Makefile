# One command to run, one to check. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.pronto
RUN := $(VENV)/bin

.PHONY: help serve test check fmt unit e2e bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

$(STAMP): pyproject.toml uv.lock
	@echo "preparando o ambiente (só na primeira vez e quando ele muda)"
	@$(RUN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
	  || { rm -rf $(VENV); echo "Falta o módulo venv: apt-get install python3-venv"; exit 1; }
	@test -x $(RUN)/uv || command -v uv >/dev/null || $(RUN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@UV=$$(test -x $(RUN)/uv && echo $(RUN)/uv || command -v uv); \
	  VIRTUAL_ENV=$(CURDIR)/$(VENV) $$UV sync --quiet --frozen --inexact --compile-bytecode
	@touch $@

serve: $(STAMP) ## start everything: engine, database, API (Ctrl-C ends it)
	@exec $(RUN)/telefonista serve

test: $(STAMP) ## set up whatever the tests need and run everything
	@$(RUN)/ruff format --check --quiet . || { echo "run make fmt"; exit 1; }
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-cache
	@$(RUN)/telefonista engine install
	@$(RUN)/pytest -n 2 --dist loadfile

check: $(STAMP) ## what takes seconds: lint, types, import rules, unit tests
	@$(RUN)/ruff format --check --quiet .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-cache
	@$(RUN)/pytest -q tests/unit

fmt: $(STAMP) ## format the code
	@$(RUN)/ruff check --fix --quiet . || true
	@$(RUN)/ruff format .

bench: $(STAMP) ## our path against the bare engine: ratios (PROFILE=signalling|media|recording ROUNDS=3)
	@$(RUN)/python -m bench --profile $(or $(PROFILE),signalling) --rounds $(or $(ROUNDS),3)

clean: ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
