# Everything goes into .venv/ and build/; root is needed for the lab tests only.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# Folders too: their time changes when a file goes away.
SOURCES := pyproject.toml meson.build meson.options ops/install.sh \
    $(shell find eraser native -name __pycache__ -prune -o -print)


.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/uv:
	ops/bootstrap.sh $(VENV)

$(VENV)/synced: requirements.lock | $(BIN)/uv
	$(BIN)/uv --quiet pip sync --python $(BIN)/python --require-hashes requirements.lock
	touch $@

# The stamp bears the time before the build, so that a file saved meanwhile is not missed.
$(VENV)/installed: $(VENV)/synced $(SOURCES)
	touch $@.begun
	ops/install.sh $(VENV)
	mv $@.begun $@

.PHONY: install
install: $(VENV)/installed ## build the package and install it into .venv

.PHONY: lock
lock: | $(BIN)/uv ## resolve the dependencies anew into requirements.lock
	UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --upgrade --no-emit-index-url --no-emit-find-links --group dev -o requirements.lock pyproject.toml
