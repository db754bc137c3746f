# One command from a fresh clone: `make demo`. Each target first sets up what it needs, once, in
# .venv; all it takes is Python 3.11 or newer, with venv. Another one: make PYTHON=python3.12 test

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
EXTENSION := tutorial/notebook/lab/extension
MODULES := $(EXTENSION)/node_modules/.package-lock.json
WORKERS ?= 2

# The first of these that is new enough, looked for only when .venv must be made.
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done || echo python3)

.DEFAULT_GOAL := help
.PHONY: help demo test test-all situations lint format lab labextension mutants bench book constraints clean

help:  ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(READY)  ## Train on MNIST, and show the loop that ran
	$(PY) -m tutorial

# One thread for each process, so that the workers, each on its own core, don't wait for each other.
# A file's tests stay together on one worker (loadfile): the cells of a notebook share a kernel, as
# other files' tests share a browser or a built book, which cost more than another schedule would
# gain. And files keep their order, the longest first: see LONGEST in tests/conftest.py.
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest --doctest-modules \
	-n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	-p nbval.plugin --nbval --nbval-sanitize-with tests/sanitize.cfg

test: $(READY)  ## Run the tests, the examples in docstrings, and the notebooks: ten minutes
	$(PYTEST) -m "not slow" tutorial tests $(wildcard notebooks/*.ipynb)

# Where Node is, the extension's own tests run, too.
test-all: $(if $(shell command -v npm),$(MODULES))
test-all: $(READY)  ## Run the slow tests as well: half an hour
	$(PYTEST) tutorial tests $(wildcard notebooks/*.ipynb)

mutants: $(READY)  ## Break each line of the loop, and print which test notices it: ten minutes
	OMP_NUM_THREADS=1 $(PY) tests/mutants.py

situations: $(READY)  ## Compare what users bring with loops by hand, and print the table: six minutes
	OMP_NUM_THREADS=1 $(PY) -m tests.situations

lint: $(READY)  ## Check style, format, types, and that no room imports one above it
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache

format: $(READY)  ## Put the code into the format that lint checks
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format

# What is done in a lesson is kept in lessons/: the launcher opens a copy of your own. What is
# installed for work on the library, such as nbgrader's menus, is not shown to learners.
lab: $(READY)  ## Open JupyterLab, with the lessons in its launcher
	JUPYTER_CONFIG_PATH="$(CURDIR)/tutorial/notebook/lab/learner:$$JUPYTER_CONFIG_PATH" $(PY) -m jupyter lab

# The files in built/ are kept in git, so that only those need Node who change the extension.
labextension: $(READY) $(MODULES)  ## Build the JupyterLab extension anew; needs Node
	cd $(EXTENSION) && PATH="$(abspath $(VENV))/bin:$$PATH" npm run build
	$(PY) -m pip install --disable-pip-version-check -q --no-deps -e .

$(MODULES): $(EXTENSION)/package-lock.json
	cd $(EXTENSION) && npm ci --ignore-scripts --no-audit --no-fund

# Each other trainer gets an environment in build/peers, once; one that cannot be had is left out.
bench: $(READY)  ## Measure speed, also of other trainers; takes about an hour
	$(PY) -m pytest tests/benchmarks -s
	$(PY) tests/benchmarks/race.py
	$(PY) tests/benchmarks/devices.py

# An install that was cut off is taken up again. An environment without a working pip starts anew; a
# package without the INSTALLER file, which pip writes last, is forgotten and so installed again.
$(READY): pyproject.toml tests/constraints.txt $(EXTENSION)/built/package.json
	@$(PY) -c 'import pip; $(NEW_ENOUGH)' 2>/dev/null || { \
		$(PYTHON) -c '$(NEW_ENOUGH)' || { \
			echo "This needs Python 3.11 or newer, with venv; $(PYTHON) is: $$($(PYTHON) -V 2>&1)."; \
			echo "Name another one, such as: make PYTHON=/usr/bin/python3.12 ..."; exit 1; } >&2; \
		echo "Setting up $(VENV), once: PyTorch and its tools are large, so this takes minutes."; \
		$(PYTHON) -m venv --clear $(VENV); }
	@for info in $(VENV)/lib/python*/site-packages/*.dist-info; do \
		test -e "$$info/INSTALLER" || rm -rf "$$info"; done
	$(PY) -m pip install --disable-pip-version-check $(if $(CI),-q) -e ".[dev]" -c tests/constraints.txt
	@touch $@

# Warnings are errors. Its parts come from the library and the lessons: book/made.py
book: $(READY)  ## Build the book: the course as a web site, which needs no network
	rm -rf build/book  # pages of lessons that are gone would stay
	OMP_NUM_THREADS=1 $(PY) -m sphinx -W --keep-going -n -q -b html -d build/doctrees book build/book
	@echo "The book is in build/book: open build/book/index.html"

constraints: $(READY)  ## Take the newest versions of everything, and note them in tests/constraints.txt
	$(PY) -m pip install --upgrade --upgrade-strategy eager -e ".[dev]"
	{ grep '^#' tests/constraints.txt; $(PY) -m pip freeze --all --exclude-editable --exclude pip; } \
		> $(VENV)/constraints.txt
	mv $(VENV)/constraints.txt tests/constraints.txt
	@touch $(READY)

clean:  ## Remove caches and what was built (not .venv: remove that by hand)
	rm -rf build dist book/_build book/made book/notebooks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune \
		-exec rm -rf {} +
