# The one task runner. `make demo` and `make test` set up all they need in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq
# Compiled programs are kept on disk, so that a second run does not compile again.
CACHE  := JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.cache/jax JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
DEMO   ?= examples/ieee14.py
WORKERS ?= 2
BENCHMARKS := unconstrained newton_cg nist cross_entropy sensitivity lasso sparse_hessian spectrum proofs \
	accuracy audit sweep numerics twofold convexity smoothness enclose_widths lipschitz soundness mutations throughput

.PHONY: help demo test lint types docs unit printed bench lock clean
help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# --no-build-isolation: the build backend, too, is the one that constraints.txt pins.
$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt hatchling editables
	$(PIP) install -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev,bench]'
	@touch $@

$(VENV)/.peers: $(VENV)/.dev
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev,bench,peers]'
	@touch $@

demo: $(VENV)/.demo ## least-cost dispatch of the IEEE 14-bus network, with prices and certificate
	$(BIN)/karush solve $(DEMO)

test: lint types docs unit ## everything that must pass

lint: $(VENV)/.dev ## ruff: rules and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## the type checker
	$(BIN)/basedpyright --pythonpath $(BIN)/python --level error

# Not --quiet: it hides warnings from --strict, which then passes.
docs: $(VENV)/.dev ## the pages, strictly: a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir .cache/site

unit: $(VENV)/.dev ## pytest
	$(CACHE) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

printed: $(VENV)/.dev ## write what the pages' examples print now into the pages
	$(CACHE) $(BIN)/python tests/pages.py

bench: $(VENV)/.peers ## all benchmarks, beside other packages; writes benchmarks/results
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.report
	for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

lock: ## rewrite constraints.txt from the newest versions that the ranges allow
	rm -rf .cache/lock && $(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip --disable-pip-version-check --quiet install hatchling editables -e '.[dev,bench,peers]'
	{ echo "# Written by 'make lock': the exact versions that make demo and make test install."; \
	  .cache/lock/bin/python -m pip freeze --all --exclude-editable --exclude pip --exclude karush; } > constraints.txt

clean: ## remove what make made
	rm -rf $(VENV) .cache
