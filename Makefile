# From a fresh checkout: `make quickstart` runs the whole product, `make test` its tests.

export VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install quickstart test contract upstreams lint types check chaos drills deployment env mutants bench bench-turns bench-scaling profile-turns lag trace audit book rotation observe-load fuzz screenshots assets clean

help:
	@echo 'make quickstart   run everything on this machine: no Docker, no root, no accounts'
	@echo '                  PORT=8000 HOST=127.0.0.1 DATA_DIR=.data'
	@echo 'make test         run the tests; ARGS="-k credits -x" goes to pytest'
	@echo "make upstreams    run LiteLLM's proxy as the chat model server; FULL=1: llama.cpp's, too, which is compiled first"
	@echo 'make lint         style, formatting, import directions'
	@echo 'make types        static types'
	@echo 'make check        lint, types and tests'
	@echo 'make chaos        500 generations while everything is struck again and again; SEED=7 repeats a run, SEEDS=5 makes five'
	@echo 'make drills       the long forms of tests: a process falls asleep or is killed in every statement, an outage of 30 s,'
	@echo '                  an upgrade with a million rows under load; ROWS=10000 takes fewer; full disks and failovers, for'
	@echo '                  which it must be root; WRITE=1 keeps their times in docs/disk-full.md and docs/failover.md'
	@echo 'make deployment   build the image and drive the Compose stack; needs a Docker Engine, or root on Debian to start'
	@echo '                  one. FULL=1: all of it, minutes; DEPLOYMENT=skip: not at all'
	@echo 'make contract     try the clients of docs/clients.md against the server. FULL=1: with large packages too, minutes'
	@echo 'make env          write .env with fresh secrets for Docker Compose; SIMULATOR=1: for a trial without vendors'
	@echo 'make mutants      show that the tests find each of a list of small defects; ARGS="one output" takes some of them'
	@echo 'make bench        measure the figures of docs/figures.md; fails if a requirement is missed'
	@echo 'make bench-turns  measure what a turn costs, beside servers that do as little as possible: docs/performance.md;'
	@echo '                  ARGS="--only product,twin,call-10 --rounds 1" takes less than a minute; ARGS=--write keeps the tables'
	@echo 'make bench-scaling  measure one, two and three API processes, one and two workers, and what a unit of work costs:'
	@echo '                  docs/scaling.md; ARGS=--write keeps the tables'
	@echo 'make profile-turns  show where the processor time of a turn goes; ARGS=--write keeps the tables'
	@echo 'make lag          measure how long a request of any shape keeps others waiting; ARGS="--only keys" takes some shapes'
	@echo 'make audit        write docs/dependencies.md: what the image installs, how old it is, its licences, what is known of it'
	@echo 'make book         run the commands of docs/operations.md, in their order, with processes in place of containers'
	@echo 'make rotation     change every secret as docs/rotation.md says while requests go on, and fail if one of them does'
	@echo 'make observe-load  have Prometheus watch minutes of load, and print which panel of the dashboard has how many series'
	@echo 'make trace        run a turn that has a picture made and print its trace; ARGS=--write keeps it in docs/tracing.md'
	@echo 'make fuzz         send everything that was made to break or to block the server, as large as it may be'
	@echo 'make screenshots  take pictures of every page of the console, light, dark and narrow, into .screenshots/'
	@echo 'make assets       fetch the viewer of 3D models for the console; needs npm, and the console does without it'
	@echo 'make install      only create .venv with everything that the above need'
	@echo 'make clean        remove the environments and caches, but no data'
	@echo
	@echo 'Each of them takes PYTHON=python3.13 VENV=.venv-3.13 to use another Python, in an environment of its own.'

install:
	@sh devstack/install.sh dev

# exec: make itself becomes the parent, so that everything ends when make ends, even if it is killed.
quickstart:
	@sh devstack/install.sh run
	@exec $(BIN)/python -m devstack quickstart --die-with-parent

test: install
	$(BIN)/pytest $(ARGS)

# Named, they are collected whether FULL is set or not.
upstreams: install
	$(BIN)/pytest -n 0 $(if $(FULL),tests/contract/upstreams/test_llama_cpp.py) tests/contract/upstreams/test_litellm.py $(ARGS)

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: install
	$(BIN)/mypy

check: lint types test

chaos: install
	$(BIN)/python -m chaos $(if $(SEED),--seed $(SEED)) $(if $(FULL),--seeds 5) $(if $(SEEDS),--seeds $(SEEDS))

drills: install
	FULL=1 $(BIN)/pytest -n 0 tests/faults/test_sleeping_processes.py tests/worker_faults/test_killed_senders.py tests/faults/test_limits.py tests/chat/turns/test_outages.py
	FULL=1 $(BIN)/pytest -n 0 -s tests/upgrades
	$(if $(WRITE),WRITE=1) FULL=1 $(BIN)/pytest -n 0 -s tests/drills tests/observe/test_reader.py

# One process: all tests use the same stack. The time limit of a test includes that of a build from nothing.
deployment: install
	$(BIN)/pytest -n 0 --timeout 1800 -m "deployment$(if $(FULL),, and not thorough)" tests/deployment $(ARGS)

contract: install
	$(if $(FULL),FULL=1) $(BIN)/pytest -n 0 tests/contract $(ARGS)

env:
	@sh deploy/make_env.sh $(if $(SIMULATOR),simulator)

mutants: install
	$(BIN)/python -m mutants $(if $(ARGS),"$(ARGS)")

bench: install
	$(BIN)/python -m bench

bench-turns: install
	$(BIN)/python -m bench.turn_cost $(ARGS)

bench-scaling: install
	$(BIN)/python -m bench.scaling $(ARGS)

profile-turns: install
	$(BIN)/python -m bench.turn_cost.profiling $(ARGS)

audit: install
	$(BIN)/python -m devstack.dependency_audit

book: install
	FULL=1 $(BIN)/pytest -n 0 -s tests/book $(ARGS)

observe-load: install
	$(BIN)/pytest -n 0 -s tests/observe/test_series.py $(ARGS)

rotation: install
	FULL=1 $(BIN)/pytest -n 0 -s tests/rotation $(ARGS)

trace: install
	$(BIN)/python -m bench.trace $(ARGS)

fuzz: install
	FULL=1 $(BIN)/pytest -n 0 --timeout 7200 tests/hostile tests/openapi $(ARGS)

lag: install
	$(BIN)/python -m bench.lag $(ARGS)

assets:
	@sh frontend/install.sh app/admin/static/vendor

screenshots: install
	mkdir -p .screenshots
	SCREENSHOTS="$(CURDIR)/.screenshots" $(BIN)/pytest --dist load --timeout 1200 tests/browser/pages $(ARGS)
	$(BIN)/python -m tests.browser.picture .screenshots/agents-light.png docs/console.png

clean:
	rm -rf .screenshots .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist frontend/node_modules app/admin/static/vendor
	find app worker simulator devstack chaos bench mutants migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +
