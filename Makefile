# Everything that is done with this project, in one place. Needs Python 3.11 or newer; the rest is
# installed into .venv and .venv-meltano as the lock files say, with uv where there is one, else pip.

PYTHON ?= python3
UV := $(shell command -v uv)
BIN := .venv/bin
MELTANO := .venv-meltano/bin/meltano
DEMO := output/demo
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

export PATH := $(CURDIR)/$(BIN):$(CURDIR)/.venv-meltano/bin:$(PATH)
.DELETE_ON_ERROR:
.PHONY: help demo test test-real lint bench golden lock python-is-new

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: .venv/.installed .venv-meltano/.installed ## run the sample company through Meltano and show what was found
	@rm -rf $(DEMO) && mkdir -p $(DEMO)
	@sed 's#sqlite:///journeys.db#sqlite:///$(DEMO)/journeys.db#' config.sample.json > $(DEMO)/config.json
	@echo 'meltano run tap-journeys standard target-journeys'
	@TARGET_JOURNEYS_STORE='sqlite:///$(CURDIR)/$(DEMO)/journeys.db' \
	MELTANO_DATABASE_URI='sqlite:///$(CURDIR)/$(DEMO)/meltano.db' \
	$(MELTANO) run tap-journeys standard target-journeys > $(DEMO)/run.log 2>&1 \
	|| { cat $(DEMO)/run.log >&2; exit 1; }
	@grep -Eo '(tap|mapper|target)-journeys: [0-9].*' $(DEMO)/run.log | sed 's/^/  /'
	@$(BIN)/python examples/shop/show.py $(DEMO)/journeys.db
	@echo
	@echo 'Why is that so? Ask for the evidence:'
	@echo '  $(BIN)/journeys explain email:ana.solberg@mail.test CARE-MINT-75 --config $(DEMO)/config.json'
	@echo 'What a CDP would have been told: webhook.dry-run.jsonl'

test: lint ## style, types and every test that needs nothing but Python
	$(BIN)/pytest -q -m "not real" -n 2

test-real: .venv/.installed .venv-meltano/.installed .venv-sandbox/.installed .prism/.installed .venv-helpdesk/.installed .venv-oracles/.installed ## the tests that run real programs (Meltano, servers …)
	@tests/real/install_request_tracker.sh
	$(BIN)/pytest -q -m real

lint: .venv/.installed ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cog --check -I docs README.md $$(find docs -name "*.md")

bench: .venv/.installed .venv-bench/.installed ## how fast, beside others: see bench/README.md (ARGS="--records 20000")
	$(BIN)/python bench/run.py $(ARGS)

golden: .venv/.installed ## write golden files and the sample's exports anew; read the diff
	$(BIN)/python examples/shop/generate.py
	$(BIN)/pytest -q -m "not real" --golden

# Nothing of the machine that locks may get into the files: no index, no links, no paths.
COMPILE = $(or $(UV),.venv-meltano/bin/uv) pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

# hatchling and editables build our own package, so that installing it fetches nothing.
lock: $(if $(UV),,.venv-meltano/.installed) ## pin the newest allowed versions anew
	printf '%s\n' hatchling editables | $(COMPILE) --extra ga4 --extra parquet --extra salesforce --group dev --output-file requirements.lock pyproject.toml -
	echo 'meltano>=4.4,<5' | $(COMPILE) --output-file requirements-meltano.lock -

# -- environments ------------------------------------------------------------------------------

.venv/.installed: requirements.lock pyproject.toml | python-is-new
ifdef UV
	uv venv --quiet --allow-existing --python "$(PYTHON)" .venv
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements.lock
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
endif
	@touch $@

.venv-meltano/.installed: requirements-meltano.lock | python-is-new
ifdef UV
	uv venv --quiet --allow-existing --python "$(PYTHON)" .venv-meltano
	uv pip install --quiet --python .venv-meltano/bin/python --require-hashes -r requirements-meltano.lock
else
	$(PYTHON) -m venv .venv-meltano
	.venv-meltano/bin/python $(PIP_INSTALL) --require-hashes -r requirements-meltano.lock
endif
	@touch $@

.venv-bench/.installed: bench/requirements.txt | python-is-new
ifdef UV
	uv venv --quiet --allow-existing --python "$(PYTHON)" .venv-bench
	uv pip install --quiet --python .venv-bench/bin/python -r bench/requirements.txt
else
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python $(PIP_INSTALL) -r bench/requirements.txt
endif
	@touch $@

# The vendors' own clients, which prove the sandbox.
.venv-sandbox/.installed: tests/sandbox/requirements.txt | python-is-new
ifdef UV
	uv venv --quiet --allow-existing --python "$(PYTHON)" .venv-sandbox
	uv pip install --quiet --python .venv-sandbox/bin/python -r tests/sandbox/requirements.txt
else
	$(PYTHON) -m venv .venv-sandbox
	.venv-sandbox/bin/python $(PIP_INSTALL) -r tests/sandbox/requirements.txt
endif
	@touch $@

# A help desk that is a server of its own.
.venv-helpdesk/.installed: tests/real/helpdesk_requirements.txt | python-is-new
ifdef UV
	uv venv --quiet --allow-existing --python "$(PYTHON)" .venv-helpdesk
	uv pip install --quiet --python .venv-helpdesk/bin/python -r tests/real/helpdesk_requirements.txt
else
	$(PYTHON) -m venv .venv-helpdesk
	.venv-helpdesk/bin/python $(PIP_INSTALL) -r tests/real/helpdesk_requirements.txt
endif
	@touch $@

# Libraries that know the statistics, to hold ours against.
.venv-oracles/.installed: tests/real/oracles_requirements.txt | python-is-new
ifdef UV
	uv venv --quiet --allow-existing --python "$(PYTHON)" .venv-oracles
	uv pip install --quiet --python .venv-oracles/bin/python -r tests/real/oracles_requirements.txt
else
	$(PYTHON) -m venv .venv-oracles
	.venv-oracles/bin/python $(PIP_INSTALL) -r tests/real/oracles_requirements.txt
endif
	@touch $@

# Without npm the tests that need Prism are skipped.
.prism/.installed: tests/sandbox/package.json
	@mkdir -p .prism && cp tests/sandbox/package.json .prism/
	@command -v npm > /dev/null || { echo 'There is no npm: the checks with Prism will be skipped' >&2; exit 0; }; \
	npm install --prefix .prism --silent --no-audit --no-fund && touch $@

python-is-new:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	exit 2; }
