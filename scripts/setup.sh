# shellcheck shell=bash
# What is missing is set up here, once; every later start only compares times of files.
#
# Sourced with ROOT set to the checkout. The set-up ends in three states, each with a cheap test and a function that brings it
# about: the virtual environment with the locked packages, the Docker engine, the image of the default template.
# Everything is said on stderr. Nothing is contacted while the cheap tests hold.

VENV="$ROOT/.venv"
TEMPLATE=python
STARTED_ENGINE=""  # process id of a dockerd that this script started

if [[ -n ${WFCONSOLE_HOME:-} ]]; then
    STATE=$WFCONSOLE_HOME
else
    STATE=${XDG_STATE_HOME:-$HOME/.local/state}/wfconsole
fi

say() { printf 'wfconsole: %s\n' "$*" >&2; }

# --------------------------------------------------------------------------------------------------------- environment

environment_ready() { # KIND (run or dev); builtins only
    local stamp="$VENV/.ready-$1" home="" lock="$ROOT/requirements/$1.txt"
    [[ -f $stamp && $stamp -nt $lock && $stamp -nt $ROOT/pyproject.toml ]] || return 1
    read -r home <"$stamp" || return 1
    [[ $home == "$ROOT" && -x $VENV/bin/wfconsole ]]
}

find_python() {
    local name
    for name in python3 python3.11 python3.12 python3.13 python3.14; do
        if command -v "$name" >/dev/null &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    say "Python 3.11 or newer is needed and was not found on PATH"
    return 1
}

make_venv() {
    local python
    python=$(find_python) || return 1
    "$python" -m venv --clear "$VENV" >/dev/null 2>&1 && return
    # Debian and Ubuntu keep the venv module's other half in a package of its own.
    say "this Python has no venv module, installing python3-venv"
    install_packages python3-venv || return 1
    "$python" -m venv --clear "$VENV" >&2
}

ensure_environment() { # KIND
    environment_ready "$1" && return
    local kind=$1 lock="$ROOT/requirements/$1.txt" was=() digests handle
    exec {handle}>"$ROOT/.venv.lock"
    flock "$handle"
    digests=("$(sha256sum <"$lock")" "$(sha256sum <"$ROOT/pyproject.toml")")
    if [[ -f $VENV/.ready-$kind ]]; then mapfile -t was <"$VENV/.ready-$kind"; fi
    if [[ ${was[0]:-} != "$ROOT" || ! -x $VENV/bin/wfconsole ]]; then was=(); fi
    if [[ ${was[*]:1} != "${digests[*]}" ]]; then
        say "setting up $VENV from requirements/$kind.txt"
        if ! install_environment "$kind" "$([[ ${was[1]:-} == "${digests[0]}" ]] && echo same)"; then
            say "the environment could not be set up: Python's package index has to be reachable; then run this again"
            exec {handle}>&-
            return 1
        fi
    fi
    printf '%s\n' "$ROOT" "${digests[@]}" >"$VENV/.ready-$kind"
    exec {handle}>&-
}

install_environment() { # KIND [same]; "same": the lock has not changed, only the project's own description
    local pip=("$VENV/bin/python" -m pip --disable-pip-version-check --quiet --quiet)
    # A venv that was moved has the old place in its scripts: make it anew.
    if [[ ! -x $VENV/bin/python ]] || ! "$VENV/bin/python" -c '' 2>/dev/null ||
        { [[ -x $VENV/bin/wfconsole ]] && ! "$VENV/bin/wfconsole" --version >/dev/null 2>&1; }; then
        make_venv || return 1
    fi
    if [[ ${2:-} != same ]]; then
        "${pip[@]}" install --require-hashes -r "$ROOT/requirements/$1.txt" >&2 || return 1
    fi
    "${pip[@]}" install --no-deps --no-build-isolation --no-index --force-reinstall -e "$ROOT" >&2
}

# -------------------------------------------------------------------------------------------------------------- engine

engine_ready() { # builtins only: a socket that can be written, and no dead process behind it
    local socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
    [[ $socket == unix://* ]] || return 0
    socket=${socket#unix://}
    [[ -S $socket && -w $socket ]] || return 1
    [[ $socket != /var/run/docker.sock ]] || ! pid_file_is_stale /var/run/docker.pid
}

pid_file_is_stale() { # FILE; a zombie counts as dead: where process 1 does not reap, a killed engine stays one
    local pid="" stat=""
    [[ -r $1 ]] || return 1
    read -r pid <"$1" || [[ -n $pid ]] || return 0
    [[ -d /proc/$pid ]] || return 0
    { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 0
    [[ ${stat##*) } == Z* ]]
}

engine_answers() {
    "$VENV/bin/python" -c 'import docker; docker.from_env(timeout=10).ping()' >/dev/null 2>&1
}

as_root() {
    if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

can_be_root() { ((EUID == 0)) || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; }

install_packages() { # NAME...
    local log="$STATE/setup.log"
    mkdir -p "$STATE"
    if ! command -v apt-get >/dev/null; then
        say "install these with your package manager, then run this again: $*"
        return 1
    fi
    if ! can_be_root; then
        say "needs root once: sudo apt-get install $*"
        return 1
    fi
    say "installing $* (log: $log)"
    if as_root apt-get update >>"$log" 2>&1 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >>"$log" 2>&1; then
        return
    fi
    say "apt-get failed, see $log"
    return 1
}

static_busybox() {
    local file
    for file in /bin/busybox /usr/bin/busybox /bin/busybox.static /usr/bin/busybox.static; do
        [[ -x $file ]] && ! ldd "$file" >/dev/null 2>&1 && return
    done
    return 1
}

ensure_engine() {
    local missing=() useful=()
    if engine_ready; then
        [[ -f $STATE/.host-packages ]] && return
    fi
    static_busybox || missing+=(busybox-static)
    # Only where no registry answers, and only where somebody decides at a gate: their absence is no reason to stop here.
    PATH=$PATH:/usr/sbin:/sbin command -v debootstrap >/dev/null || useful+=(debootstrap)
    command -v ssh-keygen >/dev/null || useful+=(openssh-client)
    if ! engine_answers; then
        if [[ -n ${DOCKER_HOST:-} ]]; then
            say "no Docker engine answers at $DOCKER_HOST: start it, or unset DOCKER_HOST"
            return 1
        fi
        if [[ -S /var/run/docker.sock && ! -w /var/run/docker.sock ]] && ((EUID != 0)); then
            say "the Docker socket is not yours to use: sudo usermod -aG docker $(id -un), then log in again"
            return 1
        fi
        if ! can_be_root; then
            say "no Docker engine answers: start it (sudo systemctl start docker), or install it (sudo apt-get install docker.io)"
            return 1
        fi
        # Without the recommended packages iptables and the certificates have to be named.
        PATH=$PATH:/usr/sbin:/sbin command -v dockerd >/dev/null || missing+=(docker.io iptables ca-certificates)
    fi
    if ((${#missing[@]})); then
        install_packages "${missing[@]}" "${useful[@]}" || return 1
    elif ((${#useful[@]})); then
        install_packages "${useful[@]}" || :
    fi
    engine_answers || start_engine || return 1
    mkdir -p "$STATE"
    : >"$STATE/.host-packages"
}

# What only tests need: a terminal that can be driven, and a server to log in to. Where they cannot be had, those tests fail.
ensure_terminals() {
    local missing=() policy=/usr/sbin/policy-rc.d done
    command -v tmux >/dev/null || missing+=(tmux)
    PATH=$PATH:/usr/sbin:/sbin command -v sshd >/dev/null || missing+=(openssh-server)
    ((${#missing[@]})) || return 0
    # The tests start a server of their own; the package's must not begin to listen on this machine.
    if can_be_root && [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"
        install_packages "${missing[@]}"
        done=$?
        as_root rm -f "$policy"
        return $done
    fi
    install_packages "${missing[@]}"
}

start_engine() {
    local log="$STATE/dockerd.log" file
    mkdir -p "$STATE"
    if [[ -d /run/systemd/system ]]; then
        say "starting Docker by systemd"
        as_root systemctl start docker >>"$log" 2>&1 && engine_answers && return
    fi
    for file in /var/run/docker.pid /run/docker/containerd/containerd.pid; do
        if pid_file_is_stale "$file"; then as_root rm -f "$file"; fi
    done
    # The plain engine first; then for machines that allow no network set-up; then for those without overlay mounts.
    try_engine "$log" || try_engine "$log" --iptables=false --bridge=none ||
        try_engine "$log" --iptables=false --bridge=none --storage-driver=vfs || {
        say "the Docker engine did not start, see $log"
        return 1
    }
}

try_engine() { # LOG FLAGS...
    local log=$1 starter turn
    shift
    say "starting a Docker engine in the background${*:+ with $*} (log: $log)"
    # Its own session: Ctrl-C for this command is none for the engine. No inherited lock files.
    as_root env PATH="$PATH:/usr/sbin:/sbin" setsid dockerd "$@" </dev/null >>"$log" 2>&1 &
    starter=$!
    for ((turn = 0; turn < 100; turn++)); do
        if [[ -S /var/run/docker.sock ]] && ! pid_file_is_stale /var/run/docker.pid && engine_answers; then
            read -r STARTED_ENGINE </var/run/docker.pid || [[ -n $STARTED_ENGINE ]]
            return 0
        fi
        kill -0 "$starter" 2>/dev/null || return 1
        sleep 0.3
    done
    as_root kill "$starter" 2>/dev/null
    return 1
}

stop_engine() { # PID; only for one that was started here
    local turn stat=""
    as_root kill "$1" 2>/dev/null || return 0
    for ((turn = 0; turn < 100; turn++)); do
        { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
        [[ ${stat##*) } == Z* ]] && return 0
        sleep 0.2
    done
    say "the Docker engine with process id $1 does not end"
    return 1
}

# ------------------------------------------------------------------------------------------------------------ template

template_ready() { # builtins only: built and locked since its files changed, and still in the engine's store if that can be read
    local stamp="$STATE/.template-$TEMPLATE" folder="$ROOT/recipes/templates" id="" store
    local lock="$STATE/template-locks/$TEMPLATE.lock.json"
    [[ -f $lock && -f $stamp && $stamp -nt $folder/$TEMPLATE.yaml && $stamp -nt $folder/$TEMPLATE.wheels.txt ]] || return 1
    read -r id <"$stamp" || return 1
    for store in /var/lib/docker/image/*/imagedb/content/sha256; do
        [[ -r $store && -x $store ]] || return 0
        [[ -e $store/$id ]] && return 0
    done
    return 1
}

ensure_template() {
    template_ready && return
    local id
    mkdir -p "$STATE"
    # An image that another state folder had made needs no more than a lock of this one's own: seconds instead of minutes.
    if ! "$VENV/bin/wfconsole" templates check "$TEMPLATE" >/dev/null 2>&1 &&
        ! "$VENV/bin/wfconsole" templates lock "$TEMPLATE" >/dev/null 2>&1; then
        say "making the sandbox template $TEMPLATE, a minute or two"
        "$VENV/bin/wfconsole" templates build "$TEMPLATE" >&2 || return 1
    fi
    id=$("$VENV/bin/python" -c "import docker; print(docker.from_env().images.get('wfconsole/$TEMPLATE').id)" 2>/dev/null) || {
        say "the template $TEMPLATE is not there"
        return 1
    }
    ensure_fallback
    printf '%s\n' "${id#sha256:}" >"$STATE/.template-$TEMPLATE"
}

ensure_fallback() { # what a step turns to when the template has drifted; its root file system is in the cache by now
    local name
    name=$(sed -n 's/^ *drift:.*fallback_template: *\([a-z0-9_-]*\).*/\1/p; s/^  fallback_template: *\([a-z0-9_-]*\).*/\1/p' \
        "$ROOT/recipes/templates/$TEMPLATE.yaml")
    [[ -z $name ]] && return
    "$VENV/bin/wfconsole" templates check "$name" >/dev/null 2>&1 && return
    "$VENV/bin/wfconsole" templates lock "$name" >/dev/null 2>&1 && return
    say "making the template $name, to which $TEMPLATE falls back"
    "$VENV/bin/wfconsole" templates build "$name" >/dev/null 2>&1 ||
        say "the template $name is not there: \`wfconsole templates build $name\` makes it"
}
