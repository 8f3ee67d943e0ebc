# Every target sets up what it needs: a virtual environment in .venv, installed from the hash-pinned lock.
# The environment is made again only when its lock changes. Nothing is installed outside this folder.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
VENV := .venv
BIN := $(VENV)/bin
# Each worker starts servers of its own and waits for them half of the time; four use what two leave of two cores.
# In the order of collection, so that files with few and long tests do not come last, one after another.
TEST_WORKERS ?= 4

SECONDS ?= 60
MINUTES ?= 60

# Set in many images to keep them small; here it would make thousands of short processes compile the same modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test simulate prove soak audit sbom fuzz lint format types bench release-golden whats-here reference lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## the promise on a real application tree, kill -9 included, every line checked
	@$(BIN)/backstay demo

test: $(VENV)/.dev ## the test suite; servers that are not installed are skipped with a reason
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

simulate: $(VENV)/.dev ## seeds of the simulation that nobody has tried, for SECONDS, on all cores
	@$(BIN)/python -m tests.simulation --seconds $(SECONDS) $(ARGS)

prove: $(VENV)/.dev ## kill matrices on real servers, power cuts and simulation, for MINUTES; prints the table of docs/reliability.md
	@$(BIN)/python -m tests.prove --minutes $(MINUTES) $(ARGS)

soak: $(VENV)/.dev ## two nodes under mixed load and random faults for MINUTES, then the audit of everything (ARGS=--stack=rabbit)
	@$(BIN)/python -m tests.prove.soak --minutes $(MINUTES) $(ARGS)

audit: $(VENV)/.dev $(VENV)-audit/.done ## known vulnerabilities of every locked library; says so when nobody can be asked
	@$(BIN)/python -m tests.packaging.audit $(VENV)-audit/bin/pip-audit

sbom: $(VENV)-audit/.done ## build/sbom.json: what is in production, as CycloneDX
	@mkdir -p build
	@$(VENV)-audit/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom.json

fuzz: $(VENV)/.dev $(VENV)/.fuzz ## everything that reads what others write, under atheris, each for SECONDS (ARGS="--only texts")
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

lint: $(VENV)/.dev ## rules and formatting, changing nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(VENV)/.dev ## rules and formatting, applied
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy --strict over everything
	@$(BIN)/mypy .

bench: $(VENV)/.dev ## the measurements behind docs/performance.md
	@$(BIN)/python -m bench

release-golden: $(VENV)/.dev ## the wheel of a release that has gone out, which the suite then upgrades from (ARGS=<commit>)
	@$(BIN)/python -m tests.golden.release $(ARGS)

whats-here: $(VENV)/.dev ## what docs/whats-here.md lacks, and what it lists that is gone (ARGS=--add writes it)
	@$(BIN)/python -m tests.architecture.whats_here $(ARGS)

reference: $(VENV)/.dev ## which pages of docs/reference/ are not what the code says (ARGS=--write writes them)
	@$(BIN)/python -m tests.documentation.reference $(ARGS)

lock: ## the locks anew from pyproject.toml (needs uv)
	@.ci/lock

clean: ## remove the environment and everything that tools left
	@rm -rf $(VENV) $(VENV)-audit .fuzz build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.runtime: requirements.lock .ci/venv
	@.ci/venv $(VENV) requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock .ci/venv
	@.ci/venv $(VENV) requirements-dev.lock
	@touch $@ $(VENV)/.runtime

$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.dev
	@.ci/venv $(VENV) requirements-fuzz.lock
	@touch $@

# Apart from the rest, because what looks for faults in libraries must not decide which versions of them we run.
$(VENV)-audit/.done: requirements-audit.lock .ci/venv
	@.ci/venv $(VENV)-audit requirements-audit.lock
	@touch $@
