# The commands; each makes the environment first if it is not there. PYTHON=python3.12 make setup picks an interpreter.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
CLIENTS := .compat/.prepared
# Tests start hundreds of processes, and every worker loads every test: without compiled modules each of them compiles
# all that it imports, a broker in 0.65 s of CPU instead of 0.4, and a worker collects in 25 s instead of 8.
export PYTHONDONTWRITEBYTECODE :=
# Processes that run tests: three for each core, since those with real clients (a half of them) mostly wait.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(3 * (os.cpu_count() or 1))')
# A worker that dies is not replaced: pytest-xdist gives the files of a dead worker to none when the others have been
# let go, and waits for them forever. So the run ends, and fails with the name of the test.
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

.PHONY: setup run cluster test portable kafka-tools programs engine-postgres examples compat lint wheel
.DEFAULT_GOAL := setup

setup: $(STAMP)

# The stamp is newer than pyproject.toml when the environment has what that file names.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Ottla needs Python 3.11 or newer; set PYTHON, for example: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

run: setup
	$(VENV)/bin/ottla serve --port 9092 --data ottla-data

# Three brokers with a database and a bucket, in ottla-cluster.
cluster: setup
	$(VENV)/bin/ottla cluster local

# All but tools/tidy, which `lint` runs.
test: setup $(CLIENTS)
	$(VENV)/bin/python -m pytest $(SPREAD) --ignore tools/tidy

# The same with every fast path of Linux off, as on a platform that has none of them.
portable: setup $(CLIENTS)
	OTTLA_PORTABLE=1 $(VENV)/bin/python -m pytest $(SPREAD)

# What clients in other languages need, as far as this machine has Java, Node.js and Go: tried once for each change of
# what it is made from. Scenarios skip a client that is not there, and say why.
$(CLIENTS): $(STAMP) $(wildcard $(addprefix compat_tests/clients/*/,pom.xml *.java package.json worker/*))
	@$(VENV)/bin/python -m compat_tests prepare || echo "the scenarios skip these clients"
	@mkdir -p $(@D) && touch $@

# The scenarios of Kafka's own command-line tools, which `test` leaves out.
kafka-tools: setup $(CLIENTS)
	$(VENV)/bin/python -m pytest -q compat_tests/scenarios --client kafka_tools

# What people run beside a broker, from Kafka Connect to Flink, which `test` leaves out.
programs: setup
	$(VENV)/bin/python -m compat_tests prepare programs
	$(VENV)/bin/python -m pytest -q -o faulthandler_timeout=1800 compat_tests/programs --programs

# All promises of a storage engine, kept over PostgreSQL; `test` tries a part of them.
engine-postgres: setup
	OTTLA_WHOLE_SUITES=1 $(VENV)/bin/python -m pytest -q storage/tests/object/test_conformance_postgres.py

# All examples, those that compile a client too; `test` runs the others.
examples: setup $(CLIENTS)
	OTTLA_EXAMPLES=1 $(VENV)/bin/python -m pytest -q -o faulthandler_timeout=3600 tools/tests/test_examples.py

# All scenarios, those of the tools too, and the matrix.
compat: setup $(CLIENTS)
	$(VENV)/bin/python -m pytest $(SPREAD) -q compat_tests/scenarios --all-clients

# Style, types, and the tests that keep the layering, the seams and the names.
lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -q tools/tidy

wheel: setup
	$(VENV)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
