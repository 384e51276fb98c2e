# Everything goes into .venv/, build/, dist/ and demo/. Nothing here needs root but the lab's tests, which say so.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Tests that run side by side; raise it on a machine with more cores.
JOBS ?= 2
# How often `make soak` kills a running erasure, and how many simulated stories it plays.
KILLS ?= 1000
SEEDS ?= 50000

# Folders too: their time changes when a file goes away.
SOURCES := pyproject.toml meson.build meson.options ops/install.sh \
    $(shell find eraser native -name __pycache__ -prune -o -print)

.PHONY: help run install test check bench bench-peers soak guest verifier lock clean \
    test-native test-sanitize test-threads test-aarch64 test-python

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: install ## erase a disk image and prove it; then a simulated rack of 24 bays at work
	@ops/demo.sh

install: $(VENV)/installed ## build the package and install it into .venv

test: test-native test-sanitize test-threads test-aarch64 test-python check ## everything below, and check

test-native: install ## the engine's C tests
	ops/test-native.sh plain

test-sanitize: install ## the same under the address and undefined behaviour sanitizers
	ops/test-native.sh sanitize

test-threads: install ## the same under the thread sanitizer
	ops/test-native.sh threads

test-aarch64: install ## the same for ARM, under emulation, where a cross compiler is
	ops/test-native.sh aarch64

# What measures or counts what the whole machine does runs alone, after the rest.
test-python: install ## pytest; as root with devices of its own
	pytest -n $(JOBS) --dist loadgroup -m 'not serial'
	pytest -m serial || [ $$? = 5 ]

check: install ## style, types, layers, C warnings
	ops/check.sh

bench: install ## measure, beside the peers that are installed
	pytest benchmarks --benchmark-only

bench-peers: install ## install the peers to measure beside (root)
	ops/bench-peers.sh

soak: install ## kill running erasures KILLS times, and play SEEDS simulated stories
	ERASER_SOAK_KILLS=$(KILLS) ERASER_SOAK_SEEDS=$(SEEDS) pytest --soak -m soak --timeout 0

guest: install ## boot an emulated machine and test real md, LVM, LUKS, multipath, NVMe, SATA and USB in it (GUEST=pytest arguments)
	ops/guest-packages.sh build/guest
	$(BIN)/python -m tests.guest $(GUEST)

verifier: install ## the offline verifier as one file, dist/eraser-verify.pyz
	$(BIN)/python ops/build-verifier.py dist/eraser-verify.pyz

lock: | $(BIN)/uv ## resolve the dependencies anew into requirements.lock
	UV_CUSTOM_COMPILE_COMMAND='make lock' uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-emit-find-links --group dev -o requirements.lock pyproject.toml

clean: ## remove what was built, and the environment
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks

$(BIN)/uv:
	ops/bootstrap.sh $(VENV)

$(VENV)/synced: requirements.lock | $(BIN)/uv
	ops/sync.sh $(VENV)
	touch $@

# The stamp bears the time before the build, so that a file saved meanwhile is not missed.
$(VENV)/installed: $(VENV)/synced $(SOURCES)
	@touch $@.begun
	ops/install.sh $(VENV)
	@mv $@.begun $@
