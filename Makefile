# Every command a person needs; `make` alone lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= ../shared/data

.PHONY: help setup lock demo test services outage test-data crash storm drill check format bench bench-log bench-queries bench-rivals bench-sinks docs tour clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## Make .venv with the pinned dependencies and K2 itself

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "K2 needs Python 3.11 or newer, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

lock: ## Pin the dependencies anew (needs uv)
	uv pip compile --quiet pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 \
	    --no-annotate --no-header --no-emit-index-url --output-file requirements.lock

demo: setup ## Generate a market, load it, ingest it, compare with what was injected
	$(BIN)/python demo/run.py

test: setup ## Every test that needs nothing outside the repository
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not real_data and not services"

services: setup ## Tests on real servers (Kafka, registry, S3, PostgreSQL, REST catalog); installs what is missing (as root)
	tests/services/install.sh
	$(BIN)/python -m tests.services.artifacts
	K2_TEST_DATA="$${K2_TEST_DATA:-$(DATA)}" $(BIN)/python -m pytest -n 2 -m services tests/services

outage: setup ## Ten minutes without S3 while production goes on: the worker's memory over time, nothing lost
	$(BIN)/python -m tests.services.lakes.outage

test-data: setup ## The tests on real exchange files (K2_TEST_DATA, default ../shared/data)
	K2_TEST_DATA="$${K2_TEST_DATA:-$(DATA)}" $(BIN)/python -m pytest -m real_data

crash: setup ## The long storm: a million rows, the worker killed 100 times
	$(BIN)/python tests/storm/crash.py

storm: setup ## The long storm on a real Kafka: three workers hit 60 times, brokers lost (needs Java; half an hour)
	$(BIN)/python -m tests.services.artifacts
	$(BIN)/python -m tests.services.storm

drill: setup ## Break a worker under load on purpose: which alert fires, and how it recovers (three minutes)
	tests/services/install.sh
	$(BIN)/python -m tests.services.artifacts
	$(BIN)/python -m tests.services.drill

check: setup ## Formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: bench-log bench-queries ## Measure everything; prints tables, writes bench-out/ (half an hour)

bench-log: setup ## Measure loader and worker on both logs (Kafka needs Java)
	$(BIN)/python bench/csv_to_log.py
	$(BIN)/python bench/log_to_lake.py

bench-queries: setup ## Measure queries, replay and serving on a lake of 10 million trades
	$(BIN)/python bench/serving.py
	$(BIN)/python bench/bars.py
	$(BIN)/python bench/replay.py
	$(BIN)/python bench/busy.py

bench-rivals: setup ## The same questions to ArcticDB and chDB, in an environment of their own (ten minutes)
	$(PYTHON) -m venv bench-out/rivals
	bench-out/rivals/bin/python -m pip install --quiet --disable-pip-version-check -r bench/rivals.txt
	bench-out/rivals/bin/python bench/rivals.py --python $(BIN)/python

bench-sinks: setup ## Kafka to lake beside Iceberg's Connect sink and Quix Streams (needs Java and Maven)
	$(PYTHON) -m venv bench-out/sinks-env
	bench-out/sinks-env/bin/python -m pip install --quiet --disable-pip-version-check -r bench/sinks.txt
	$(BIN)/python bench/sinks.py

docs: setup ## Write the generated pages of docs/, the client's methods, and Grafana's dashboards
	$(BIN)/python docs/settings_page.py
	$(BIN)/python docs/metrics_page.py
	$(BIN)/python docs/client_methods.py
	$(BIN)/python docs/cli_page.py
	$(BIN)/python docs/http_page.py
	$(BIN)/python docs/data_dictionary.py
	$(BIN)/python docs/rooms.py
	$(BIN)/python deploy/grafana/dashboards.py

tour: setup ## Follow the README's first minutes in a fresh home, and write docs/tour.md
	$(BIN)/python docs/tour.py

clean: ## Remove what was generated; the virtual environment stays
	rm -rf demo-out bench-out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
