# Everything here works on a fresh clone with Python >= 3.11, a C compiler and package registries.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CCACHE := $(shell command -v ccache 2>/dev/null)
export CC := $(if $(CCACHE),$(CCACHE) $(or $(CC),cc),$(CC))
SOURCES := $(wildcard src/frazil/lang/*.py src/frazil/lang/*.pxd src/frazil/*/*.c tools/native/* tools/training/*.* bin/*) \
  setup.py pyproject.toml
PYTEST_JOBS ?= $(shell nproc 2>/dev/null || echo 2)

FUZZ_SECONDS ?= 60
ROUNDS ?= 100

.PHONY: demo test bench lint fuzz faults setup clean

setup: $(VENV)/.installed

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	$(BIN)/python -m compileall -q src/frazil
	@touch $@

$(VENV)/.lint-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mypy==2.4.*' 'ruff==0.17.*'
	@touch $@

demo: setup
	$(BIN)/python examples/demo.py

test: setup
	$(BIN)/python -m pytest -n $(PYTEST_JOBS)

bench: setup
	$(BIN)/python bench/run.py

$(VENV)/.fuzz-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

fuzz: $(VENV)/.fuzz-installed
	$(BIN)/python -m tools.fuzz --seconds $(FUZZ_SECONDS) $(TARGETS)
	$(BIN)/python -m tools.fuzz --guided --seconds $(FUZZ_SECONDS) $(TARGETS)

faults: setup
	$(BIN)/python -m tools.faults --rounds $(ROUNDS) $(KINDS)

lint: $(VENV)/.lint-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict examples/library.py

clean:
	rm -rf build $(VENV) src/*.egg-info
	find src -name '*.so' -delete
