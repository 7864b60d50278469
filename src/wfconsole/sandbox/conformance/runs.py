"""Checks of ordinary work: exit codes, bytes, text, files, time, ends. And of the limits."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from contextlib import suppress

from wfconsole.ports import Mount, Sandbox, SandboxHandle, SandboxLimits
from wfconsole.sandbox.conformance.bench import Bench, check, differs

ODD = (
    "",
    " ",
    "a b",
    "'",
    '"',
    "$HOME `id` $(id)",
    "*",
    "-n",
    "line\nbreak",
    "\t",
    "umlaut-äöü",
    "日本語",
    "👩‍💻",
    "\\",
)
MIB = 1024**2


@check("runs", "a command that ends with 0 succeeds")
async def exit_zero(bench: Bench) -> str | None:
    trial = await bench.run(("true",))
    return differs((trial.said, trial.end.exit_code), (("succeeded", None), 0))


@check("runs", "any other exit code fails the step, and is kept")
async def exit_code(bench: Bench) -> str | None:
    trial = await bench.sh("exit 7")
    return differs((trial.said, trial.end.exit_code), (("failed", "STEP_FAILED"), 7))


@check("runs", "a command that a signal ends has 128 and the signal's number")
async def exit_signal(bench: Bench) -> str | None:
    trial = await bench.python("import os; os.kill(os.getpid(), 15)")
    return differs(trial.end.exit_code, 143)


@check("runs", "a program that is not there is told from one that failed")
async def command_not_found(bench: Bench) -> str | None:
    trial = await bench.run(("no-such-program-anywhere",))
    return differs(trial.said, ("failed", "COMMAND_NOT_FOUND"))


@check("runs", "a file that is no program is told as such")
async def not_executable(bench: Bench) -> str | None:
    trial = await bench.run(("/etc/passwd",))
    return differs([command.error for command in trial.end.commands], ["SPAWN_ERROR"])


@check("runs", "the first command that fails is the last")
async def halts_on_error(bench: Bench) -> str | None:
    trial = await bench.run(("false",), ("echo", "no"))
    return differs((trial.end.exit_code, len(trial.end.commands)), (1, 1))


@check("runs", "without halt_on_error all commands run, and the first failure counts")
async def goes_on(bench: Bench) -> str | None:
    trial = await bench.run(("sh", "-c", "exit 3"), ("echo", "yes"), ("false",), halt_on_error=False)
    return differs((trial.end.exit_code, trial.out(1)), (3, b"yes\n"))


@check("runs", "arguments arrive byte for byte, whatever is in them")
async def arguments(bench: Bench) -> str | None:
    trial = await bench.run(("python3", "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *ODD))
    return differs(json.loads(trial.out() or b"null"), list(ODD))


@check("runs", "variables arrive byte for byte, and none of the host's does")
async def environment(bench: Bench) -> str | None:
    given = {f"ODD_{number}": text for number, text in enumerate(ODD)}
    trial = await bench.python("import json, os; print(json.dumps(dict(os.environ)))", env=given)
    found = json.loads(trial.out() or b"{}")
    wrong = differs({name: found.get(name) for name in given}, given)
    return wrong or differs((found.get("CI"), found.get("HOME")), ("true", "/home/sandbox"))


@check("runs", "stdin arrives and stdout is kept byte for byte")
async def all_bytes(bench: Bench) -> str | None:
    data = bytes(range(256)) * 64
    return differs((await bench.run(("cat",), stdin=data)).out(), data)


@check("runs", "stdout and stderr are two files")
async def two_streams(bench: Bench) -> str | None:
    trial = await bench.sh("echo out; echo err >&2")
    return differs((trial.out(), trial.err()), (b"out\n", b"err\n"))


@check("runs", "32 MiB of output are kept whole")
async def big_output(bench: Bench) -> str | None:
    trial = await bench.python("import sys; [sys.stdout.buffer.write(bytes([n]) * 1048576) for n in range(32)]")
    wanted = hashlib.sha256(b"".join(bytes([number]) * MIB for number in range(32))).hexdigest()
    return differs(hashlib.sha256(trial.out()).hexdigest(), wanted)


@check("runs", "names of files may hold any character")
async def unicode_names(bench: Bench) -> str | None:
    names = ("äöü", "日本語", "👩‍💻", "a b", "line\nbreak", "-n", "'\"")
    script = "import sys\nfor name in sys.argv[1:]: open('/workspace/' + name, 'w').write(name)"
    trial = await bench.run(("python3", "-c", script, *names))
    found = {path.name: path.read_text() for path in trial.workspace.iterdir()}
    return differs(found, {name: name for name in names})


@check("runs", "a file of 64 MiB comes back as it was written")
async def big_file(bench: Bench) -> str | None:
    trial = await bench.python("open('big', 'wb').write(b'0123456789abcdef' * 4194304)")
    digest = hashlib.sha256((trial.workspace / "big").read_bytes()).hexdigest()
    return differs(digest, hashlib.sha256(b"0123456789abcdef" * 4194304).hexdigest())


@check("runs", "what the step writes belongs to the account that the sandbox runs as")
async def owner_of_files(bench: Bench) -> str | None:
    trial = await bench.sh("touch made; id -u")
    return differs(trial.lines, [str((trial.workspace / "made").stat().st_uid)])


@check("runs", "a read-only folder cannot be written, and the step is told")
async def permission_error(bench: Bench) -> str | None:
    data = bench.folder / "read-only"
    data.mkdir(exist_ok=True)
    (data / "kept").write_text("kept")
    spec = bench.spec(("sh", "-c", "cat /inputs/data/kept; echo x >/inputs/data/kept"))
    mounts = (*spec.mounts, Mount(source=data, target="/inputs/data"))
    trial = await bench.run(*spec.commands, mounts=mounts)
    return differs((trial.out(), trial.end.exit_code != 0, (data / "kept").read_text()), (b"kept", True, "kept"))


@check("runs", "a working folder that is not there is an error, not another folder")
async def missing_folder(bench: Bench) -> str | None:
    trial = await bench.run(("pwd",), workdir="/workspace/not-there")
    return differs((trial.out(), [command.error for command in trial.end.commands]), (b"", ["SPAWN_ERROR"]))


@check("runs", "a deadline ends the command and everything that it started")
async def timeout_kills_children(bench: Bench) -> str | None:
    beat = "(trap '' TERM HUP INT; setsid sh -c 'while :; do echo x >>/workspace/beat; sleep 0.05; done') & sleep 600"
    trial = await bench.sh(beat, timeout_ms=1000)
    before = (trial.workspace / "beat").stat().st_size
    await asyncio.sleep(0.3)
    return differs((trial.said, (trial.workspace / "beat").stat().st_size), (("timed_out", "STEP_TIMED_OUT"), before))


@check("runs", "a command is asked to end before it is made to")
async def term_before_kill(bench: Bench) -> str | None:
    trial = await bench.sh("trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done", timeout_ms=500)
    return differs((trial.out(), trial.said[0]), (b"asked\n", "timed_out"))


@check("runs", "a process left behind does not keep the step from ending")
async def left_behind(bench: Bench) -> str | None:
    began = time.monotonic()
    trial = await bench.sh("setsid sleep 600 & setsid sleep 600 >/dev/null 2>&1 & echo done")
    return differs((trial.out(), time.monotonic() - began < 30), (b"done\n", True))


@check("runs", "a stop that is asked for ends the step")
async def stopping(bench: Bench) -> str | None:
    async def stop(sandbox: Sandbox, handle: SandboxHandle) -> None:
        await sandbox.stop(handle, force=True)

    trial = await bench.play(bench.spec(("sleep", "600")), stop)
    return differs(trial.said, ("cancelled", None))


@check("runs", "the sandbox has the host's time")
async def clock(bench: Bench) -> str | None:
    trial = await bench.python("import time; print(time.time())")
    found = float(trial.lines[0])
    return None if abs(time.time() - found) < 60 else f"it is {found - time.time():.0f} s off"


@check("runs", "four at once do not disturb each other")
async def four_at_once(bench: Bench) -> str | None:
    trials = await asyncio.gather(*(bench.sh(f"echo {number} >me; sleep 0.2; cat me") for number in range(4)))
    return differs([trial.out() for trial in trials], [b"0\n", b"1\n", b"2\n", b"3\n"])


@check("limits", "memory: a command that wants more is ended")
async def memory_limit(bench: Bench) -> str | None:
    trial = await bench.python("x = bytearray(400 * 1048576)", limits=SandboxLimits(memory_bytes=96 * MIB))
    return differs(trial.said, ("failed", "OOM_KILLED"))


@check("limits", "processes: a fork bomb stays within its number")
async def process_limit(bench: Bench) -> str | None:
    script = (
        "import os, time\nmade = 0\ntry:\n    while made < 500:\n        if os.fork() == 0: time.sleep(60); os._exit(0)\n"
        "        made += 1\nexcept OSError: pass\nprint(made)"
    )
    trial = await bench.python(script, limits=SandboxLimits(pids=64))
    made = int(trial.lines[0])
    return None if made < 64 else f"{made} processes were made"


@check("limits", "output: a command that writes without end is ended")
async def output_limit(bench: Bench) -> str | None:
    trial = await bench.run(("yes",), limits=SandboxLimits(output_bytes=MIB))
    return differs(trial.said, ("failed", "OUTPUT_LIMIT"))


@check("limits", "files: none grows over its limit, sparse ones included")
async def file_limit(bench: Bench) -> str | None:
    script = (
        "import os, signal; signal.signal(25, signal.SIG_IGN)\n"
        "try: os.truncate(os.open('f', 66), 1 << 40)\nexcept OSError as e: print(e.errno)"
    )
    trial = await bench.python(script, limits=SandboxLimits(file_bytes=8 * MIB))
    return differs(trial.lines, ["27"])


@check("limits", "the folder for temporary files ends at its size")
async def tmp_limit(bench: Bench) -> str | None:
    script = "try:\n    with open('/tmp/x', 'wb') as f: f.write(bytes(32 << 20))\nexcept OSError as e: print(e.errno)"
    return differs((await bench.python(script, limits=SandboxLimits(tmp_bytes=8 * MIB))).lines, ["28"])


@check("limits", "open files: there is a limit")
async def open_files(bench: Bench) -> str | None:
    script = "import os\nn = 0\ntry:\n    while n < 10000: os.open('/dev/null', 0); n += 1\nexcept OSError: pass\nprint(n < 5000)"
    return differs((await bench.python(script)).lines, ["True"])


@check("limits", "no core is dumped")
async def no_core(bench: Bench) -> str | None:
    trial = await bench.python("import os; os.abort()")
    with suppress(FileNotFoundError):
        left = [path.name for path in trial.workspace.iterdir()]
        return differs(left, [])
    return None
