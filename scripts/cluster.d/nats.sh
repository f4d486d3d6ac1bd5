# shellcheck shell=bash
# shellcheck disable=SC2154 # $state and $port are the sourcing script's own
# NATS in a cluster of processes: one server, or three that keep each stream on all of them. Knows no Herald. Sourced by
# scripts/cluster with $state and the functions of processes.sh and ports.sh.

# For a new cluster: 1 or 3, kept in $state/servers for all that comes later.
choose_servers() {
    case $1 in
    1 | 3) ;;
    *) fail "--nats: expected 1 or 3, the number of NATS servers" ;;
    esac
    servers=$1
    printf '%s\n' "$servers" >"$state/servers"
}

# Of the cluster that was started.
read_servers() {
    servers=1
    [ ! -r "$state/servers" ] || servers=$(<"$state/servers")
}

# The parts that are NATS servers.
nats_parts() {
    if [ "$servers" = 1 ]; then
        printf 'nats\n'
    else
        printf 'nats-%d\n' 1 2 3
    fi
}

# The part that this number names; without one the only server.
nats_part() {
    case $servers:${1:-} in
    1: | 1:1) printf 'nats' ;;
    3:[123]) printf 'nats-%s' "$1" ;;
    1:*) fail "expected no number: one NATS server was started" ;;
    *) fail "expected 1, 2 or 3, the number of a NATS server" ;;
    esac
}

# The name among the ports: of a part, and of what of it (nothing, _monitor, _route).
nats_port() {
    local name=${1/-/_}
    printf '%s%s' "${name/nats_1/nats}" "${2:-}"
}

# What instances connect to.
nats_urls() {
    local part urls=()
    for part in $(nats_parts); do urls+=("nats://127.0.0.1:${port[$(nats_port "$part")]}"); done
    (
        IFS=,
        printf '%s' "${urls[*]}"
    )
}

# Exports what the configuration of this part reads from the environment.
nats_environment() {
    set -a
    # shellcheck source=/dev/null
    . "$state/secrets/env"
    if [ "$servers" = 3 ]; then
        export NATS_ROUTE_LISTEN=127.0.0.1:${port[$(nats_port "$1" _route)]}
        local number name
        for number in 1 2 3; do
            name=$(nats_port "nats-$number" _route)
            printf -v "NATS_ROUTE_$number" 'nats://route:%s@127.0.0.1:%s' "$NATS_ROUTE_PASSWORD" "${port[$name]}"
        done
    fi
    set +a
}

# Starts a part; await_nats waits for it. Three wait for each other.
start_nats() {
    local config=compose/nats.conf name=herald
    if [ "$servers" = 3 ]; then config=compose/nats-three.conf name=$1; fi
    mkdir -p "$state/$1"
    (
        nats_environment "$1"
        launch "$1" nats-server --config "$config" --name "$name" --addr 127.0.0.1 --port "${port[$(nats_port "$1")]}" \
            --http_port "${port[$(nats_port "$1" _monitor)]}" --store_dir "$state/$1"
    )
}

await_nats() { await_ready "$1" "${port[$(nats_port "$1" _monitor)]}" /healthz; }
