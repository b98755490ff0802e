# The words of this house. `make run` and `make test` need git, make and Python 3.11 only.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
LOCK := $(BIN)/uv pip compile --quiet --universal --no-strip-extras --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml --group build

.DEFAULT_GOAL := help
.PHONY: help setup run install uninstall packages test check fix bench soak lock audit clean
.DELETE_ON_ERROR:

help:
	@echo "make run     start Bawaba with a demo on http://127.0.0.1:5000 (data in .data)"
	@echo "make install    as root: put it on this machine with a service (host=0.0.0.0 url=http://login.wifi)"
	@echo "make uninstall  as root: take it away again; settings and data stay"
	@echo "make setup   make the environment that developing needs"
	@echo "make test    check, then run every test (as root: installs the Debian packages that tests need)"
	@echo "make check   format, lint, strict types, import arrows, docs"
	@echo "make fix     mend what can be mended by itself"
	@echo "make bench   measure against the budgets (make bench only=NAME: one of benchmarks/)"
	@echo "make soak    the tests that take long"
	@echo "make lock    write down what pyproject.toml names (make lock upgrade=1: the newest of everything)"
	@echo "make audit   ask for known faults in the packages of the lock (needs the internet)"
	@echo "make clean   throw away all that can be made again (never .data)"

setup: $(VENV)/dev.stamp

run: export BAWABA_DATA_DIR ?= $(CURDIR)/.data
run: $(VENV)/app.stamp
	@exec $(BIN)/bawaba serve --demo

install:
	@deploy/install $(if $(host),--host "$(host)") $(if $(url),--url "$(url)")

uninstall:
	@deploy/install --undo

packages:
	@scripts/debian-packages debian-packages-test.txt

test: packages check
	@$(BIN)/pytest -n logical --maxprocesses 4 --dist loadfile

check: $(VENV)/dev.stamp
	@failed=; \
	$(BIN)/ruff format --check --quiet . || { failed=1; echo "Some files are not formatted: make fix"; }; \
	$(BIN)/ruff check --quiet . || failed=1; \
	$(BIN)/python scripts/check_docs.py || failed=1; \
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter || failed=1; \
	$(BIN)/mypy || failed=1; \
	test -z "$$failed"

fix: $(VENV)/dev.stamp
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format .

bench: $(VENV)/dev.stamp
	@$(BIN)/python -m benchmarks $(only)

soak: packages $(VENV)/dev.stamp
	@$(BIN)/pytest -m soak

lock: $(VENV)/dev.stamp
	$(LOCK) $(if $(upgrade),--upgrade) --output-file requirements.lock
	$(LOCK) $(if $(upgrade),--upgrade) --group dev --constraint requirements.lock --output-file requirements-dev.lock

audit: $(VENV)/dev.stamp
	@$(BIN)/uv tool run pip-audit --disable-pip --require-hashes --requirement requirements.lock

clean:
	rm -rf $(VENV) .cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is newer than what its step was made from, so a second start does nothing. The first one also names the
# folder: an environment knows its own path, so one whose folder was moved, or whose Python is gone, is made anew.

ifneq ($(file <$(VENV)/venv.stamp)$(if $(realpath $(BIN)/python),, gone),$(CURDIR))
.PHONY: $(VENV)/venv.stamp
endif

$(VENV)/venv.stamp:
	@scripts/make-venv $(VENV)
	@echo "$(CURDIR)" >$@

$(VENV)/locked.stamp: requirements.lock $(VENV)/venv.stamp
	@echo "Installing the locked packages (once)"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/app.stamp: pyproject.toml $(VENV)/locked.stamp
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/app.stamp
	@echo "Installing the locked packages for development (once)"
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@
