# `make run` serves; `make test` runs everything that gates a change. Both are safe to repeat.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

.DEFAULT_GOAL := run
.PHONY: run test lint types unit e2e bench clean

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, not " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements.txt
	$(BIN)/pip install --disable-pip-version-check --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/pip install --disable-pip-version-check --quiet --requirement requirements-dev.txt
	@touch $@

run: $(VENV)/.runtime
	@exec $(BIN)/python manage.py serve
