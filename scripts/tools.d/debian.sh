# shellcheck shell=bash
# Programs from Debian's packages, unpacked and not installed: installing nginx or Prometheus would start it as a daemon.

get_nginx() {
    local link=$tools/bin/nginx system
    if [ -x "$link" ] && "$link" -v >/dev/null 2>&1; then
        say nginx "in $tools"
        return 0
    fi
    system=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx || true)
    if [ -n "$system" ] && [ "$system" != "$link" ]; then
        ln -sf "$system" "$link"
        say nginx "the system's, $system"
        return 0
    fi
    apt_unpack nginx "$tools/nginx"
    link nginx nginx/usr/sbin/nginx
    if ! "$link" -v >/dev/null 2>&1; then
        apt_install libpcre2-8-0 libssl3 zlib1g libcrypt1 || true
        "$link" -v >/dev/null 2>&1 || fail "nginx was fetched, but does not run: $(ldd "$link" | grep 'not found' || true)"
    fi
    say nginx "installed from Debian's package, unpacked into $tools/nginx"
}

# promtool and prometheus, which come together.
get_prometheus() {
    local link=$tools/bin/promtool system
    if promtool_version >/dev/null && [ -x "$tools/bin/prometheus" ]; then
        say prometheus "$(promtool_version), with promtool, in $tools"
        return 0
    fi
    system=$(command -v promtool || true)
    if [ -n "$system" ] && [ "$system" != "$link" ] && command -v prometheus >/dev/null; then
        ln -sf "$system" "$link"
        ln -sf "$(command -v prometheus)" "$tools/bin/prometheus"
        say prometheus "$(promtool_version), with promtool, the system's, $system"
        return 0
    fi
    apt_unpack prometheus "$tools/prometheus"
    link promtool prometheus/usr/bin/promtool
    link prometheus prometheus/usr/bin/prometheus
    promtool_version >/dev/null || fail "promtool was fetched, but does not run"
    say prometheus "$(promtool_version), with promtool, from Debian's package, unpacked into $tools/prometheus"
}

promtool_version() { "$tools/bin/promtool" --version 2>/dev/null | sed -n '1s/^promtool, version \([^ ]*\).*/\1/p' | grep .; }
