# Everything needs Python 3.11 or newer, git and make; the rest is fetched into .tools and .venv.

PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
UV := scripts/uv.sh
BIN := .venv/bin
ARGS ?=
# An environment holds absolute paths; its stamp says for which folder it was made.
MOVED := $(shell test -s .venv/.core && ! grep -qxF '$(CURDIR)' .venv/.core && echo moved)

export UV_PYTHON_DOWNLOADS := never
export VIRTUAL_ENV := $(CURDIR)/.venv

.DEFAULT_GOAL := help
.PHONY: help demo test nightly lint wheel web bench lock clean moved

help:
	@echo "make demo    serve examples/docs-assistant and stream one answer"
	@echo "make test    everything that CI checks; ARGS='-k name' goes to pytest"
	@echo "make nightly 200,000 random cases of redaction, and the fuzzers at length; some minutes"
	@echo "make web     the playground's files in the package, and the TypeScript client, from web/"
	@echo "make lint    ruff, pyright, import-linter"
	@echo "make bench   the figures of docs/performance.md, measured here"
	@echo "make lock    resolve requirements.lock anew"
	@echo "make clean   remove what make has made"

demo: .venv/.demo
	@$(BIN)/python scripts/demo.py

test: .venv/.dev
	scripts/test-deps.sh
	$(MAKE) --no-print-directory lint wheel
	$(BIN)/pytest -n 2 $(ARGS)

nightly: .venv/.dev
	$(BIN)/python -m tests.policy.redaction_cases 200000
	$(BIN)/pytest -m nightly

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

wheel: .venv/.dev
	scripts/check-wheel.sh

web:
	cd web && npm ci --no-audit --no-fund --loglevel=error && npm run build && npm run build:client

bench: .venv/.dev
	$(BIN)/python benchmarks/run.py --table $(ARGS)

lock: .tools/bin/uv
	$(UV) pip compile -q --universal --generate-hashes --no-annotate --no-header \
		--group dev --extra all pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .tools dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.tools/bin/uv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install -q --disable-pip-version-check 'uv>=0.9'

# dockrion and its own dependencies, in the versions of the lock.
.venv/.core: pyproject.toml requirements.lock $(MOVED) | .tools/bin/uv
	@test -z '$(MOVED)' && test -f .venv/pyvenv.cfg && $(BIN)/python -c '' 2>/dev/null || \
		{ rm -rf .venv && $(UV) venv -q --python $(PYTHON) .venv; }
	$(UV) pip install -q -c requirements.lock -e .
	@echo '$(CURDIR)' >$@

# What the demo needs, too.
.venv/.demo: .venv/.core examples/docs-assistant/requirements.txt
	$(UV) pip install -q -c requirements.lock -r examples/docs-assistant/requirements.txt
	@touch $@

# The extras, the tests and the linters too.
.venv/.dev: .venv/.core
	$(UV) pip install -q --require-hashes -r requirements.lock
	@touch $@
