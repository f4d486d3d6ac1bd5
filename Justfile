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

# The browser's client library against a debug build
clients:
    scripts/tools nats-server nginx node clients
    cargo build --bin herald
    PATH="${HERALD_TOOLS:-$PWD/.tools}/bin:$PATH" HERALD_BIN="${CARGO_TARGET_DIR:-target}/debug/herald" node --test --test-concurrency=1 tests/clients/*.test.mjs

# Every scenario of docs/performance.md, each next to its floor; --only WORD picks some
bench *options:
    cargo build --release --bin herald --bin herald-bench
    "${CARGO_TARGET_DIR:-target}/release/herald-bench" all {{options}}

# Instructions of the hot path, counted by valgrind, against what they may be
instructions:
    cargo bench --bench instructions
