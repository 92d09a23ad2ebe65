# Two commands set everything up on a machine that has Python >= 3.11, make and git:
#
#   make demo      a commit becomes a served token, step by step (STAY=1 keeps it up)
#   make test      everything that CI runs
#
# Each goes through tools/environment.py, which builds the pinned environment once and runs its Python on this checkout.

PYTHON ?= python3
RUN := $(PYTHON) tools/environment.py
ARGS ?=

.PHONY: help demo test quick fast check models servers bench lock wheel
.DEFAULT_GOAL := help

help:            ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */  make \1\t/' | expand -t 16

demo:            ## the whole path once, with real parts (STAY=1 keeps it up)
	@$(RUN) -m tools.demo $(if $(STAY),--stay) $(ARGS)

quick:           ## the inner loop: checks, and beside them every test that starts no server (under a minute)
	@$(RUN) > /dev/null
	@$(MAKE) --no-print-directory -j2 --output-sync=target check fast

fast:
	@$(RUN) pytest -q -m "not real and not slow" $(ARGS)

test: check models servers  ## checks and every test, with real Ray, Envoy, models, Kubernetes control plane and nodes
	@$(RUN) -m tools.suite $(ARGS)

check:           ## ruff, mypy, import-linter
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) lint-imports

models:          ## fetch the demo's two models into the cache
	@$(RUN) -m tools.models

servers:         ## build the Kubernetes control plane and node of the tests into the cache (needs Go; once, minutes)
	@$(RUN) -m tools.servers

bench:           ## the five benchmarks, as ratios (ARGS=validate runs one, --write keeps them)
	@$(RUN) -m bench $(ARGS)

wheel:           ## build dist/reconciler-*.whl
	@rm -rf build  # setuptools would pack what an older checkout left there
	@$(RUN) -m pip --disable-pip-version-check wheel -q --no-deps --no-build-isolation -w dist .

lock:            ## write requirements.lock from the environment in use
	@(sed -n '/^#/p' requirements.lock; $$($(RUN)) -m pip freeze --all --exclude-editable --exclude pip | grep -v '^#' | LC_ALL=C sort -f) > requirements.lock.new
	@mv requirements.lock.new requirements.lock
