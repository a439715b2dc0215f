# One command a task; CONTRIBUTING.md says which. Everything that is installed goes to $(CACHE),
# keyed by what it was made from, never into the checkout.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
# Without byte code, which images of Python like to switch off, each start of dag reads all sources.
unexport PYTHONDONTWRITEBYTECODE

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/dag
VENV = $(shell scripts/venv --print)
# Absolute, because tests start processes elsewhere.
PY = PYTHONPATH='$(CURDIR)/src:$(CURDIR)' $(VENV)/bin/python

.PHONY: help venv format lint unit golden errors test bare real torture bench demo demo-kubernetes lock release docs

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

venv: ## the Python environment with the locked dependencies
	@scripts/venv

format: venv ## rewrite the sources in the project's format
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

lint: venv ## ruff, mypy, import-linter, shellcheck
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	PYTHONPATH=src $(VENV)/bin/lint-imports
	$(VENV)/bin/shellcheck $$(find src -name '*.sh') $$(grep -lE '^#!.*sh$$' scripts/* .ci/* .github/actions/*/*)

unit: venv ## the quick tests that need no cluster, no network and nothing to be installed
	DAG_NO_INSTALL=1 DAG_QUICK=1 $(PY) -m pytest -q -n 4 -m "not installs and not long"

golden: venv ## write the files anew that tests compare with: help, manifests, pages that are made
	$(PY) -m pytest -q --golden $$(grep -rl --include='test_*.py' 'golden: Golden' tests)

errors: venv ## write docs/errors.md anew, from all errors that tests of the command line and of builds see
	$(PY) -m pytest -q -n 2 tests/cli tests/run/build tests/run/doctor tests/run/jobs --errors-anew

test: lint ## everything, on the real Kubernetes: what CI runs
	$(PY) -m cluster prepare
	$(PY) -m pytest -n 5 --dist loadgroup --no-loadscope-reorder

bare: venv ## what README.md tells a newcomer to type, typed on a bare machine
	@$(PY) -m tests.bare

real: venv ## definitions of Wolfi with their real sources and a real compiler, built in several ways
	@$(PY) -m tests.real

torture: venv bare ## 300 packages, dag build killed 20 times; long real builds; new examples for the property tests; every parser fuzzed; bare
	$(PY) -m tests.torture
	$(PY) -m tests.real --set long
	$(PY) -m tests.fuzz --seconds 600
	DAG_EXPLORE=1 $(PY) -m pytest tests/core
	DAG_EXPLORE=1 $(PY) -m pytest -m torture tests/melange tests/cluster

bench: venv ## how fast it is, as ratios against peers; fails if one is over its limit
	@failed=; for bench in bench/*.py; do \
		echo "== $$bench"; $(PY) $$bench || failed="$$failed $$bench"; \
	done; [ -z "$$failed" ] || { echo "over a limit:$$failed" >&2; exit 1; }

demo: venv ## build the example distribution on this machine
	@$(PY) -m examples.demo

demo-kubernetes: venv ## build it as Jobs of a real Kubernetes on this machine
	@scripts/demo-kubernetes

docs: venv ## the documentation as a site in build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build

release: venv ## the wheel, the source archive and an SBOM in dist/, built twice, compared and tried
	@$(PY) -m publish.release

lock: venv ## write both lock files anew from pyproject.toml: ours, and that of the agent's image
	$(VENV)/bin/uv pip compile pyproject.toml --group dev --generate-hashes --universal \
		--python-version 3.11 --no-header -q -o requirements.lock
	$(VENV)/bin/uv pip compile pyproject.toml --constraint requirements.lock --generate-hashes \
		--universal --python-version 3.11 --no-emit-package uv --no-header --no-annotate -q \
		-o src/dag/agent.lock
