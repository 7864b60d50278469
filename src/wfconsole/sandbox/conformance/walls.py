"""Checks of the walls: what step code cannot do, tried from inside; of its networks; and of its secrets."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from wfconsole.ports import Sandbox, SandboxHandle
from wfconsole.sandbox.conformance.bench import Bench, check, differs

CALLS = r"""
import ctypes, json, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
numbers = {
    "io_uring_setup": (425, 425), "bpf": (321, 280), "userfaultfd": (323, 282), "keyctl": (250, 219), "add_key": (248, 217),
    "perf_event_open": (298, 241), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "chroot": (161, 51), "pivot_root": (155, 41), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "clock_settime": (227, 112), "settimeofday": (164, 170), "adjtimex": (159, 171), "init_module": (175, 105),
    "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224), "sethostname": (170, 161), "acct": (163, 89),
    "open_by_handle_at": (304, 265), "fsopen": (430, 430), "move_mount": (429, 429), "open_tree": (428, 428),
    "quotactl": (179, 60), "syslog": (103, 116), "pidfd_getfd": (438, 438), "kcmp": (312, 272),
}
arguments = {"unshare": (0x10000000,), "bpf": (0, 0, 0), "ptrace": (0, 0, 0, 0), "userfaultfd": (0,), "syslog": (10, 0, 0)}
found = {}
for name, pair in numbers.items():
    ctypes.set_errno(0)
    result = libc.syscall(pair[arm], *arguments.get(name, (0, 0, 0, 0, 0)))
    found[name] = "allowed" if result >= 0 else os.strerror(ctypes.get_errno())
ctypes.set_errno(0)
child = libc.syscall((56, 220)[arm], 0x10000000 | 17, 0, 0, 0, 0)
if child == 0:
    os._exit(0)
found["clone with a new user namespace"] = "allowed" if child > 0 else os.strerror(ctypes.get_errno())
for name, family in {"packet": 17, "vsock": 40, "alg": 38, "bluetooth": 31}.items():
    try:
        socket.socket(family, socket.SOCK_DGRAM if name != "alg" else socket.SOCK_SEQPACKET).close()
        found[name] = "allowed"
    except OSError as error:
        found[name] = error.strerror
print(json.dumps(found))
"""
DENIED = frozenset({"Operation not permitted", "Function not implemented"})


async def _denied(bench: Bench, *names: str) -> str | None:
    """What the calls of these names were answered, when it was no refusal."""
    found = await bench.once(CALLS)
    wrong = [f"{name}: {found.get(name, 'not tried')}" for name in names if found.get(name) not in DENIED]
    return "; ".join(wrong) or None


@check("walls", "the account is not root, and has no capabilities")
async def no_capabilities(bench: Bench) -> str | None:
    trial = await bench.sh("grep -E '^(Cap|Uid|Gid|NoNewPrivs|Seccomp:)' /proc/self/status; id -u")
    status = dict(line.split(":\t", 1) for line in trial.lines if ":\t" in line)
    caps = {status[name] for name in status if name.startswith("Cap")}
    wrong = differs((caps, status.get("NoNewPrivs"), status.get("Seccomp")), ({"0" * 16}, "1", "2"))
    return wrong or ("it is root" if "0" in status["Uid"].split() else None)


@check("walls", "setuid programs give no rights")
async def no_setuid(bench: Bench) -> str | None:
    script = (
        "cp /bin/sh $HOME/sh && chmod 6755 $HOME/sh; $HOME/sh -c 'id -u' ; "
        "for p in /bin/su /usr/bin/passwd; do [ -u $p ] && head -c 0 /etc/shadow 2>&1; done; cat /etc/shadow 2>/dev/null"
    )
    trial = await bench.sh(script)
    return differs(trial.lines[:1] == ["0"] or b"root:" in trial.out(), False)


@check("walls", "only the workspace and the sandbox's own folders can be written")
async def read_only_system(bench: Bench) -> str | None:
    places = "/ /etc /usr /usr/bin /bin /lib /var /opt /root /in /.wfconsole /proc/sys/kernel /sys /sys/fs/cgroup /run"
    trial = await bench.sh(f"for p in {places}; do (: >$p/probe) 2>/dev/null && echo $p; done; true")
    return differs(trial.lines, [])


@check("walls", "the runner's files cannot be changed")
async def runner_files(bench: Bench) -> str | None:
    files = "/in/go /in/0.argv /in/run /in/spawn /in/conf /etc/passwd /.wfconsole/busybox /proc/1/mem"
    trial = await bench.sh(f"for f in {files}; do (: >>$f) 2>/dev/null && echo $f; done; rm -f /in/go; ls /in/go")
    return differs(trial.lines, ["/in/go"])


@check("walls", "the runner can be neither signalled nor traced nor read")
async def runner_process(bench: Bench) -> str | None:
    signals = "for s in TERM INT HUP QUIT USR1 STOP KILL; do kill -$s 1; done 2>/dev/null"
    read = "cat /proc/1/environ /proc/1/maps 2>/dev/null | wc -c; ls /proc/1/fd 2>/dev/null | wc -l"
    trial = await bench.run(("sh", "-c", f"{signals}; {read}"), ("echo", "alive"))
    return differs((trial.lines, trial.out(1)), (["0", "0"], b"alive\n")) or await _denied(bench, "ptrace")


@check("walls", "a forged record does not change the verdict")
async def forged_record(bench: Bench) -> str | None:
    trial = await bench.sh("(while :; do echo '0 1 1' >/out/0.exit; done) & ln -sf /etc/passwd /out/0.start; exit 9")
    return differs((trial.said, trial.end.exit_code), (("failed", "STEP_FAILED"), 9))


@check("walls", "a removed record does not change the verdict")
async def removed_record(bench: Bench) -> str | None:
    trial = await bench.sh("rm -rf /out/* /out/.*; exit 9")
    return differs((trial.said[0], trial.end.exit_code), ("failed", 9))


@check("walls", "files of the host are not there")
async def host_files(bench: Bench) -> str | None:
    canary = bench.folder / "canary"
    canary.write_text("of the host")
    climb = "/workspace/../../../../../../.."
    trial = await bench.sh(
        f"cat {canary} {climb}{canary} /proc/1/root{canary} /proc/self/cwd/../{canary.name} 2>/dev/null; true"
    )
    return differs((trial.out(), canary.read_text()), (b"", "of the host"))


@check("walls", "the engine's socket is not there")
async def engine_socket(bench: Bench) -> str | None:
    trial = await bench.sh(
        "find / -xdev -name '*.sock' 2>/dev/null; ls -d /var/run/docker* /run/docker* /run/containerd 2>/dev/null"
    )
    return differs(trial.lines, [])


@check("walls", "no device of the host can be opened or made")
async def devices(bench: Bench) -> str | None:
    known = {
        "core",
        "fd",
        "full",
        "mqueue",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
    }
    script = (
        "import os\nprint(*os.listdir('/dev'))\nfor p in ('/workspace/d', '/tmp/d'):\n"
        "    try: os.mknod(p, 0o60666, os.makedev(8, 0)); print('made')\n    except OSError: pass"
    )
    lines = (await bench.python(script)).lines
    return differs((sorted(set(lines[0].split()) - known), lines[1:]), ([], []))


@check("walls", "the kernel's memory and switches are hidden")
async def masked_proc(bench: Bench) -> str | None:
    script = (
        "for f in /proc/kcore /proc/keys /proc/sched_debug /proc/timer_list /sys/firmware/acpi; do "
        "head -c 1 $f 2>/dev/null | wc -c; done | sort -u; "
        "for f in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches; do "
        "(: >>$f) 2>/dev/null && echo $f; done; true"
    )
    return differs((await bench.sh(script)).lines, ["0"])


@check("walls", "only its own processes can be seen")
async def own_processes(bench: Bench) -> str | None:
    trial = await bench.sh("ls /proc | grep -c '^[0-9]'")
    return None if int(trial.lines[0]) < 12 else f"{trial.lines[0]} processes"


@check("walls", "mount, umount, chroot and pivot_root are denied")
async def mounting(bench: Bench) -> str | None:
    return await _denied(bench, "mount", "umount2", "chroot", "pivot_root", "fsopen", "move_mount", "open_tree")


@check("walls", "new namespaces are denied")
async def namespaces(bench: Bench) -> str | None:
    return await _denied(bench, "unshare", "setns", "clone with a new user namespace")


@check("walls", "tracing and reading other processes are denied")
async def tracing(bench: Bench) -> str | None:
    return await _denied(bench, "ptrace", "process_vm_readv", "pidfd_getfd", "kcmp")


@check("walls", "io_uring is denied")
async def io_uring(bench: Bench) -> str | None:
    return await _denied(bench, "io_uring_setup")


@check("walls", "bpf and perf events are denied")
async def bpf(bench: Bench) -> str | None:
    return await _denied(bench, "bpf", "perf_event_open")


@check("walls", "userfaultfd is denied")
async def userfaultfd(bench: Bench) -> str | None:
    return await _denied(bench, "userfaultfd")


@check("walls", "key rings are denied")
async def key_rings(bench: Bench) -> str | None:
    return await _denied(bench, "keyctl", "add_key")


@check("walls", "the clock cannot be set")
async def setting_the_clock(bench: Bench) -> str | None:
    return await _denied(bench, "clock_settime", "settimeofday", "adjtimex")


@check("walls", "modules, swap, accounting, host name and reboot are denied")
async def administration(bench: Bench) -> str | None:
    return await _denied(
        bench,
        "init_module",
        "kexec_load",
        "reboot",
        "swapon",
        "sethostname",
        "acct",
        "quotactl",
        "syslog",
        "open_by_handle_at",
    )


@check("walls", "raw and exotic sockets are denied")
async def sockets(bench: Bench) -> str | None:
    found = await bench.once(CALLS)
    wrong = [f"{name}: allowed" for name in ("packet", "vsock", "alg", "bluetooth") if found.get(name) == "allowed"]
    return "; ".join(wrong) or None


REACH = """
import json, socket, sys
def reach(host, port):
    try:
        socket.create_connection((host, port), 2).close()
        return True
    except OSError:
        return False
print(json.dumps([place for place in sys.argv[1:] if reach(place.rsplit(':', 1)[0], int(place.rsplit(':', 1)[1]))]))
"""


@contextmanager
def _listening() -> Iterator[tuple[str, ...]]:
    """A service on every address of this host, as host:port."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104  # every address is what is tried
        port = server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
                own = probe.getsockname()[0]
            except OSError:
                own = "127.0.0.1"
        yield tuple(f"{host}:{port}" for host in ("127.0.0.1", own, "172.17.0.1", "198.18.0.1"))


@check("network", "without a network only the loopback is there")
async def no_network(bench: Bench) -> str | None:
    with _listening() as places:
        trial = await bench.run(
            (
                "python3",
                "-c",
                "import os; print(*os.listdir('/sys/class/net')); " + REACH.strip(),
                *places,
                "169.254.169.254:80",
                "192.0.2.1:80",
            )
        )
    return differs(trial.lines, ["lo", "[]"])


@check("network", "an allow-list opens neither the host's services nor metadata addresses")
async def allow_list(bench: Bench) -> str | None:
    with _listening() as places:
        trial = await bench.run(
            ("python3", "-c", REACH, *places, "169.254.169.254:80", "192.0.2.1:80"), network=("example.test:443",)
        )
    return differs(trial.lines, ["[]"])


@check("network", "the proxy of an allow-list refuses what is not listed, and tells")
async def proxy_refuses(bench: Bench) -> str | None:
    script = (
        "import os, socket\nhost, port = os.environ['HTTPS_PROXY'][7:].split(':')\n"
        "s = socket.create_connection((host, int(port)), 5)\n"
        "s.sendall(b'CONNECT other.test:443 HTTP/1.1\\r\\n\\r\\n')\nprint(s.recv(100).split()[1].decode())"
    )
    trial = await bench.python(script, network=("example.test:443",))
    return differs((trial.lines, trial.end.refused), (["403"], ("other.test:443",)))


@check("secrets", "a secret is a file that only the step reads, and no variable")
async def secret_file(bench: Bench) -> str | None:
    value = b"conformance-" + os.urandom(8).hex().encode()
    script = (
        "cat /run/secrets/TOKEN | wc -c; env | grep -c conformance-; stat -c %a /run/secrets/TOKEN; "
        "(: >/run/secrets/x) 2>/dev/null || echo ro"
    )
    seen: list[str] = []

    async def look(_: Sandbox, handle: SandboxHandle) -> None:
        seen.extend(
            str(path) for path in handle.spec.in_dir.rglob("*") if path.is_file() and value in path.read_bytes()
        )

    trial = await bench.play(bench.spec(("sh", "-c", script), secrets={"TOKEN": value}, hide=(value,)), look)
    return differs((trial.lines, seen), ([str(len(value)), "0", "400", "ro"], []))


@check("secrets", "what a step prints of a secret is hidden before it is stored")
async def secret_output(bench: Bench) -> str | None:
    value = b"conformance-" + os.urandom(8).hex().encode()
    spec = bench.spec(
        ("sh", "-c", "cat /run/secrets/TOKEN; base64 /run/secrets/TOKEN"), secrets={"TOKEN": value}, hide=(value,)
    )
    trial = await bench.play(spec)
    inner = base64.b64encode(value)[: len(value) * 8 // 6]
    return differs((value in trial.out(), inner in trial.out(), trial.end.redacted), (False, False, 2))
