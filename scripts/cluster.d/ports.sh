# shellcheck shell=bash
# Which port each part of a cluster of processes has. Knows nothing of what runs there. Sourced by scripts/cluster with
# $state, the cluster's folder, and $servers, how many NATS servers there are.

# Name and usual port. CLUSTER_PORT_<NAME> sets one; CLUSTER_PORTS=free lets the cluster choose all others itself.
ports=(
    nginx=8080 herald_1=8081 herald_2=8082
    nats=4222 nats_monitor=8222
    collector_grpc=14317 collector_http=14318 collector_metrics=18889 collector_health=23133
    jaeger=16686 jaeger_grpc=16685 jaeger_otlp=4317 jaeger_health=13133
    prometheus=9090
)
# Of the second and third NATS server, and of the routes between all three.
three=(nats_route=6222 nats_2=4223 nats_2_monitor=8223 nats_2_route=6223 nats_3=4224 nats_3_monitor=8224 nats_3_route=6224)
declare -A port

# Free ports below those that the kernel gives to clients, from a random one on.
next_free=$((20000 + RANDOM % 10000))
free_port() {
    while port_open "$next_free"; do next_free=$((next_free + 1)); done
    chosen=$next_free
    next_free=$((next_free + 1))
}

# For a new cluster: from the environment and the table, kept in $state/ports for all that comes later.
choose_ports() {
    local entry name variable
    [ "$servers" != 3 ] || ports+=("${three[@]}")
    for entry in "${ports[@]}"; do
        name=${entry%=*}
        variable=CLUSTER_PORT_${name^^}
        if [ -n "${!variable:-}" ]; then
            port[$name]=${!variable}
        elif [ "${CLUSTER_PORTS:-}" = free ]; then
            free_port
            port[$name]=$chosen
        else
            port[$name]=${entry#*=}
        fi
    done
    for name in "${!port[@]}"; do printf '%s=%s\n' "$name" "${port[$name]}"; done | sort >"$state/ports"
}

# Of the cluster that runs.
read_ports() {
    local name value
    while IFS='=' read -r name value; do port[$name]=$value; done <"$state/ports"
}
