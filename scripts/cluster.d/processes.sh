# shellcheck shell=bash
# shellcheck disable=SC2154 # $state is the sourcing script's own
# Programs in the background: started with a log and a process id in a file, awaited until they answer, ended by id. Knows
# no program. Sourced by scripts/cluster with $state, the cluster's folder; scripts/demo asks for a port and a status alone.

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The status of one GET, by bash alone: port, path. Nothing if there is none.
get_status() {
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3
    IFS=' ' read -r -t 5 _ line _ <&3 || true
    exec 3>&-
    printf '%s' "${line:-}"
}

# The process that the file names and that still is the program that was started: an id may have been given to another.
pid_of() {
    local pid start
    [ -r "$state/pid/$1" ] || return 1
    read -r pid start <"$state/pid/$1" || return 1
    [ "$(started_at "$pid")" = "$start" ] || return 1
    printf '%s' "$pid"
}

# When a process began, in ticks since the host did; nothing if it has ended.
started_at() {
    local stat fields
    read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
    # The name, in parentheses, may hold anything.
    read -r -a fields <<<"${stat##*) }"
    # A zombie has ended.
    [ "${fields[0]}" = Z ] || printf '%s' "${fields[19]}"
}

running() { pid_of "$1" >/dev/null; }

# Starts a program in a session of its own: name, words of the command line.
launch() {
    local name=$1 pid
    shift
    mkdir -p "$state/log" "$state/pid"
    setsid "$@" >>"$state/log/$name.log" 2>&1 </dev/null &
    pid=$!
    printf '%s %s\n' "$pid" "$(started_at "$pid")" >"$state/pid/$name"
    disown
}

# Waits until a program answers 200: name, port, path.
await_ready() {
    local deadline=$((SECONDS + ${CLUSTER_TIMEOUT:-60}))
    until [ "$(get_status "$2" "$3" 2>/dev/null || true)" = 200 ]; do
        if ! running "$1"; then
            tail -n 20 "$state/log/$1.log" >&2
            fail "$1 ended before it was ready (its log is above)"
        fi
        if [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 20 "$state/log/$1.log" >&2
            fail "$1 is not ready after ${CLUSTER_TIMEOUT:-60} s: http://127.0.0.1:$2$3 (its log is above)"
        fi
        sleep 0.1
    done
}

# Ends programs by SIGTERM, all at once, and by SIGKILL those that stay.
stop() {
    local name pid deadline
    for name in "$@"; do
        if pid=$(pid_of "$name"); then kill -TERM "$pid" 2>/dev/null || true; fi
    done
    deadline=$((SECONDS + 15))
    for name in "$@"; do
        while running "$name"; do
            if [ "$SECONDS" -ge "$deadline" ]; then
                kill -KILL "$(pid_of "$name")" 2>/dev/null || true
                say "$name did not end by SIGTERM and was killed"
                break
            fi
            sleep 0.1
        done
        rm -f "$state/pid/$name"
    done
}
