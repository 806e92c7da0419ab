# Needs make and python3 (3.11 or 3.12; 3.10 without the lock), no root. Everything is installed into .venv, once.
#   make demo           corpus, features, training and music for the test dances, from the weights that ship, if any
#   make demo-scratch   the same with everything trained from nothing
#   make test           the tests
#   make test PYTEST_ARGS="tests/metrics -k beats"      some of them
#   make test-all       with the slow ones
#   make coverage       the tests, and how much of the package they reach: half as long again
#   make weights        trains the bundled model from nothing: some hours on two cores (WEIGHTS_ARGS="-o FOLDER …")
#   make lint           ruff and mypy
#   make docs           the documentation, as a site in site/
#   make bench          the published procedure against ours, half an hour on two cores
#   make bench-quick    the same in small, minutes      make bench BENCH_ARGS="--only training"
#   make venv           only the installation   make venv PYTHON=/path/to/python3.11
#   make venv VERSIONS="torch==2.6.0 torchaudio==2.6.0 torchvision==0.21.0 xformers==0.0.29.post3"   without the lock, in these
#   make dist           wheel and source distribution, in dist/
#   make clean          removes .venv and caches; outputs/ stays

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
WEIGHTS_ARGS ?=
VERSIONS ?=
TEST_WORKERS ?= 2

# All tests: side by side. Those that PYTEST_ARGS names: plainly.
PYTEST := $(BIN)/python -m pytest --durations=15
EVERYTHING := --numprocesses=$(TEST_WORKERS) --dist=loadfile --no-loadscope-reorder

# Packages whose own requirements cannot be met together (pyproject.toml says why), and the torch they were tried with.
UNRESOLVABLE := audiocraft|xformers
TORCH := torch|torchaudio|torchvision
BUILD := editables|hatchling|packaging|pathspec|pluggy|setuptools|trove-classifiers|wheel

PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check --no-input install
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help venv demo demo-scratch test test-all coverage bench bench-quick weights lint docs dist clean
help:
	@sed -n 's/^#  *make/make/p' Makefile

venv: $(STAMP)

demo: $(STAMP)
	$(BIN)/pn-diffusion demo

demo-scratch: $(STAMP)
	$(BIN)/pn-diffusion demo --from-scratch

test: $(STAMP)
	$(PYTEST) -m "not slow" $(or $(PYTEST_ARGS),$(EVERYTHING))

test-all: $(STAMP)
	$(PYTEST) $(or $(PYTEST_ARGS),$(EVERYTHING))

coverage: $(STAMP)
	$(PYTEST) -m "not slow" --cov --cov-fail-under=95 $(or $(PYTEST_ARGS),$(EVERYTHING))

bench: $(STAMP)
	$(BIN)/python -m benchmarks.bench $(BENCH_ARGS)

bench-quick: $(STAMP)
	$(BIN)/python -m benchmarks.bench --quick $(BENCH_ARGS)

weights: $(STAMP)
	$(BIN)/python -m pn_diffusion_plugin.apps.weights $(WEIGHTS_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy

dist: $(STAMP)
	$(BIN)/python -m hatchling build

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The first of these that is a Python 3.11 or 3.12, else a 3.10. With PYTHON=…, only that one.
define choose_python
python=''; seen=''; \
for kind in locked unlocked; do for candidate in $(or $(PYTHON),python3 python3.11 python3.12 python3.10 python); do \
	found=$$("$$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found='not there'; \
	case "$$kind" in locked) seen="$$seen $$candidate ($$found)";; esac; \
	case "$$found" in 3.11|3.12) wanted=locked;; 3.10) wanted=unlocked;; *) wanted='';; esac; \
	if test -z "$$python" && test "$$wanted" = "$$kind"; then python=$$candidate; version=$$found; fi; \
done; done; \
if test -z "$$python"; then \
	echo "None of these is a Python 3.10, 3.11 or 3.12:$$seen. Install Python 3.11" \
		"or name one: make venv PYTHON=/path/to/python3.11" >&2; exit 1; fi
endef

# A .venv that works is brought up to date; one that is broken, or of another Python, is made anew.
define make_venv
if test "$$($(BIN)/python -c 'import sys, pip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" != "$$version"; then \
	"$$python" -m venv --clear $(VENV) >/dev/null 2>&1 \
	|| { "$$python" -m venv --clear --without-pip $(VENV) \
		&& "$$python" -m pip --quiet --python $(BIN)/python install pip; } \
	|| { echo "$$python can make no virtual environment: it lacks venv, or ensurepip and pip." \
		"Install them (Debian, Ubuntu: the package python$$version-venv)" \
		"or name another: make venv PYTHON=/path/to/python3.11" >&2; exit 1; }; \
fi
endef

$(STAMP): requirements.lock pyproject.toml
	@$(choose_python); $(make_venv); \
	rm -f $@; \
	case $$version$(if $(strip $(VERSIONS)),-chosen) in \
	3.11|3.12) \
		echo "Installing the versions of requirements.lock into $(VENV), Python $$version: some minutes, 7 GB"; \
		$(PIP) --no-deps $$(grep -E '^($(BUILD))==' requirements.lock) \
		&& $(PIP) --no-deps --no-build-isolation -r requirements.lock \
		&& $(PIP) --no-deps --no-build-isolation --editable . ;; \
	*) \
		echo "Installing what pyproject.toml allows, Python $$version ($$python), in versions that were not" \
			"tried together: requirements.lock is for Python 3.11 and 3.12" \
			"(make venv PYTHON=/path/to/python3.11) without VERSIONS"; \
		printf '%s\n' $(or $(VERSIONS),$$(grep -E '^($(TORCH))==' requirements.lock)) > $(VENV)/constraints.txt \
		&& $(PIP) --constraint $(VENV)/constraints.txt --editable '.[dev]' \
		&& $(PIP) --no-deps $$(grep -E '^($(UNRESOLVABLE))==' requirements.lock) \
		$(patsubst %,&& $(PIP) --no-deps %,$(filter $(addsuffix ==%,$(subst |, ,$(UNRESOLVABLE))),$(VERSIONS))) ;; \
	esac
	@touch $@
