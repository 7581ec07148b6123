# The commands people type. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Compiled code is kept outside the checkout, where the next clone finds it.
SALLYPORT_CACHE ?= $(HOME)/.cache/sallyport
export SALLYPORT_CACHE
export CARGO_TARGET_DIR ?= $(SALLYPORT_CACHE)/target

include e2e/cluster/cluster.mk

.PHONY: help check build test upgrade-test bench profile demo crds tools
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools: ## install what the scripts need on Debian (compilers, libclang, clients)
	@e2e/tools

check: tools ## format, lints, unit tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo test --workspace --lib --bins --quiet

build: tools ## the programs, optimised
	RUSTFLAGS="$$(e2e/profile/flags) $$RUSTFLAGS" cargo build --release --workspace --bins

crds: ## write config/crd from the types
	cargo run --quiet -p sallyport-crds --bin crdgen

demo: ## the story, on a real cluster, step by step; leaves everything running
	@e2e/demo/run

test: ## the tests, on the local cluster; SALLYPORT_NIGHTLY=1 adds what takes another hour
	@e2e/test

upgrade-test: ## an earlier version (SALLYPORT_PREVIOUS) upgraded to this one under load, and back, on a cluster of its own
	@e2e/upgrade/run

profile: ## record anew what the optimised build is optimised for
	@e2e/profile/record

bench: ## ratios against a direct connection and PgBouncer, in one run: a table, and target/bench/report.jsonl
	@e2e/measure $(ONLY)
