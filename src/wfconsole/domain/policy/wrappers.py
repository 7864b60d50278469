"""Programs that run another program: the command inside ``env``, ``xargs``, ``timeout`` and their like.

Owns the option tables of the wrappers it can look through, and refuses to guess: an option that is not in the table
makes the whole command one that cannot be looked through. The decision that would surprise: abbreviated long options
(``--uns`` for ``--unset``) are not in the table, so they are refused too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from wfconsole.domain.policy.paths import UNSEEN, resolve

SHELL_NAME = re.compile(
    r"-?r?(?:sh|bash|dash|ash|hush|zsh|ksh|mksh|lksh|pdksh|oksh|yash|posh|fish|csh|tcsh|elvish|nu|xonsh|pwsh)"
    r"(?:-?\d[\d.]*)?(?:-static)?"
)
"""Shells, also restricted, versioned and static ones."""

SHELL_STARTERS = frozenset(
    {"su", "script", "login", "newgrp", "sg", "screen", "tmux", "at", "batch", "crontab", "sem", "hyperfine"}
)
"""Programs that hand their text to a shell."""

OPAQUE = frozenset({
    "runuser", "setpriv", "nsenter", "prlimit", "ltrace", "systemd-run", "pkexec", "bwrap", "firejail", "proot",
    "fakechroot", "capsh", "coreutils", "command", "builtin", "exec", "eval", "start-stop-daemon", "daemonize",
    "chpst", "cgexec", "numactl", "setarch", "rlwrap", "entr", "expect", "torsocks", "choom", "runcon", "aa-exec", "cpulimit",
    "trickle", "envdir", "envuidgid", "softlimit", "setlock", "systemd-inhibit", "systemd-cat", "dbus-launch", "schroot",
    "lxc-attach", "run-parts", "logsave", "nocache", "uclampset",
})  # fmt: skip
"""Programs that run others and have no table here."""

_LOADER = re.compile(r"ld-(?:linux|musl).*\.so.*|ld\.so")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper:
    """How one wrapper reads its words before the command inside.

    `flags` take no value, `valued` take one (attached or the next word), `optional` take one only when attached.
    `writes`, `chdir` and `shell` are those of them that name a file to write, change the folder, or bring in a shell.
    `positionals` words come before the command. `unless` names an option without which the command goes to a shell;
    with `bare_shell` it is a shell that starts when no command is given. `new_root`: paths mean something else inside.
    `unseen`: the command gets more words from elsewhere; the ones after a word of `until` are no part of it.
    """

    flags: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    chdir: frozenset[str] = frozenset()
    shell: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()
    positionals: int = 0
    assignments: bool = False
    numeric: bool = False
    always_shell: bool = False
    bare_shell: bool = False
    new_root: bool = False
    unseen: bool = False
    until: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What a wrapper runs: `argv` is empty when it names no command; `shell` says that a shell reads the words.

    `written` are files that the wrapper itself writes. When it cannot be looked through, `obstacle` is the word at fault.
    """

    argv: tuple[str, ...] = ()
    workdir: str
    shell: bool = False
    written: tuple[str, ...] = ()
    obstacle: str | None = None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WRAPPERS: dict[str, Wrapper] = {
    "env": Wrapper(
        flags=_words("- -i --ignore-environment -0 --null -v --debug --list-signal-handling --help --version"),
        valued=_words("-u --unset -C --chdir -a --argv0"),
        optional=_words("--block-signal --default-signal --ignore-signal"),
        chdir=_words("-C --chdir"),
        assignments=True,
    ),
    "xargs": Wrapper(
        flags=_words(
            "-0 -o -p -r -t -x --null --open-tty --interactive --no-run-if-empty --verbose --exit --show-limits"
        ),
        valued=_words(
            "-a -d -E -I -L -n -P -s --arg-file --delimiter --max-args --max-procs --max-chars --process-slot-var"
        ),
        optional=_words("-e -i -l --eof --replace --max-lines"),
        unseen=True,
    ),
    "parallel": Wrapper(
        flags=_words(
            "-k --keep-order -X -m -0 --null -t --verbose --bar --progress --eta --dry-run --will-cite -u --line-buffer"
        ),
        valued=_words(
            "-j --jobs -n --max-args -N -I -a --arg-file -d --delimiter --timeout --retries --halt --colsep -C"
        ),
        always_shell=True,
        until=_words("::: :::+ :::: ::::+"),
        unseen=True,
    ),
    "sudo": Wrapper(
        flags=_words(
            "-A -B -b -E -H -K -k -N -n -P -S -V -l -v --askpass --bell --background --preserve-env --set-home "
            "--non-interactive --preserve-groups --stdin --reset-timestamp --list --validate --version"
        ),
        valued=_words("-C -D -g -h -p -R -r -T -t -U -u --chdir --group --host --prompt --chroot --user --other-user"),
        optional=_words("--preserve-env"),
        chdir=_words("-D --chdir -R --chroot"),
        shell=_words("-s -i --shell --login"),
        assignments=True,
    ),
    "doas": Wrapper(flags=_words("-n -L"), valued=_words("-u -C -a"), shell=_words("-s")),
    "nice": Wrapper(flags=_words("--help"), valued=_words("-n --adjustment"), numeric=True),
    "ionice": Wrapper(
        flags=_words("-t --ignore"), valued=_words("-c -n -p -P -u --class --classdata --pid --pgid --uid")
    ),
    "timeout": Wrapper(
        flags=_words("-f -p -v --preserve-status --foreground --verbose"),
        valued=_words("-k -s --kill-after --signal"),
        positionals=1,
    ),
    "nohup": Wrapper(),
    "setsid": Wrapper(flags=_words("-c -f -w --ctty --fork --wait")),
    "stdbuf": Wrapper(valued=_words("-i -o -e --input --output --error")),
    "time": Wrapper(
        flags=_words("-p -v -a -q --portability --verbose --append --quiet"),
        valued=_words("-f -o --format --output"),
        writes=_words("-o --output"),
    ),
    "chroot": Wrapper(
        flags=_words("--skip-chdir"),
        valued=_words("--groups --userspec"),
        positionals=1,
        bare_shell=True,
        new_root=True,
    ),
    "unshare": Wrapper(
        flags=_words("-m -u -i -n -p -U -C -T -r -f -c --fork --map-root-user --map-current-user --keep-caps"),
        optional=_words("--mount --uts --ipc --net --pid --user --cgroup --time --mount-proc --kill-child"),
        valued=_words("-S -G -R -w --setuid --setgid --root --wd --map-user --map-group --propagation --setgroups"),
        chdir=_words("-w --wd -R --root"),
        bare_shell=True,
    ),
    "watch": Wrapper(
        flags=_words(
            "-b -c -e -g -t -x -w -p -r --beep --color --errexit --chgexit --no-title --exec --no-wrap --precise"
        ),
        valued=_words("-n -q --interval --equexit"),
        optional=_words("-d --differences"),
        unless=_words("-x --exec"),
    ),
    "strace": Wrapper(
        flags=_words("-c -C -d -D -f -F -h -i -k -n -N -q -r -t -T -v -V -w -x -y -Y -z -Z --follow-forks"),
        valued=_words("-a -b -e -E -I -o -O -p -P -s -S -u -U -X --trace --output"),
        writes=_words("-o --output"),
    ),
    "taskset": Wrapper(flags=_words("-a -c -p --all-tasks --cpu-list --pid"), positionals=1),
    "chrt": Wrapper(
        flags=_words("-b -f -i -o -r -d -a -R -v -m --batch --fifo --idle --other --rr --deadline --verbose"),
        valued=_words("-T -P -D"),
        positionals=1,
    ),
    "flock": Wrapper(
        flags=_words("-s -x -e -u -n -o -F --shared --exclusive --unlock --nonblock --close --no-fork --verbose"),
        valued=_words("-w -E --timeout --wait --conflict-exit-code"),
        shell=_words("-c --command"),
        positionals=1,
    ),
    "busybox": Wrapper(flags=_words("--help --list --list-full")),
    "toybox": Wrapper(flags=_words("--help --long --version")),
    "xvfb-run": Wrapper(
        flags=_words("-a -l --auto-servernum --listen-tcp"),
        valued=_words("-e -f -n -p -s -w --error-file --auth-file --server-num --server-args --wait"),
    ),
    "faketime": Wrapper(flags=_words("-m -f"), positionals=1),
    "tini": Wrapper(flags=_words("-g -s -v -w"), valued=_words("-e -p")),
    "dumb-init": Wrapper(flags=_words("-c -v --single-child --verbose"), valued=_words("-r --rewrite")),
    "unbuffer": Wrapper(flags=_words("-p")),
    **dict.fromkeys(("gosu", "su-exec", "setuidgid"), Wrapper(positionals=1)),
    **dict.fromkeys(("eatmydata", "fakeroot", "catchsegv", "dbus-run-session", "linux32", "linux64"), Wrapper()),
}


def is_shell(program: str) -> bool:
    """Whether the program reads its arguments or input as shell text."""
    return program in SHELL_STARTERS or SHELL_NAME.fullmatch(program) is not None


def is_opaque(program: str) -> bool:
    """Whether the program runs others in a way that is not looked through."""
    return program in OPAQUE or _LOADER.fullmatch(program) is not None


@dataclass(slots=True)
class _Reading:
    """The words of one wrapper as they are read, left to right."""

    words: Sequence[str]
    at: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)

    def value(self, name: str, attached: str | None) -> bool:
        """Take the value of option `name`; False when there is none."""
        if attached is None:
            self.at += 1
            if self.at >= len(self.words):
                return False
            attached = self.words[self.at]
        self.seen.append((name, attached))
        return True


def look_through(program: str, words: Sequence[str], workdir: str) -> Inside | None:
    """The command inside wrapper `program`, whose words after its name are `words`; None when it is no wrapper."""
    wrapper = WRAPPERS.get(program)
    if wrapper is None:
        return None
    reading = _Reading(words)
    obstacle = _read_options(wrapper, reading)
    if obstacle is not None:
        return Inside(workdir=workdir, obstacle=obstacle)
    argv = _with_unseen(wrapper, reading, tuple(words[reading.at + wrapper.positionals :]))
    names = {name for name, _ in reading.seen}
    moves = [(name, value) for name, value in reading.seen if name in wrapper.chdir]
    if len(moves) > 1:  # of two the last one counts, or both do: that is the wrapper's business
        return Inside(argv=argv, workdir=workdir, obstacle=moves[-1][0])
    written = tuple(value for name, value in reading.seen if name in wrapper.writes)
    for _, value in moves:
        workdir = resolve(workdir, value)
    shell = (
        wrapper.always_shell
        or bool(names & wrapper.shell)
        or (bool(wrapper.unless) and not names & wrapper.unless)
        or (wrapper.bare_shell and not argv)
        or any(value.startswith(("|", "!")) for value in written)
        or (argv[:1] != () and argv[0] in wrapper.shell)
    )
    return Inside(argv=argv, workdir="/" if wrapper.new_root else workdir, shell=shell, written=written)


def _read_options(wrapper: Wrapper, reading: _Reading) -> str | None:
    """Move past the options; the word that is not understood, or None."""
    while reading.at < len(reading.words):
        word = reading.words[reading.at]
        if word == "--":
            reading.at += 1
            return None
        if word in wrapper.flags | wrapper.shell:
            reading.seen.append((word, ""))
        elif word.startswith("--"):
            if not _read_long(wrapper, reading, word):
                return word
        elif word.startswith("-") and word != "-":
            if not (wrapper.numeric and word.lstrip("-+").isdigit()) and not _read_short(wrapper, reading, word):
                return word
        elif not (wrapper.assignments and word.find("=") > 0):
            return None
        reading.at += 1
    return None


def _read_long(wrapper: Wrapper, reading: _Reading, word: str) -> bool:
    name, equals, value = word.partition("=")
    if name in wrapper.optional:
        reading.seen.append((name, value))
        return True
    return name in wrapper.valued and reading.value(name, value if equals else None)


def _read_short(wrapper: Wrapper, reading: _Reading, word: str) -> bool:
    for index, letter in enumerate(word[1:], start=2):
        name, rest = f"-{letter}", word[index:]
        if name in wrapper.flags | wrapper.shell:
            reading.seen.append((name, ""))
        elif name in wrapper.optional:
            reading.seen.append((name, rest))
            return True
        else:
            return name in wrapper.valued and reading.value(name, rest or None)
    return True


def _with_unseen(wrapper: Wrapper, reading: _Reading, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Mark the words that arrive from elsewhere: in place of the placeholder, or at the end."""
    if not wrapper.unseen or not argv:
        return argv
    for index, word in enumerate(argv):
        if word in wrapper.until:
            argv = argv[:index]
            break
    holders = [value or "{}" for name, value in reading.seen if name in {"-I", "-i", "--replace"}]
    if wrapper.until:
        holders.append("{}")
    for holder in holders:
        argv = tuple(word.replace(holder, UNSEEN) for word in argv)
    return argv if any(UNSEEN in word for word in argv) else (*argv, UNSEEN)
