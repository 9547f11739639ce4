# Two commands suffice: `make run` and `make test`. Both need Python 3.11 or newer with `venv`, and nothing else.
# `make help` lists the rest. Settings: PORT=8484 DATA=.dirigent HOST=127.0.0.1 PYTHON=python3.11

PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
HOST ?= 127.0.0.1
PORT ?= 8484
DATA ?= .dirigent

VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
WEIGHTS := .cache/models/.small
COMPILED := .venv-compiled

# The operator's own uv where there is one; else a pinned one of ours inside the virtual environment.
OWN_UV := $(shell command -v uv 2>/dev/null)
UV := $(or $(OWN_UV),$(VENV)/.bootstrap/bin/uv)
NEEDS_UV := $(if $(OWN_UV),,$(UV))

# Without --no-build-isolation the build backend would be fetched anew, unpinned.
SYNC = $(UV) pip sync --quiet --python $(BIN)/python --require-hashes
# The same packages as in $(VENV): developers have every extra there.
LOCK_COMPILED = $(LOCKS)/$(if $(wildcard $(INSTALLED_DEV)),all,office).txt
SYNC_COMPILED = $(UV) pip sync --quiet --python $(COMPILED)/bin/python --require-hashes
EDITABLE = $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)

ALL = --extra local --extra office --extra otel --extra postgres --extra scale --extra speech

# Where nothing may be written beside the sources, each start compiles them all anew: more than twice the work.
unexport PYTHONDONTWRITEBYTECODE
# What a server is made of, compiled once when it is installed: for those too who start it where nothing may be written.
PREPARED = $(BIN)/python -c 'import dirigent.cli.serving'

.DELETE_ON_ERROR:
.PHONY: help run install test check weights compile bench conformance prove console docs schema listings domain lock clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '  make %-11s %s\n' "$$name" "$$text"; done

run: install  ## installs, fetches the local model's weights once, serves on PORT with its data in DATA
	@$(BIN)/dirigent pull --data "$(DATA)"
	@if compiled=$$($(BIN)/python -m tools.compile program); then echo "serving with the compiled build"; \
	elif test -e $(COMPILED); then echo "serving uncompiled: the compiled build is of other sources than these; make compile"; fi; \
	exec $${compiled:-$(BIN)/dirigent} serve --host "$(HOST)" --port "$(PORT)" --data "$(DATA)"

# Who has the tools of a developer keeps them: `make run` never takes them away again.
install: $(if $(wildcard $(INSTALLED_DEV)),$(INSTALLED_DEV),$(INSTALLED))  ## .venv with the embedded defaults
	@:

test: $(INSTALLED_DEV) weights  ## lint, types, walls and every test; closes with one line
	@$(BIN)/python -m tools.ci.verify

check: $(INSTALLED_DEV)  ## lint, types and walls only
	@$(BIN)/python -m tools.ci.verify --without-tests

# The tests that need a real model skip, and say so, where its weights cannot be had.
weights: $(INSTALLED_DEV)
	@test -e $(WEIGHTS) || { mkdir -p $(dir $(WEIGHTS)) && $(BIN)/dirigent pull smollm2-135m-instruct --exactly --data .cache && touch $(WEIGHTS); } \
	  || echo "make: the small model's weights are not here; the tests that need them will skip"

compile: install  ## compiles the modules that each request goes through, which `make run` takes from then on
	@$(BIN)/python -m tools.compile check
	@if $(BIN)/python -m tools.compile program >/dev/null; then echo "the compiled build is of these sources already"; \
	else $(MAKE) --no-print-directory $(COMPILED); fi

bench: $(INSTALLED_DEV) weights  ## the benchmarks, each as a table of ratios; PEERS=all measures other gateways too
	@$(BIN)/python -m tools.ci.nginx
	@$(BIN)/python -m benches.run $(if $(PEERS),--peers "$(PEERS)")

prove: $(INSTALLED_DEV) weights  ## the slow proofs: kill storms, soaks, fuzzing
	@$(BIN)/python -m tools.ci.verify --only-proofs

conformance: $(INSTALLED_DEV)  ## the SDKs' own tests through the gateway
	@$(BIN)/python -m tools.conformance

console:  ## the web console
	@echo "The web console is not part of this version yet; the command line and the HTTP endpoints are."

docs: $(INSTALLED_DEV)  ## writes docs/reference from the kinds
	@$(BIN)/python -m tools.docs.orders
	@$(BIN)/python -m tools.docs.reference

schema: $(INSTALLED_DEV)  ## writes down how a new database is founded, after you added a step in store/migrations
	@$(BIN)/python -m tools.schema

listings: $(INSTALLED_DEV)  ## builds the table of prices anew from the pinned packages
	@$(BIN)/python -m tools.listings.build

domain: $(INSTALLED_DEV)  ## builds the table behind the `domain` strategy anew from its examples
	@$(BIN)/python -m tools.domain.build

lock: $(BIN)/python $(NEEDS_UV)  ## pins every dependency with hashes; UPGRADE=--upgrade takes newer ones
	$(COMPILE) $(LOCKS)/uv.in -o $(LOCKS)/uv.txt
	$(COMPILE) $(LOCKS)/build.in -o $(LOCKS)/build.txt
	$(COMPILE) pyproject.toml -c $(LOCKS)/build.txt -o $(LOCKS)/base.txt
	$(COMPILE) pyproject.toml -c $(LOCKS)/build.txt --extra local --extra postgres -o $(LOCKS)/local.txt
	$(COMPILE) pyproject.toml -c $(LOCKS)/build.txt --extra local --extra postgres --extra office -o $(LOCKS)/office.txt
	$(COMPILE) pyproject.toml -c $(LOCKS)/build.txt $(ALL) -o $(LOCKS)/all.txt
	$(COMPILE) pyproject.toml -c $(LOCKS)/build.txt $(ALL) --group dev -o $(LOCKS)/dev.txt
	$(COMPILE) $(LOCKS)/compile.in -c $(LOCKS)/dev.txt -o $(LOCKS)/compile.txt

clean:  ## removes what can be made again; the data folder stays
	rm -rf $(VENV) $(COMPILED) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(INSTALLED): $(LOCKS)/office.txt $(LOCKS)/build.txt pyproject.toml | $(BIN)/python $(NEEDS_UV)
	@echo "installing Dirigent with its embedded defaults into $(VENV) …"
	@$(SYNC) $(LOCKS)/office.txt $(LOCKS)/build.txt
	@$(EDITABLE)
	@$(PREPARED)
	@touch $@

$(INSTALLED_DEV): $(LOCKS)/dev.txt $(LOCKS)/build.txt pyproject.toml | $(BIN)/python $(NEEDS_UV)
	@echo "installing Dirigent and the developers' tools into $(VENV) …"
	@$(SYNC) $(LOCKS)/dev.txt $(LOCKS)/build.txt
	@$(EDITABLE)
	@$(PREPARED)
	@touch $@

# An installation of its own and no editable one: whatever changes in src is compiled anew before it runs there. Only its
# program says whether it is of these sources, so the rule above asks it; once built, the compiler's packages go again.
.PHONY: $(COMPILED)
$(COMPILED): | $(NEEDS_UV)
	@echo "installing Dirigent's dependencies and what compiles it into $(COMPILED) …"
	@test -x $(COMPILED)/bin/python || $(BIN)/python -m venv --without-pip $(COMPILED)
	@$(SYNC_COMPILED) $(LOCK_COMPILED) $(LOCKS)/build.txt $(LOCKS)/compile.txt
	@$(COMPILED)/bin/python -m tools.compile build
	@$(SYNC_COMPILED) $(LOCK_COMPILED)
	@$(UV) pip install --quiet --python $(COMPILED)/bin/python --no-deps --reinstall $(COMPILED)/wheels/*.whl
	@$(COMPILED)/bin/python -m tools.compile seal

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python found; install Python 3.11 or newer, or say PYTHON=/path/to/python"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $(PYTHON) is older than Python 3.11; say PYTHON=/path/to/a/newer/python"; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "make: Python's venv module is incomplete (Debian and Ubuntu: apt install python3-venv)"; exit 1; }

$(VENV)/.bootstrap/bin/uv: $(LOCKS)/uv.txt | $(BIN)/python
	@echo "fetching uv, the installer, into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
	  --upgrade --target $(VENV)/.bootstrap -r $(LOCKS)/uv.txt
	@touch $@
