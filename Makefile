# `make help` lists what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

APP ?= examples/wholesale
SOAK_SECONDS ?= 600
JUDGE_CASES ?= 500000
FUZZ_SECONDS ?= 600

# Programs that the tools script installs for itself.
export PATH := $(CURDIR)/.ci/.cache/bin:$(PATH)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

.PHONY: run
run: ## Build a release binary and serve the example with users for demonstration (another: APP=folder)
	cargo run --release --package stoa -- run $(APP) $(if $(filter examples/wholesale,$(APP)),--demo-users)

.PHONY: build
build: ## Build the release binary: target/release/stoa
	cargo build --release --package stoa

.PHONY: test
test: tools check unit browser ## Everything that must pass; installs and starts what it needs

.PHONY: tools
tools:
	.ci/tools test

.PHONY: check
check: format arrows links licences lint documentation ## The checks that run no code of ours

.PHONY: format
format: ## Is the code formatted? (cargo fmt mends it)
	cargo fmt --all --check

.PHONY: arrows
arrows: ## Does a crate depend on one that it must not know?
	node .ci/arrows.mjs

.PHONY: links
links: ## Do links in the documentation lead somewhere?
	node .ci/links.mjs

.PHONY: licences
licences: ## Licences, bans and sources of dependencies (the advisory database is not fetched)
	cargo deny --log-level error check bans licenses sources

.PHONY: lint
lint: ## Clippy, warnings denied
	cargo clippy --workspace --all-targets --locked -- --deny warnings

.PHONY: documentation
documentation: ## Rustdoc, warnings denied
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --locked --document-private-items

# nextest where it is installed: it runs every test in a process of its own.
.PHONY: unit
unit: ## Tests in Rust: units, both databases, the service as a process
	cargo build --locked --package stoa
	cd crates/stoa-runtime/tests/provider && npm ci --no-audit --no-fund
	cd crates/stoa/tests/foreign/application && npm ci --no-audit --no-fund
	if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --workspace --locked; \
	else \
		cargo test --workspace --locked --lib --bins --tests; \
	fi
	cargo test --workspace --locked --doc

.PHONY: browser
browser: ## The example's page in a real browser
	cargo build --locked --package stoa
	cd examples/wholesale/test && npm ci --no-audit --no-fund && \
		STOA_BIN="$$(cargo metadata --no-deps --format-version 1 | node ../../../.ci/target-folder.mjs)/debug/stoa" npm test

.PHONY: soak
soak: ## Property tests and kill loops, long (SOAK_SECONDS=600 each)
	.ci/tools test
	cargo build --locked --package stoa
	PROPTEST_CASES=200000 STOA_SOAK_SECONDS=$(SOAK_SECONDS) cargo test --workspace --locked -- --nocapture

.PHONY: judge
judge: ## Random requests against an independent judge of the access rules (JUDGE_CASES=500000 on each database)
	.ci/tools test
	JUDGE_CASES=$(JUDGE_CASES) JUDGE_SEED=$${JUDGE_SEED:-$$(date +%s)} \
		cargo test --release --locked --package stoa-runtime --test judge -- --nocapture

.PHONY: fuzz
fuzz: ## Fuzz every target in fuzz/ (FUZZ_SECONDS=600 each); needs cargo-fuzz, installs it
	.ci/tools fuzz
	.ci/fuzz $(FUZZ_SECONDS)

.PHONY: bench
bench: ## Benchmarks against peers; a table and a plot in bench/results/
	.ci/tools bench
	cargo build --release --locked --package stoa
	node bench/run.mjs

.PHONY: bench-rules
bench-rules: ## What access rules cost; a table in bench/results/
	.ci/tools bench
	cargo build --release --locked --package stoa
	node bench/rules.mjs

.PHONY: bench-web
bench-web: ## The web server against nginx, HAProxy and Caddy; a table in bench/results/
	.ci/tools bench
	cargo build --release --locked --package stoa
	node bench/web.mjs

.PHONY: bench-environments
bench-environments: ## What many environments cost behind one web server (BENCH_ENVIRONMENTS=1,100,1000)
	.ci/tools bench
	cargo build --release --locked --package stoa
	node bench/web/many.mjs
