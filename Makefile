# The verbs of this project. A clone needs Python >= 3.11 with venv, Rust with cargo, a C compiler and make.
PYTHON ?= python3
BIN := .venv/bin
MEMBERS := ./projections $(patsubst %/pyproject.toml,./%,$(wildcard plugins/*/pyproject.toml))
INSTALLED := .venv/.installed
CORE := lago_engine/_core.abi3.so
RUST := Cargo.toml Cargo.lock rust_core/Cargo.toml $(shell find rust_core/src -name '*.rs')
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

.PHONY: help dev demo test lint types packaging check simulate bench wheel fuzz
.DELETE_ON_ERROR:

help:
	@echo "dev        .venv with everything, the Rust core built for release"
	@echo "demo       three months of billing in ten seconds   (ARGS=--once ends instead of serving)"
	@echo "test       cargo test and pytest                    (ARGS=... for pytest)"
	@echo "lint       rustfmt, clippy, ruff, import contracts"
	@echo "types      mypy, and the stub of the core against its binary"
	@echo "wheel      dist/*.whl"
	@echo "packaging  the wheels in a clean environment"
	@echo "check      lint types packaging test"
	@echo "fuzz       coverage-guided fuzzing of parser and expressions  (FUZZ_S=seconds for each)"
	@echo "simulate   random lives with failures, seed after seed (SEED=n SEEDS=n CUSTOMERS=n YEARS=n)"
	@echo "bench      measurements                             (BENCH='ingest replay' for some of them)"

dev: $(INSTALLED) $(CORE)

# One pip command installs all members: they depend on each other and are on no index.
$(INSTALLED): pyproject.toml projections/pyproject.toml $(wildcard plugins/*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet $(patsubst %,-e %,. $(MEMBERS)) --group dev
	touch $(CORE) $@

$(CORE): $(RUST) | $(INSTALLED)
	$(BIN)/maturin develop --release --locked --skip-install --quiet
	touch $@

demo: dev
	$(BIN)/lago-engine demo $(ARGS)

test: dev
	cargo test --workspace --no-default-features --locked --quiet
	@cd tests && ../$(BIN)/python -P -c "import sys; sys.path.append('.'); import postgres; \
	print('PostgreSQL tests:', postgres.missing() or 'run')"
	$(BIN)/pytest $(ARGS)

lint: dev
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: dev
	$(BIN)/mypy
	$(BIN)/python -P -m mypy.stubtest lago_engine._core

wheel: dev
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist . $(MEMBERS)

packaging: wheel
	$(BIN)/pytest tests/packaging/wheels.py

check: lint types packaging test

simulate: dev
	$(BIN)/python tests/simulation/run.py $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) \
	$(if $(CUSTOMERS),--customers $(CUSTOMERS)) $(if $(YEARS),--years $(YEARS))

bench: dev
	$(BIN)/python benchmarks/run.py $(BENCH)

# What cargo-fuzz does, on stable: coverage counters from LLVM, the driver from libfuzzer-sys, which needs a C++ compiler.
# Finds gather under target/fuzz; a crash is a file to be put into the corpus, with a fix.
FUZZ_S ?= 60
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
SANCOV := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares

fuzz:
	RUSTFLAGS="$(SANCOV)" cargo build --package lago-engine-fuzz --features libfuzzer --bins --locked \
		--profile fuzz --target $(HOST) --target-dir target/fuzz
	set -e; for target in body expression; do \
		mkdir -p target/fuzz/found/$$target; \
		target/fuzz/$(HOST)/fuzz/fuzz_$$target -max_total_time=$(FUZZ_S) -max_len=4096 -timeout=10 -print_final_stats=1 \
			-artifact_prefix=target/fuzz/crash-$$target- target/fuzz/found/$$target rust_core/fuzz/corpus/$$target; \
	done
