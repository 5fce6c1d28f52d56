# make setup   a Python environment in .venv, from wheels of pinned versions (pyspf, one plain module, has none)
# make run     a mail server of your own on free ports, with mail going through it (Ctrl-C ends it)
# make test    the tests; no root needed
# make check   style, types, layers, sizes
# make fix     what the tools can put right by themselves
# make conformance   the scenarios recorded from Postfix, and our own (root; CONFORMANCE names their folder)
# make bench   Postfix and Posthouse side by side (root; BENCH names the folder of the load programs, PARTS what is
#              measured, LOAD the loads: make bench PARTS=maildir,relay LOAD="--runs 2 --messages 600 --sizes 4096")

VENV := .venv
BIN := $(VENV)/bin
CONFORMANCE ?= ../shared/conformance
BENCH ?= ../shared/bench
PYTEST_JOBS ?= 2

# Workers and users' sendmail run with other rights than root's: the interpreter has to be where they can read it.
PYTHON ?= $(shell packaging/find_python)

.PHONY: setup run test check fix conformance bench clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml requirements/constraints.txt requirements/runtime.txt requirements/development.txt
	packaging/find_python $(BIN)/python || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		-c requirements/constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-binary pyspf \
		--no-build-isolation --use-pep517 -c requirements/constraints.txt -r requirements/runtime.txt -r requirements/development.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

run: setup
	$(BIN)/posthouse try

test: setup
	$(BIN)/python -m pytest -n $(PYTEST_JOBS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/architecture

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python packaging/write_reference

conformance: setup
	$(CONFORMANCE)/run --bin $(BIN) -j 2 --differences docs/conformance_differences.txt $(CONFORMANCE)/scenarios
	$(CONFORMANCE)/run --bin $(BIN) -j 2 --differences docs/conformance_differences.txt tests/scenarios

bench: setup
	bench/compare --load $(BENCH)/bench $(if $(PARTS),--parts $(PARTS)) -- $(LOAD)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
