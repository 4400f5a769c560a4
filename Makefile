# Each target sets up what it needs in .venv; only Python >= 3.11 and make have to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN_READY := $(VENV)/.run-ready
SUITE_READY := $(VENV)/.suite-ready
WHEEL_READY := $(VENV)/.wheel-ready
BENCH_READY := $(VENV)/.bench-ready
MUTATION_READY := $(VENV)/.mutation-ready
FUZZ_READY := $(VENV)/.fuzz-ready
FUZZ_SECONDS ?= 20

.PHONY: help demo test lint format types layers pytest suite versions wheel conformance peers kerberos bench mutants fuzz clean

help:
	@echo "make demo    a loopback server and client: STARTTLS, AUTH NTLM, DSN"
	@echo "make test    all checks: format, lint, types, layers, tests"
	@echo "make versions   the tests on CPython 3.11 to 3.14 and newer: those in PATH, or PYTHONS=\"PATH ...\""
	@echo "make wheel   build the wheel, install it elsewhere, and check a program that uses it"
	@echo "make conformance   write docs/conformance.md and the totals in README.md anew"
	@echo "make peers   install the real mail programs that tests/interop talks to (Debian, as root)"
	@echo "make mutants   change the code in small ways and see whether the tests find it, about twenty minutes"
	@echo "make fuzz    fuzz each target of tests/fuzz for FUZZ_SECONDS=20 (FUZZ_TARGETS='server client' for some)"
	@echo "make bench   measure ehlo and its peers, about ten minutes"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ehlo needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(RUN_READY): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[cli]'
	@touch $@

$(READY): pyproject.toml $(RUN_READY)
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(RUN_READY)
	@$(BIN)/python -m ehlo_io demo

test: lint types layers pytest

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(READY)
	$(BIN)/mypy
	$(BIN)/pyright

layers: $(READY)
	$(BIN)/lint-imports

pytest: $(READY)
	$(BIN)/pytest

$(SUITE_READY): pyproject.toml $(RUN_READY)
	$(BIN)/python -m pip install --quiet --group test
	@touch $@

# The tests alone, as one interpreter of `make versions` runs them.
suite: $(SUITE_READY)
	$(BIN)/pytest $(PYTEST_ARGS)

versions: $(RUN_READY)
	@$(BIN)/python -m tests.versions $(PYTHONS)

$(WHEEL_READY): pyproject.toml $(READY)
	$(BIN)/python -m pip install --quiet --group wheel
	@touch $@

wheel: $(WHEEL_READY)
	@$(BIN)/python -m tests.consumer

conformance: $(READY)
	$(BIN)/python -m docs.make_conformance

$(BENCH_READY): pyproject.toml $(RUN_READY)
	$(BIN)/python -m pip install --quiet --group bench
	@touch $@

bench: $(BENCH_READY)
	$(BIN)/python -m benchmarks

$(MUTATION_READY): pyproject.toml $(READY)
	$(BIN)/python -m pip install --quiet --group mutation
	@touch $@

# MUTANTS="'ehlo.wire.*' --processes 1": some of them only, and other options of tests/mutation.
mutants: $(MUTATION_READY)
	nice -n 10 $(BIN)/python -m tests.mutation $(MUTANTS)

$(FUZZ_READY): pyproject.toml $(READY)
	$(BIN)/python -m pip install --quiet --group fuzz
	@touch $@

fuzz: $(FUZZ_READY)
	$(BIN)/python -m tests.fuzz run --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

peers:
	tests/interop/install-peers

# Not among the tools of `make test`: pip has to build it, with a C compiler and the headers of Kerberos.
kerberos: $(READY)
	$(BIN)/python -m pip install --quiet --editable '.[cli,kerberos]'

clean:
	rm -rf $(VENV) .venv-3.* build dist mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz
