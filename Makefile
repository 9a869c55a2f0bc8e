# Every target installs what it needs and the machine lacks (scripts/install-tools.sh).
SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)

# Files that macros name, which `cargo fmt` does not see.
MACRO_FILES := $(wildcard src/commands/room/*.rs src/commands/room/*/*.rs)

# What `make test` runs on a second PostgreSQL as well, the newest that there is: tests whose names have one of these in them. The log and
# its conformance, the read models, plans of statements, SIGKILLs, the schema, replicas, the private server. Tests of Kafka, Redis, the
# command line and the rest of HTTP would ask PostgreSQL nothing new.
NEWEST_POSTGRES := 18
TESTS_ON_NEWEST := log:: projections::folds projections::live projections::plans unanalysed:: kills:: database:: embedded::

.PHONY: help run run-kafka build test test-long test-quick test-postgres check bench bench-growth bench-peers docs tools servers

help: ## Lists these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 14

run: tools ## Builds quickly and serves, with a private PostgreSQL under ./.convoke
	@cargo build --profile quick
	@exec target/quick/convoke serve

run-kafka: ## Runs a real Apache Kafka on 127.0.0.1:9092, with its data under ./.convoke/kafka
	@exec scripts/kafka.sh run .convoke/kafka

build: tools ## Builds the release binary
	@cargo build --release

test: servers ## Runs every test, with a real PostgreSQL, Redis and Apache Kafka; some on a second PostgreSQL too
	@failed=0; set -x; \
	cargo test --no-fail-fast || failed=1; \
	CONVOKE_TEST_POSTGRES=$(NEWEST_POSTGRES) cargo test --test suite -- $(TESTS_ON_NEWEST) || failed=1; \
	exit $$failed

test-long: servers ## Runs long proofs in full, which the suite runs in short: 10,000 own writes, a million reads under Redis's troubles
	CONVOKE_TEST_ROUNDS=10000 CONVOKE_TEST_READS=1000000 cargo test --test suite -- --nocapture live::own_writes caches::fresh

VERSION ?= $(NEWEST_POSTGRES)
test-postgres: servers ## Runs every black-box test on another PostgreSQL: VERSION=17, or in full: VERSION=17.6
	@scripts/postgres.sh $(VERSION) >/dev/null
	CONVOKE_TEST_POSTGRES=$(VERSION) cargo test --no-fail-fast --test suite

test-quick: tools ## Runs the tests that need no server
	cargo test --lib
	cargo test --test suite -- generated_docs golden house

check: tools ## Format, lints, links of the documentation, import rules, generated files
	cargo fmt --check
	$(if $(MACRO_FILES),rustfmt --edition 2024 --check $(MACRO_FILES))
	cargo clippy --all-targets -- -D warnings
	cargo doc --no-deps --document-private-items --lib --quiet
	cargo test --test suite -- generated_docs house

bench: tools ## Measures; writes docs/benchmarks.md
	cargo bench

EVENTS ?= 1000000
bench-growth: tools ## Measures logs of several sizes, EVENTS=1000000,10000000 (takes long, and much disk)
	CONVOKE_BENCH_EVENTS=$(EVENTS) cargo bench -- growth

bench-peers: ## Measures other event stores beside Convoke on the same machine and PostgreSQL
	@scripts/install-tools.sh peers
	@scripts/peers.sh install
	cargo build --release --manifest-path benches/peers/Cargo.toml --target-dir target/peers
	cargo bench -- peers

docs: tools ## Writes the generated parts of docs/ anew
	CONVOKE_BLESS=1 cargo test --test suite -- generated_docs

tools:
	@scripts/install-tools.sh

servers:
	@scripts/install-tools.sh test
	@scripts/kafka.sh install
	@scripts/python.sh install
	@scripts/postgres.sh $(NEWEST_POSTGRES) >/dev/null
