# `make demo` and `make test` install what is missing and can be repeated. See README.md.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Tests side by side; what is heavy goes first, so that the workers end together.
WORKERS ?= 2
PYTEST = pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
FRESH ?= bookworm trixie
# What the goals need of the system beside Python.
WANTED := $(if $(filter demo test,$(MAKECMDGOALS)),cp2k) $(if $(filter test,$(MAKECMDGOALS)),browser)
COMMA := ,
# The large files and the steps of pip, a line each, and its errors in full.
define PIP_INSTALL
@echo 'Installing the Python packages into $(VENV): a new one is 0.6 GB to download and 2.4 GB on the disk'
@$(VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar off -e '$(1)' | sed -un \
  -e 's/^ *\(Downloading\|Using cached\) \([^ ]*\) (\([0-9.]* MB\)).*/  \1 \2, \3/p' \
  -e 's/^ *\(Building wheel\|Running setup.py install\) for \([^ :]*\).* started$$/  Compiling \2/p' \
  -e 's/^Installing collected packages.*/  Unpacking, a few minutes/p'
endef
export OMP_NUM_THREADS := 1

.PHONY: help demo docs test check test-fresh test-pytorch test-services lint clean distclean system
# An environment that was not finished must not look finished, and apt and pip can't be run twice at once.
.DELETE_ON_ERROR:
.NOTPARALLEL:

help:
	@echo 'make demo       install what is missing and run the demonstration (DEMO_ARGS="--seed 2")'
	@echo 'make test       install what is missing, check style and types, run all tests with the real codes'
	@echo 'make test-fresh build a bare Debian 12 and 13 and try the demonstration there (FRESH="trixie")'
	@echo 'make test-pytorch  the PyTorch backend in .venv-pytorch: 2.5 GB to download, not part of make test'
	@echo 'make test-services  a Slurm on this machine alone and runs through it, not part of make test (needs root)'
	@echo 'make check      style, types and the fast tests: those without real codes, programs of their own and a browser'
	@echo 'make lint       style and types only'
	@echo 'make docs       build the documentation into docs/_build/html'
	@echo 'make clean      remove caches and build products'
	@echo 'make distclean  also stop the daemon and remove .venv, .venv-pytorch and .sis (the AiiDA profile with all its runs)'

demo: system $(VENV)/.installed-codes
	$(VENV)/bin/aiida-sis demo $(DEMO_ARGS)

# Importing AiiDA makes its folder: here inside the environment, never in the user's home.
test check lint: export PATH := $(abspath $(VENV))/bin:$(PATH)
test check lint: export AIIDA_PATH := $(abspath $(VENV))
test: system lint
	$(PYTEST) $(PYTEST_ARGS)

check: lint
	$(PYTEST) -m 'not real and not slow' $(PYTEST_ARGS)

# The one goal that needs PyTorch, in an environment of its own.
test-pytorch:
	@scripts/test_pytorch.sh $(PYTHON) .venv-pytorch $(PYTEST_ARGS)

# Clusters as its users have them, on the loopback address.
test-services: export PATH := $(abspath $(VENV))/bin:$(PATH)
test-services: export AIIDA_PATH := $(abspath $(VENV))
test-services: system $(VENV)/.installed-tests
	@folder=$$(mktemp -d /tmp/slurm.XXXXXX); trap "tests/services/slurm.sh stop $$folder" EXIT; \
	tests/services/slurm.sh start $$folder; SLURM_CONF=$$folder/slurm.conf pytest tests/services $(PYTEST_ARGS)

lint: $(VENV)/.installed-tests
	ruff check .
	ruff format --check .
	mypy

docs: $(VENV)/.installed-tests
	$(VENV)/bin/python -m sphinx -W --keep-going -b html docs docs/_build/html

# One look at what the system lacks, and one call of apt.
system:
	@scripts/system_packages.sh $(PYTHON) $(WANTED)

$(VENV)/bin/python: | system
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-codes: pyproject.toml | $(VENV)/bin/python
	$(call PIP_INSTALL,.[codes])
	touch $@

$(VENV)/.installed-tests: pyproject.toml | $(VENV)/bin/python
	$(call PIP_INSTALL,.[codes$(COMMA)tests])
	touch $@ $(VENV)/.installed-codes

# Build a bare Debian, clone this commit into it, do what README says. As root; see the script for its settings.
test-fresh:
	@scripts/fresh_debian.sh $(FRESH)

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache docs/_build
	find . -name __pycache__ -not -path './$(VENV)/*' -type d -prune -exec rm -rf {} +

distclean: clean
	if [ -x $(VENV)/bin/verdi ] && [ -d .sis ]; then AIIDA_PATH=$(CURDIR)/.sis $(VENV)/bin/verdi daemon stop || true; fi
	rm -rf $(VENV) .venv-pytorch .sis
