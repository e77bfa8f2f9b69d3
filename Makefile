# Everything needs only make and Python 3.11 or newer; each target sets up what it needs.
# `make test PYTHON=python3.13` does it with another Python, in a .venv made anew;
# VENV= keeps several side by side.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
INSTALLED := $(VENV)/installed-$(VERSION)

.PHONY: install search test bench clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "evoptax needs Python 3.11 or newer; set PYTHON=")'
	test -f $@ || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# A search from AdamW on real data, three minutes on two cores.
search: install
	$(BIN)/evoptax search --preset quick

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build && $(BIN)/python -m pip install --quiet --no-deps --target build/installed .
	MYPYPATH=build/installed $(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder

bench: install
	$(BIN)/python benchmarks/throughput.py

clean:
	rm -rf .venv $(VENV) build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
