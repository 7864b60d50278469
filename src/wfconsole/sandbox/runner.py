"""The program that runs inside: PID 1 and the little script that becomes each command.

Owns their text and the container's paths. Both are read by a static busybox that the host mounts, so an image needs no
shell. What would surprise:

- PID 1 runs each command in its *foreground*: a background job of a shell ignores SIGINT for good, and test suites that
  send it would hang. So PID 1 has no signal handler at all and nothing inside can signal it; a graceful stop is a word
  on the FIFO, and a small watcher sends TERM to the command's group. Whoever kills the watcher loses only politeness.
- `exec` that fails leaves a shell behind, whose EXIT trap says so: a spawn error is recorded, never guessed from 127.
"""

from __future__ import annotations

IN = "/in"
OUT = "/out"
SCRATCH = "/scratch"
SECRETS = "/run/secrets"
HOME = "/home/sandbox"
BUSYBOX = "/.wfconsole/busybox"
COMMAND_LINE = (BUSYBOX, "env", "-i", BUSYBOX, "sh", f"{IN}/run")
"""`env -i` becomes the shell: the image's own variables reach nobody."""
RESTARTED = 125
"""Exit code of a runner that finds that the attempt ran before."""

RUN = r"""
B=/.wfconsole/busybox
. /in/conf
trap '' INT # a shell catches it even without a trap
exec 3<>/in/wake
while [ ! -e /in/go ]; do read -r _ <&3; done
read -r word _ </in/go
[ "$word" = go ] || exit 0
(set -C; : >/out/started) 2>/dev/null || exit 125

watch() {
    while read -r _ <&3; do
        [ -e /in/stop ] && [ -f /out/pid ] || continue
        read -r group </out/pid
        case $group in '' | *[!0-9]* | 0 | 1) ;; *) kill -TERM -"$group" ;; esac
    done
}
watch 2>/dev/null &
exec 3<&-

now() {
    t=${EPOCHREALTIME:-$("$B" date +%s).000000}
    t=${t%???}
    t=${t%.*}${t#*.}
}
run() (
    trap - INT
    trap 'echo SPAWN_ERROR >"/out/$k.error"' EXIT
    exec <"$input" >>"/out/$k.stdout" 2>>"/out/$k.stderr"
    exec "$B" setsid "$B" sh /in/spawn "$k"
)
keep() {
    echo "$2" >"/out/.$1" && "$B" mv -f -T "/out/.$1" "/out/$1"
}

input=/dev/null
[ -e /in/stdin ] && input=/in/stdin
k=0
verdict=0
while [ -e "/in/$k.argv" ]; do
    [ -e /in/stop ] && { [ "$verdict" = 0 ] && verdict=143; break; }
    now
    begin=$t
    echo "$begin" >"/out/$k.start"
    run
    code=$?
    now
    keep "$k.exit" "$code $begin $t"
    if [ "$code" != 0 ]; then
        [ "$verdict" = 0 ] && verdict=$code
        [ "$halt" = 1 ] && break
    fi
    k=$((k + 1))
done
kill -KILL -1
exit "$verdict"
"""

SPAWN = r"""
__wfc_k=$1
. /in/conf
refuse() {
    echo "$1" >"/out/$__wfc_k.error"
    echo "wfconsole: $2" >&2
    exit "$3"
}
echo $$ >/out/pid
[ -e /in/stop ] && exit 143
cd -P -- "$dir" 2>/dev/null || refuse SPAWN_ERROR "the folder $dir is not there" 126
case $dir/ in
    /workspace/*)
        case $PWD/ in
            /workspace/*) ;;
            *) refuse POLICY_BLOCKED "the folder $dir leads out of the workspace" 126 ;;
        esac
        ;;
esac
. "/in/$__wfc_k.argv"
__wfc_name=$1
shift
__wfc_file=
case $__wfc_name in
    */*)
        [ -e "$__wfc_name" ] && __wfc_file=$__wfc_name
        ;;
    '') ;;
    *)
        set -f
        IFS=:
        for d in $path; do
            [ -f "${d:-.}/$__wfc_name" ] || continue
            [ -n "$__wfc_file" ] || __wfc_file=${d:-.}/$__wfc_name
            [ -x "${d:-.}/$__wfc_name" ] && { __wfc_file=${d:-.}/$__wfc_name; break; }
        done
        unset IFS
        set +f
        ;;
esac
[ -n "$__wfc_file" ] || refuse COMMAND_NOT_FOUND "$__wfc_name: command not found" 127
[ -f "$__wfc_file" ] && [ -x "$__wfc_file" ] || refuse SPAWN_ERROR "$__wfc_name: not an executable file" 126
if [ -r "$__wfc_file" ]; then
    IFS= read -r -n 2 head <"$__wfc_file"
    case $head in
        '#!' | "$(printf '\177E')") ;;
        *) refuse SPAWN_ERROR "$__wfc_name: neither a program nor a script that names its interpreter" 126 ;;
    esac
fi
trap 'echo SPAWN_ERROR >"/out/$__wfc_k.error"' EXIT
unset PWD OLDPWD SHLVL
. /in/env
exec -a "$__wfc_name" "$__wfc_file" "$@"
"""


def quoted(text: str) -> bytes:
    """One word of the shell that stands for exactly these bytes (surrogate escapes are the bytes they escape)."""
    return b"'" + text.encode("utf-8", "surrogateescape").replace(b"'", b"'\\''") + b"'"
