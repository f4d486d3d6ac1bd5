# Herald's image: the page built by Node, the program by cargo with its dependencies in a layer of their own (cargo-chef),
# and at last the program alone on a distroless base: no shell, no package manager, not root, nothing that is written to.
# docs/deploy.md says how it is run.

FROM node:24.11.0-bookworm-slim AS page
WORKDIR /src
COPY package.json package-lock.json tsconfig.base.json ./
COPY clients clients
COPY ui ui
# A member of the workspace, without which npm ci refuses the lock file.
COPY examples/bell/package.json examples/bell/
RUN npm ci --no-audit --no-fund --ignore-scripts \
    && npm run build --workspace ui

FROM rust:1.95.0-bookworm AS chef
# The image's own, whatever rust-toolchain.toml would fetch.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN cargo install --locked cargo-chef@0.1.78
WORKDIR /src

FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS builder
COPY --from=planner /src/recipe.json recipe.json
# The patched crate, which the recipe does not carry.
COPY vendor vendor
# This layer changes with Cargo.lock alone.
RUN cargo chef cook --release --locked --package herald --bin herald --recipe-path recipe.json
COPY . .
COPY --from=page /src/ui/dist ui/dist
RUN cargo build --release --locked --package herald --bin herald

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Herald" \
      org.opencontainers.image.description="A gateway for notifications: REST and NATS in, STOMP over WebSocket out" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /src/target/release/herald /usr/local/bin/herald
# Reached from outside of the container only where its port is published.
ENV HERALD_HTTP__LISTEN=0.0.0.0:8080 \
    HERALD_LOG__FORMAT=json
EXPOSE 8080
USER 65532:65532
# Reads the same variables as `serve`, and the file that HERALD_CONFIG names, but only for the address and the path.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/usr/local/bin/herald", "health"]
ENTRYPOINT ["/usr/local/bin/herald"]
CMD ["serve"]
