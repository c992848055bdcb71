# `make run` serves; `make test` runs everything that gates a change. Both are safe to repeat.

PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CODE := chatbot conversations llm moderation tests manage.py

# Modules are compiled once and kept, whatever the caller's environment says: a start without what was
# kept takes three times as long, and the tests start a hundred processes.
export PYTHONDONTWRITEBYTECODE :=

# Enough of a production environment for Django's deployment checks.
CHECKED := DJANGO_SETTINGS_MODULE=chatbot.settings.prod ALLOWED_HOSTS=parley.example \
	SECRET_KEY=only-for-the-checks-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEF \
	KEYRING=check:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY= \
	DATABASE_URL=postgres://checked@localhost/checked

# What answers depend on most. The rest is reported.
COVERED := 'llm/*' 'moderation/*' conversations/turns.py conversations/claims.py conversations/generations.py

.DEFAULT_GOAL := run
.PHONY: run test test-slow gates unit services deployment faults bench bench-production bench-resume bench-memory \
	bench-failover bench-queue bench-costs browser \
	format

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Parley needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

# Half of an installation would be compiling modules, most of which are never imported. What is
# imported is compiled then, once.
.venv/runtime: .venv/bin/python requirements.txt
	@echo "Installing what Parley needs…"
	@$(PIP) install --no-compile --requirement requirements.txt
	@touch $@

.venv/dev: .venv/runtime requirements-dev.txt
	@echo "Installing what the tests need…"
	@$(PIP) install --no-compile --requirement requirements-dev.txt
	@touch $@

run: .venv/runtime
	@exec $(BIN)/python manage.py serve

test: gates unit services deployment

# What takes long by nature, and whose claims something quicker in `make test` makes too.
test-slow: .venv/dev
	$(BIN)/pytest -m slow

gates: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(CHECKED) $(BIN)/python manage.py check --deploy --fail-level WARNING
	DJANGO_SETTINGS_MODULE=chatbot.settings.test $(BIN)/python manage.py makemigrations --check --dry-run

# SQLite, in-process parts, the real local model, a real browser.
unit: .venv/dev browser
	# Whole processes come first: what is left for the end is short, whoever gets it.
	$(BIN)/pytest -m "not faults and not slow" --numprocesses 3 --dist loadfile \
		--no-loadscope-reorder --cov --cov-report=
	$(BIN)/coverage report
	@for part in $(COVERED); do \
		echo "Branches and lines of $$part: at least 95 %"; \
		$(BIN)/coverage report --format=total --fail-under=95 --include="$$part" || exit 1; \
	done

# A whole deployment, killed part by part: two to three minutes of it. `make faults` runs longer.
deployment: .venv/dev
	$(BIN)/pytest -m faults --numprocesses 2 --dist loadfile tests/faults

# The same tests of everything that touches a store, on a real PostgreSQL and a real Valkey.
services: .venv/dev
	# Left out is what meets none of them, or brings its own.
	# --reuse-db: the servers are thrown away whole, so the database need not be dropped before.
	$(BIN)/python -m tests.services $(BIN)/pytest --stores --reuse-db -m "not slow and not model" \
		--ignore tests/accounts/test_limits_of_processes.py \
		--numprocesses 3 --dist loadfile tests/core tests/audit tests/accounts tests/conversations \
		tests/desk tests/moderation/test_events.py tests/bench/test_continuing.py

# Drawn schedules of faults: `make faults N=10000`, or a round again: `make faults SEED=17`.
faults: .venv/dev
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED),--schedules $(or $(N),1000))

browser: .venv/dev
	@$(BIN)/python -m tests.browser

bench: .venv/dev
	$(BIN)/python manage.py bench_stream

# Production mode on real stores, beside a bare relay; each fails beyond what docs/benchmarks.md
# promises, wants a machine that does nothing else, and takes some minutes.
bench-production: .venv/dev
	$(BIN)/python manage.py bench_stream --mode production --check

bench-resume: .venv/dev
	$(BIN)/python manage.py bench_resume --check

bench-memory: .venv/dev
	$(BIN)/python manage.py bench_memory --check

bench-failover: .venv/dev
	$(BIN)/python manage.py bench_failover --check

bench-queue: .venv/dev
	$(BIN)/python manage.py bench_queue --check

# Ten million answers in a PostgreSQL that is thrown away: some minutes, and 6 GB of disk.
bench-costs: .venv/dev
	$(BIN)/python -m tests.services $(BIN)/python manage.py bench_costs --check

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
