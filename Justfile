# Short names for what stands in scripts/. `just` lists them.

_list:
    @just --list

# Build Herald and start it with demo users on 127.0.0.1:8080
demo:
    scripts/demo

# A local cluster as plain processes: NATS (--nats 3: three), two instances, nginx, and what is installed of Jaeger and Prometheus
cluster-up *options:
    scripts/tools nats-server nginx prometheus
    scripts/cluster up {{options}}

# Ends it; --volumes removes its data
cluster-down *options:
    scripts/cluster down {{options}}

# What its parts say, or one of them
cluster-logs *name:
    scripts/cluster logs {{name}}

# Ends instance 1 or 2 without a goodbye, or a NATS server: nats, nats 2
cluster-kill +part:
    scripts/cluster kill {{part}}

# Brings it back
cluster-start +part:
    scripts/cluster start {{part}}

# The same cluster, and Grafana, in containers
compose-up *options:
    scripts/compose up {{options}}

# Ends it; --volumes removes its data
compose-down *options:
    scripts/compose down {{options}}

# What its containers say, or one of them
compose-logs *name:
    scripts/compose logs {{name}}

# Ends instance 1 or 2 without a goodbye, or a NATS server: nats, nats 2
compose-kill +part:
    scripts/compose kill {{part}}

# Brings it back
compose-start +part:
    scripts/compose start {{part}}

# Everything that must hold before a change is taken
test:
    scripts/test

# The tools that the tests need, or those named, into .tools/
tools *names:
    scripts/tools {{names}}

# The Autobahn test suite against Herald's WebSocket layer, all its cases or those named
autobahn *cases:
    scripts/autobahn {{cases}}

# Mutated inputs for every fuzz target, or for those named
fuzz seconds="20" *targets:
    scripts/fuzz {{seconds}} {{targets}}

# Licences, second versions and sources of the dependencies
deny:
    scripts/deny

# The page and the packages for browsers: lint, types, unit tests, ui/dist
ui:
    scripts/ui test

# The picture of the floors in docs/architecture.md, from its table
floors:
    scripts/floors

# The composed cluster and the chart's pod in a container engine of their own, against a debug build; as root
containers:
    cargo build --bin herald
    scripts/engine test

# The architecture's rules alone
tidy:
    cargo test --test tidy

# Every command that README.md and docs/ show, and their links, against a debug build
docs *files: tools
    cargo build --bin herald
    scripts/check-docs {{files}}

# The browser's client library against a debug build
clients:
    scripts/tools nats-server nginx node clients jaeger
    cargo build --bin herald
    PATH="${HERALD_TOOLS:-$PWD/.tools}/bin:$PATH" HERALD_BIN="${CARGO_TARGET_DIR:-target}/debug/herald" node --test --test-concurrency=1 tests/clients/*.test.mjs

# A debug build beside a real OpenID provider
idp:
    scripts/tools node clients idp
    cargo build --bin herald
    PATH="${HERALD_TOOLS:-$PWD/.tools}/bin:$PATH" HERALD_BIN="${CARGO_TARGET_DIR:-target}/debug/herald" node --test --test-concurrency=1 tests/idp/*.test.mjs

# Every scenario of docs/performance.md, each next to its floor; --only WORD picks some
bench *options:
    cargo build --release --bin herald --bin herald-bench
    "${CARGO_TARGET_DIR:-target}/release/herald-bench" all {{options}}

# What history promises, while processes and connections fail: short or long (docs/reliability.md)
reliability form="short":
    cargo build --bin herald --bin herald-check
    scripts/reliability {{form}}

# Instructions of the hot path, counted by valgrind, against what they may be
instructions:
    cargo bench --bench instructions

# The documents as a book with search, in target/book
book:
    scripts/book

# What a release consists of, for this machine's architecture or those named
package *architectures:
    scripts/package all {{architectures}}
