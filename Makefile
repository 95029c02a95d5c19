# Everything a developer runs. Each target makes the environment it needs; nothing but
# Python (3.11 or later) and make has to be there.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-pyproject
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster docs types test test-all lint fmt unit soak soak-cluster bench bench-quick bench-users bench-peers bench-durable bench-frameworks bench-pauses bench-cluster bench-operators dist dist-tls wheel test-dist bench-dist test-api test-browser screenshots clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("MagicQueue needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Say which to use: make PYTHON=/path/to/python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@$(BIN)/python -m pip uninstall --quiet --yes magicqueue 2>/dev/null  # its name until 0.1
	$(BIN)/python -m pip install --quiet --editable ".[array,cli,server]" --group test --group lint --group docs
	@touch $@

demo: ## Start a server and run real work through it, in under a minute (in .venv-demo)
	@test -d $(VENV)-demo || $(PYTHON) -m venv $(VENV)-demo
	@$(VENV)-demo/bin/python -m pip install --quiet --disable-pip-version-check ".[cli,server]"
	@$(VENV)-demo/bin/python -m magicqueue.demo $(ARGS)

demo-cluster: $(STAMP) ## Kill an owner and a primary of three servers with one log in PostgreSQL (1 minute)
	@PYTHONPATH=tests $(BIN)/python -m cluster.demo $(ARGS)

test: lint docs unit ## Check style, types, import contracts and the docs, then run all tests

unit: $(STAMP) ## Run the tests alone (ARGS="-k name" picks some)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(ARGS)

soak: $(STAMP) ## Run the long tests: a thousand kills and power cuts, many seeds (an hour)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow $(ARGS)

soak-cluster: $(STAMP) ## Run the long tests of a log in PostgreSQL: kills, pauses, partitions, wrong clocks (an hour)
	$(BIN)/python -m pytest -m slow tests/cluster tests/wal/test_store.py $(ARGS)

bench-durable: $(STAMP) ## Push with a sync before each reply, beside Redis and beanstalkd; what the log costs
	$(BIN)/python -m benchmarks.durable $(ARGS)
	$(BIN)/python -m benchmarks.log_costs $(ARGS)

lint: $(STAMP) ## Check style, types and import contracts
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports

types: $(STAMP) ## Have pyright say whether the public API's types are all written down (1 minute)
	$(BIN)/python -m pytest -q tests/typing/test_public_api.py -m slow

docs: $(STAMP) ## Build the documentation, strictly, into build/site (10 seconds)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

test-all: ## Run the tests on every supported Python found (3.11, 3.12, 3.13)
	@found=0; for version in 3.11 3.12 3.13; do \
	  python=$$(for p in $$(command -v python$$version) $$HOME/.pyenv/versions/$$version*/bin/python; do \
	    "$$p" -c "import sys; sys.exit(sys.version_info[:2] != tuple(map(int, '$$version'.split('.'))))" 2>/dev/null && echo "$$p" && break; done); \
	  if [ -z "$$python" ]; then echo "== Python $$version: not found, skipped"; continue; fi; \
	  echo "== Python $$version: $$python"; found=1; \
	  $(MAKE) --no-print-directory test PYTHON="$$python" VENV=.venv-$$version || exit 1; \
	done; test $$found = 1 || { echo "no supported Python found"; exit 1; }

fmt: $(STAMP) ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.made-from-pyproject

$(BENCH_STAMP): pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BENCH)/bin/python -m pip install --quiet --editable ".[array,cli,server]" --group bench
	@touch $@

bench: $(BENCH_STAMP) ## Compare the cores, then what users see: tables, targets, plots (30 minutes)
	$(BENCH)/bin/python -m benchmarks.run $(ARGS)

bench-quick: $(BENCH_STAMP) ## The same with small sizes, to see that all runs (4 minutes)
	$(BENCH)/bin/python -m benchmarks.run --quick $(ARGS)

bench-users: $(BENCH_STAMP) ## What users see, with its targets: single commands, logs, clients (20 minutes)
	$(BENCH)/bin/python -m benchmarks.users $(ARGS)

bench-peers: $(BENCH_STAMP) ## Compare with beanstalkd and Redis, in turn (5 minutes)
	$(BENCH)/bin/python -m benchmarks.peers $(ARGS)

bench-pauses: $(BENCH_STAMP) ## How long a PING takes beside floods and commands on a million jobs (5 minutes)
	$(BENCH)/bin/python -m benchmarks.pauses $(ARGS)

bench-cluster: $(BENCH_STAMP) ## Compare a log in PostgreSQL with a local one and with rows, in turn (10 minutes)
	$(BENCH)/bin/python -m benchmarks.cluster $(ARGS)

bench-operators: $(BENCH_STAMP) ## What REST, scrapes, an open dashboard and TLS cost the server (10 minutes)
	$(BENCH)/bin/python -m benchmarks.operators $(ARGS)

FRAMEWORKS := .venv-frameworks
FRAMEWORKS_STAMP := $(FRAMEWORKS)/.made-from-pyproject

$(FRAMEWORKS_STAMP): pyproject.toml
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(FRAMEWORKS)/bin/python -m pip install --quiet --editable ".[array]" --group frameworks
	@touch $@

bench-frameworks: $(FRAMEWORKS_STAMP) ## Compare tasks with Celery, Dramatiq, RQ, taskiq, arq, saq, procrastinate
	$(FRAMEWORKS)/bin/python -m benchmarks.frameworks $(ARGS)

DIST := .venv-dist
DIST_STAMP := $(DIST)/.made-from-pyproject

$(DIST_STAMP): pyproject.toml
	$(PYTHON) -m venv --clear $(DIST)
	$(DIST)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(DIST)/bin/python -m pip install --quiet ".[cli,server]" --group build
	@touch $@

dist: $(DIST_STAMP) ## Build the executables and the platform wheel, into dist/ (5 minutes)
	$(DIST)/bin/python packaging/dist.py $(ARGS)

dist-tls: $(DIST_STAMP) ## Build the executables with TLS in them, beside those without (5 minutes)
	$(DIST)/bin/python packaging/dist.py --tls $(ARGS)

wheel: $(DIST_STAMP) ## Build the wheel with compiled kernels alone, into dist/ (1 minute)
	$(DIST)/bin/python packaging/dist.py --wheel-only

SOCKET_TESTS := $(addprefix tests/server/test_,process.py sockets.py listening.py) \
  $(addprefix tests/client/test_,queue.py queue_pulls.py sync_queue.py)

test-dist: $(STAMP) ## Test what is in dist/, where no Python can be reached (3 minutes)
	@ls dist/magicqueue-*-linux-*/magicqueue >/dev/null 2>&1 || { echo "nothing in dist/: run make dist first"; exit 1; }
	MAGICQUEUE_TEST_EXECUTABLE=$$(ls -d $(CURDIR)/dist/magicqueue-*-linux-*/magicqueue) \
	  $(BIN)/python -m pytest tests/dist $(SOCKET_TESTS) $(ARGS)

bench-dist: ## Compare what is in dist/ with the package, under the same Python (2 minutes)
	$(DIST)/bin/python -m benchmarks.executables $(ARGS)

API := .venv-api
API_STAMP := $(API)/.made

$(API_STAMP): pyproject.toml
	$(PYTHON) -m venv --clear $(API)
	$(API)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(API)/bin/python -m pip install --quiet --group api
	@touch $@

test-api: $(STAMP) $(API_STAMP) ## Have schemathesis ask all that the OpenAPI document offers (1 minute)
	PYTHONPATH=tests $(BIN)/python tests/http/run_schemathesis.py $(API)/bin/schemathesis $(ARGS)

test-browser: $(STAMP) ## Test the dashboard in Chromium (apt-get install chromium, npm): every view, axe-core
	$(BIN)/python -m pip install --quiet --group browser
	@command -v chromium >/dev/null || { echo "there is no chromium: apt-get install chromium"; exit 1; }
	@mkdir -p build/axe && cd build/axe && npm pack --silent axe-core@4.11.4 >/dev/null && tar xzf axe-core-4.11.4.tgz
	MAGICQUEUE_AXE=$(CURDIR)/build/axe/package/axe.min.js $(BIN)/python -m pytest tests/http/test_dashboard.py $(ARGS)

screenshots: $(STAMP) ## Take pictures of the dashboard, into build/screenshots (2 minutes)
	$(BIN)/python -m pip install --quiet --group browser
	@command -v chromium >/dev/null || { echo "there is no chromium: apt-get install chromium"; exit 1; }
	PYTHONPATH=tests $(BIN)/python tests/http/run_screenshots.py build/screenshots

clean: ## Remove environments and caches
	rm -rf .venv .venv-* build dist .asv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
