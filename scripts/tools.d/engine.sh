# shellcheck shell=bash
# shellcheck disable=SC2154 # $tools is the sourcing script's own
# The container engine that scripts/engine starts for itself, Compose, and what its images are made of where no registry
# of images can be reached. Needs root: so does the engine.

# What the trees below are made of is part of their folder's name.
container_suite=bookworm
container_packages=ca-certificates,nginx-light,prometheus,tzdata,wget

get_engine() {
    local missing=() name
    for name in docker dockerd containerd runc iptables ip debootstrap; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$name" >/dev/null || missing+=("$name")
    done
    if [ "${#missing[@]}" -eq 0 ]; then
        say engine "the system's, $(dockerd --version)"
        return 0
    fi
    [ "$(id -u)" = 0 ] || fail "needs root to install and run a container engine (${missing[*]}); HERALD_SKIP_ENGINE=1 leaves it out"
    without_daemons apt_install docker.io debootstrap debian-archive-keyring iptables iproute2 ||
        fail "needs ${missing[*]} (Debian: apt-get install docker.io debootstrap iptables iproute2)"
    say engine "$(dockerd --version), installed from Debian's packages for want of ${missing[*]}"
}

# Runs a command while no package may start a daemon: scripts/engine has one of its own, and no other is wanted.
without_daemons() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    "$@" || status=$?
    rm -f "$policy"
    return "$status"
}

get_docker_compose() {
    from_module docker-compose scripts/docker-compose github.com/docker/compose/v2/cmd \
        "$(locked_version scripts/docker-compose github.com/docker/compose/v2)"
}

# Two trees as archives for `docker import`: debian.tar, a small Debian with nginx and Prometheus, and distroless.tar, what
# gcr.io/distroless/cc has: no program at all, but the C library and what programs look for.
get_container_base() {
    local recipe folder root
    recipe=$(declare -f make_debian make_distroless | cat - <(echo "$container_suite $container_packages") | sha256sum | cut -c 1-8)
    folder=$tools/container-base-$recipe
    if [ -s "$folder/distroless.tar" ]; then
        say container-base "in $tools"
        return 0
    fi
    [ "$(id -u)" = 0 ] || fail "needs root to make the images' base by debootstrap; HERALD_SKIP_ENGINE=1 leaves it out"
    rm -rf "$tools"/container-base-*
    mkdir -p "$folder"
    # In memory: dpkg waits for the disk at every file.
    root=$(mktemp -d)
    mount -t tmpfs -o size=2g herald-container-base "$root"
    # shellcheck disable=SC2064 # this folder, whatever $root is then
    trap "umount --lazy '$root'; rmdir '$root'" EXIT
    make_debian "$root/debian" "$folder/debian.tar"
    make_distroless "$root/debian" "$root/distroless" "$folder/distroless.tar"
    trap - EXIT
    umount --lazy "$root"
    rmdir "$root"
    say container-base "$container_suite with $container_packages, by debootstrap"
}

make_debian() {
    local root=$1 archive=$2
    quietly nice -n 5 debootstrap --variant=minbase --include="$container_packages" "$container_suite" "$root" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" || fail "debootstrap failed (above)"
    rm -rf "$root"/var/cache/apt "$root"/var/lib/apt/lists "$root"/usr/share/{doc,man,locale,info}
    tar -C "$root" --numeric-owner -cf "$archive.part" .
    mv "$archive.part" "$archive"
}

make_distroless() {
    local debian=$1 root=$2 archive=$3 file
    mkdir -p "$root"/{etc/ssl/certs,home/nonroot,tmp,usr/share,run,var}
    chmod 1777 "$root/tmp"
    # By the names that programs know: what is a link in Debian is a file here.
    for file in "$debian"/lib{,64}/ld-linux* "$debian"/lib/*-linux-gnu/{libc,libm,libgcc_s,libdl,libpthread,librt}.so.[0-9]; do
        [ -e "$file" ] || continue
        install -D -m 755 "$(chroot "$debian" readlink -f "${file#"$debian"}" | sed "s#^#$debian#")" "$root${file#"$debian"}"
    done
    cp "$debian/etc/ssl/certs/ca-certificates.crt" "$root/etc/ssl/certs/"
    cp -a "$debian/usr/share/zoneinfo" "$root/usr/share/"
    printf 'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n' >"$root/etc/group"
    chown -R 65532:65532 "$root/home/nonroot"
    tar -C "$root" --numeric-owner -cf "$archive.part" .
    mv "$archive.part" "$archive"
}
