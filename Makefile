# Everything is run through the virtual environment in .venv, which `make` sets up by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := .venv-lowest
NAME ?= sovereign
LEVEL ?= control-plane
ARGS ?=
REPORTS := build/reports
WORKERS ?= 2
SEED ?= $(shell date +%s)
FAULTS ?= 1000

.DEFAULT_GOAL := help
.PHONY: help demo demo-down test bench bench-smoke chaos fuzz e2e threats e2e-requirements test-unit test-lowest check format crds chart docs lock cluster-up cluster-down testbed-conformance clean

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[36m%-20s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml requirements/dev.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## Show it all: LEVEL=control-plane (fake GPU nodes) or LEVEL=nodes (Linux, root); ARGS=--once ends by itself
	$(BIN)/python -m testbed.demo --level $(LEVEL) $(ARGS)

demo-down: $(STAMP) ## Remove what the demo started, at either level (ARGS="--name ...")
	$(BIN)/python -m testbed.demo --down $(ARGS)

test: $(STAMP) check ## Lint, type-check and run every test, on a control plane of its own
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term:skip-covered --junitxml=$(REPORTS)/tests.xml $(ARGS)

bench: $(STAMP) ## Measure everything, write docs/benchmarks.md and check the goals; with ARGS="--only storm" a part, into build/bench
	@done=0; $(BIN)/python -m bench run $(ARGS) || done=1; \
	$(BIN)/python -m bench report --out $(if $(ARGS),build/bench,docs) || done=1; \
	$(BIN)/python -m bench check || done=1; exit $$done

bench-smoke: $(STAMP) ## Run every bench at a small size, in some two minutes, and hold the results against wide ranges
	@done=0; $(BIN)/python -m bench run --shared --size 20 --pairs 1 --tolerance 1 --rivals go,stock --out build/bench/smoke.json $(ARGS) || done=1; \
	$(BIN)/python -m bench check build/bench/smoke.json --ranges smoke || done=1; exit $$done

chaos: $(STAMP) ## Break everything around the operator, at random: FAULTS=1000 takes a quarter of an hour; SEED= repeats a run
	$(BIN)/python -m testbed.chaos --seed $(SEED) --faults $(FAULTS) $(ARGS)

fuzz: $(STAMP) ## Fuzz for some minutes: references, networks, CEL, bad input (SEED=... repeats a run)
	@echo "SEED=$(SEED)"
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=fuzz --hypothesis-seed=$(SEED) $(ARGS)

e2e: $(STAMP) ## Run the end-to-end tests: real nodes, a real model (root on Linux, or E2E_KUBECONFIG)
	$(BIN)/python -m pytest e2e --junitxml=$(REPORTS)/e2e.xml $(ARGS)

threats: $(STAMP) ## Check that the tests the threat model names ran and passed, after `make test` and `make e2e`
	$(BIN)/python -m tests.security.threats $(wildcard $(REPORTS)/*.xml)

e2e-requirements: $(STAMP) ## Install what real nodes need on this machine (Debian, as root)
	$(BIN)/python -m testbed requirements --install

test-unit: $(STAMP) ## Run the tests that need no cluster
	$(BIN)/python -m pytest -m "not integration" $(ARGS)

test-lowest: $(STAMP) ## Run the tests that need no cluster with the lowest versions that pyproject.toml allows
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(BIN)/uv pip sync --quiet --python $(LOWEST)/bin/python --require-hashes requirements/lowest.lock
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --no-deps --no-build-isolation -e .
	$(LOWEST)/bin/python -m pytest -m "not integration" -n $(WORKERS) $(ARGS)

check: $(STAMP) ## Lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m sovereign.api.crd crds --check
	$(BIN)/python -m charts.sync --check
	$(BIN)/python -m sovereign.cli.reference docs/reference --check

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

crds: $(STAMP) ## Generate crds/ from the pydantic models
	$(BIN)/python -m sovereign.api.crd crds

docs: $(STAMP) ## Generate docs/reference
	$(BIN)/python -m sovereign.cli.reference docs/reference

chart: crds ## Bring the chart and manifests/install.yaml up to date
	$(BIN)/python -m charts.sync

lock: $(STAMP) ## Resolve the locked dependencies anew
	$(BIN)/uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 --no-strip-extras --no-annotate --no-header --upgrade -o requirements/dev.lock
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.11 --no-strip-extras --no-annotate --no-header --upgrade -o requirements/run.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --resolution lowest-direct --generate-hashes --python-version 3.11 --no-strip-extras --no-annotate --no-header --upgrade -o requirements/lowest.lock
	echo 'hatchling>=1.27' | $(BIN)/uv pip compile - --generate-hashes --universal --python-version 3.11 --no-strip-extras --no-annotate --no-header --upgrade -o requirements/build.lock

cluster-up: $(STAMP) ## Start a control plane with fake GPU nodes (NAME=...)
	$(BIN)/python -m testbed up --name $(NAME) $(ARGS)

cluster-down: $(STAMP) ## Stop it and leave nothing behind
	$(BIN)/python -m testbed down --name $(NAME)

testbed-conformance: $(STAMP) ## Check the test bed itself against the upstream NetworkPolicy suite, some 9 minutes (needs root)
	$(BIN)/python -m testbed conformance $(ARGS)

clean: ## Remove the virtual environment and caches in the tree
	rm -rf $(VENV) $(LOWEST) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* build dist
