# `make demo` and `make test` install what is missing and can be repeated. See README.md.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
DEMO_ARGS ?=
PYTEST_ARGS ?=
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends
export OMP_NUM_THREADS := 1

.PHONY: help demo docs test lint clean distclean cp2k browser
# An environment that was not finished must not look finished, and apt and pip can't be run twice at once.
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@echo 'make demo       install what is missing and run the demonstration (DEMO_ARGS="--seed 2")'
	@echo 'make test       install what is missing, check style and types, run all tests with the real codes'
	@echo 'make lint       style and types only'
	@echo 'make docs       build the documentation into docs/_build/html'
	@echo 'make clean      remove caches and build products'
	@echo 'make distclean  also stop the daemon and remove .venv and .sis (the AiiDA profile with all its runs)'

demo: cp2k $(VENV)/.installed-codes
	$(VENV)/bin/aiida-sis demo $(DEMO_ARGS)

# Importing AiiDA makes its folder: here inside the environment, never in the user's home.
test: export PATH := $(abspath $(VENV))/bin:$(PATH)
test: export AIIDA_PATH := $(abspath $(VENV))
test: cp2k browser $(VENV)/.installed-tests
	ruff check .
	mypy
	pytest $(PYTEST_ARGS)

lint: export PATH := $(abspath $(VENV))/bin:$(PATH)
lint: export AIIDA_PATH := $(abspath $(VENV))
lint: $(VENV)/.installed-tests
	ruff check .
	mypy

docs: $(VENV)/.installed-tests
	$(VENV)/bin/python -m sphinx -W --keep-going -b html docs docs/_build/html

cp2k:
	@for name in cp2k.psmp cp2k.popt cp2k.ssmp cp2k.sopt cp2k; do \
	  if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	if ! command -v apt-get >/dev/null; then \
	  echo 'CP2K is missing and there is no apt-get: conda install -c conda-forge cp2k (see README.md)' >&2; exit 1; \
	fi; \
	if [ -n '$(SUDO)' ] && ! command -v sudo >/dev/null; then \
	  echo 'CP2K is missing and there is no sudo: as root, apt-get install cp2k cp2k-data openmpi-bin' >&2; exit 1; \
	fi; \
	echo 'Installing CP2K'; \
	$(SUDO) apt-get update -q; \
	$(SUDO) $(if $(SUDO),env) $(APT_INSTALL) cp2k cp2k-data openmpi-bin

# The tests look at the report in a real browser. Where there is none (Ubuntu's is a snap) they are skipped, except in CI.
browser:
	@if command -v chromedriver >/dev/null; then \
	  for name in chromium chromium-browser google-chrome; do \
	    if command -v $$name >/dev/null; then exit 0; fi; \
	  done; \
	fi; \
	for tool in apt-get $(SUDO); do \
	  if ! command -v $$tool >/dev/null; then \
	    echo "Chromium is missing and there is no $$tool: install chromium and chromedriver by hand" >&2; exit 0; \
	  fi; \
	done; \
	echo 'Installing Chromium'; \
	$(SUDO) apt-get update -q && $(SUDO) $(if $(SUDO),env) $(APT_INSTALL) chromium chromium-driver \
	  || echo 'Chromium could not be installed: install chromium and chromedriver by hand' >&2

# Debian and Ubuntu ship Python without venv.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo 'Python 3.10 or newer is needed: make PYTHON=python3.12 ...' >&2; exit 1; }
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
	  package=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	  for tool in apt-get $(SUDO); do \
	    if ! command -v $$tool >/dev/null; then \
	      echo "Python lacks its module venv and there is no $$tool: install $$package by hand" >&2; exit 1; \
	    fi; \
	  done; \
	  echo "Installing $$package"; \
	  $(SUDO) apt-get update -q; \
	  $(SUDO) $(if $(SUDO),env) $(APT_INSTALL) $$package; \
	fi
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-codes: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[codes]'
	touch $@

$(VENV)/.installed-tests: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[codes,tests]'
	touch $@ $(VENV)/.installed-codes

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache docs/_build
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -prune -exec rm -rf {} +

distclean: clean
	if [ -x $(VENV)/bin/verdi ] && [ -d .sis ]; then AIIDA_PATH=$(CURDIR)/.sis $(VENV)/bin/verdi daemon stop || true; fi
	rm -rf $(VENV) .sis
