# Every target sets up .venv by itself; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
# Tools that pip installed come first, and see no half-set environment of the caller's.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test test-long bench prove interop lint format clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/ready ## real RDMA traffic through our parser; its Verilog and an FPGA bitstream
	$(BIN)/python -m headrace.demo

test: .venv/ready ## the tests (two workers; TESTS='-k parser' to choose)
	$(BIN)/pytest -n 2 $(TESTS)

test-long: .venv/ready ## the long campaigns, in addition to the tests
	$(BIN)/pytest -n 2 -m 'long or not long' $(TESTS)

bench: .venv/ready ## cycles used / needed of every block beside their limit
	$(BIN)/headrace bench

prove: .venv/ready ## every formal proof
	$(BIN)/headrace prove

interop: .venv/ready ## the RoCEv2 engine and Linux Soft-RoCE ask each other for everything
	$(BIN)/headrace interop

lint: .venv/ready ## format, lint, types and the arrows between folders
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports
	$(BIN)/basedpyright --warnings

format: .venv/ready ## rewrite the sources in the house format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean: ## remove what was built, but for .venv
	rm -rf build

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "python 3.11 or later is missing: install it, or name it with PYTHON=python3.x" >&2; exit 1; }
	@for tool in g++ perl; do command -v $$tool >/dev/null || \
	    { echo "$$tool is missing: on Debian, apt-get install $$tool" >&2; exit 1; }; done
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    { echo "python's venv module is missing: on Debian, apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $@
