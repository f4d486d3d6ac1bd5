# Short names for what stands in scripts/. `just` lists them.

_list:
    @just --list

# Build Herald and start it with demo users on 127.0.0.1:8080
demo:
    scripts/demo

# Everything that must hold before a change is taken
test:
    scripts/test

# The tools that the tests need, or those named, into .tools/
tools *names:
    scripts/tools {{names}}

# Mutated inputs for every fuzz target, or for those named
fuzz seconds="20" *targets:
    scripts/fuzz {{seconds}} {{targets}}

# Licences, second versions and sources of the dependencies
deny:
    scripts/deny

# The architecture's rules alone
tidy:
    cargo test --test tidy

# Every command that README.md and docs/ show, and their links, against a debug build
docs *files: tools
    cargo build --bin herald
    scripts/check-docs {{files}}

# The browser's client library against a debug build
clients:
    scripts/tools nats-server nginx node clients
    cargo build --bin herald
    PATH="${HERALD_TOOLS:-$PWD/.tools}/bin:$PATH" HERALD_BIN="${CARGO_TARGET_DIR:-target}/debug/herald" node --test --test-concurrency=1 tests/clients/*.test.mjs

# CPU, latency and memory for 1,000 and 5,000 sessions, next to a bare write(2) loop
bench *options:
    cargo build --release --bin herald --bin herald-bench
    "${CARGO_TARGET_DIR:-target}/release/herald-bench" run --sessions 1000 {{options}}
    "${CARGO_TARGET_DIR:-target}/release/herald-bench" run --sessions 5000 {{options}}
