"""A look at a template from inside: the system, the account, its powers, what is mounted, which programs there are.

Owns the script and how its answer is read. Refuses to judge. What would differ between two boots of the same host (the
kernel's own mounts, process ids) is left out.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Facts = dict[str, Any]

_SCRIPT = r"""
b=/.wfconsole/busybox
say() { echo "$1=$2"; }
say os "$("$b" sed -n 's/^PRETTY_NAME=//p' /etc/os-release 2>/dev/null | "$b" tr -d '"')"
say machine "$("$b" uname -m)"
say uid "$("$b" id -u)"
say gid "$("$b" id -g)"
say groups "$("$b" id -G)"
say umask "$(umask)"
say cwd "$("$b" pwd)"
"$b" sed -n -E 's/^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):[[:space:]]*/\1=/p' /proc/self/status
"$b" awk '$5 !~ "^/(proc|sys)(/|$)" { print "mount=" $5 " " $6 }' /proc/self/mountinfo
"$b" env | "$b" sed -n -E 's/^([A-Za-z_][A-Za-z0-9_]*)=.*/env=\1/p'
for tool in TOOLS; do
    path=
    IFS=:
    for folder in $PATH; do
        [ -f "$folder/$tool" ] && [ -x "$folder/$tool" ] && { path=$folder/$tool; break; }
    done
    unset IFS
    [ -n "$path" ] && echo "tool=$tool $path $("$b" sha256sum "$path" | "$b" cut -d ' ' -f 1)"
done
exit 0
"""
_LINE = re.compile(r"([A-Za-z_]+)=(.*)")
_LISTS = {"mount": "mounts", "env": "env"}
_NOT_OURS = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
"""Variables that the shell of the script makes."""


def script(tools: Iterable[str]) -> str:
    """What a trial runs; the names of tools are of the template's pattern."""
    return _SCRIPT.replace("TOOLS", " ".join(sorted(tools)) or "''")


def read(output: str) -> tuple[Facts, dict[str, Mapping[str, str]]]:
    """(facts, tools): each tool with its path and the sha256 of its program."""
    facts: Facts = {name: [] for name in _LISTS.values()}
    tools: dict[str, Mapping[str, str]] = {}
    for line in output.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        name, value = match[1], match[2]
        if name == "tool":
            tool, _, told = value.partition(" ")
            path, _, sha256 = told.rpartition(" ")
            if path and sha256:
                tools[tool] = {"path": path, "sha256": sha256}
        elif name in _LISTS:
            facts[_LISTS[name]].append(value)
        else:
            facts[name] = value
    for name in _LISTS.values():
        facts[name] = sorted(set(facts[name]) - (_NOT_OURS if name == "env" else frozenset()))
    return facts, tools


def boot(socket_path: str, engine_id: str) -> str:
    """Which start of the engine this is: another one after a restart of engine or host, as far as this account can see it."""
    parts = [engine_id, _text(Path("/proc/sys/kernel/random/boot_id"))]
    for pid in (
        _peer(socket_path),
        _text(Path("/var/run/docker.pid")) if socket_path == "/var/run/docker.sock" else "",
    ):
        parts += [pid, _started(pid)]
    return " ".join(part for part in parts if part)


def _peer(socket_path: str) -> str:
    """The process behind the socket; with socket activation that is the one that listens in its place."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(socket_path)
            raw = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return ""
    return str(struct.unpack("3i", raw)[0])


def _started(pid: str) -> str:
    """When that process began, in ticks since boot."""
    status = _text(Path("/proc", pid, "stat")) if pid.isdigit() and pid != str(os.getpid()) else ""
    words = status.rpartition(")")[2].split()
    return words[19] if len(words) > 19 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
