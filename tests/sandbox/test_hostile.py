"""Hostile steps beyond the conformance suite: those that need root on the host, a small disk, or a look at the host's own files.

Every attempt runs beside canaries, files of the host next to its folders; none may be touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.lab import Lab
from wfconsole.ports import Mount, SandboxLimits

pytestmark = pytest.mark.engine
CANARY = b"a canary of the host"


@pytest.fixture
def canaries(lab: Lab, tmp_path: Path) -> Iterator[list[Path]]:
    """Files of the host all around what the sandbox is given; the same afterwards, and no others."""
    places = [
        tmp_path / "canary",
        lab.top / "1" / "canary",
        tmp_path / "outside" / "canary",
        Path("/dev/shm") / f"canary-{os.getpid()}",
    ]
    for path in places:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(CANARY)
        path.chmod(0o666)
    before = [(path.stat().st_mtime_ns, path.stat().st_ino, path.stat().st_mode) for path in places]
    yield places
    assert [path.read_bytes() for path in places] == [CANARY] * len(places)
    assert [(path.stat().st_mtime_ns, path.stat().st_ino, path.stat().st_mode) for path in places] == before
    places[-1].unlink()


def test_no_canary_is_read_or_touched_by_any_path(lab: Lab, canaries: list[Path]) -> None:
    ups = "/workspace/../../../../../../../../../.."
    tries = "".join(
        f"for p in {path} {ups}{path} /proc/1/root{path} /proc/self/root{path} /proc/1/cwd/{path} /out/../canary /in/../canary "
        f"/scratch/../canary /workspace/../canary; do cat $p; echo x >>$p; rm -f $p; chmod 777 $p; done; "
        for path in canaries
    )
    links = "".join(
        f"ln -s {path} /workspace/l{n}; cat /workspace/l{n}; echo x >>/workspace/l{n}; ln {path} /workspace/h{n}; "
        for n, path in enumerate(canaries)
    )
    result = lab.sh(f"({tries}{links}) 2>/dev/null; true")
    assert CANARY not in result.out()
    assert not any(
        path.read_bytes() == CANARY for path in lab.workspace.iterdir() if path.exists() and not path.is_symlink()
    )


def test_links_that_a_step_leaves_lead_the_host_nowhere(lab: Lab, canaries: list[Path]) -> None:
    """What the host does afterwards in the folders (giving them away, removing them) follows no link."""
    inner = "/workspace /scratch /out"
    script = "".join(
        f"for d in {inner}; do ln -s {path} $d/link-{n}; ln -s {path.parent} $d/folder-{n}; done; "
        for n, path in enumerate(canaries)
    )
    lab.sh(script)
    again = lab.sh("ls /workspace | wc -l")
    assert again.out() == b"%d\n" % (2 * len(canaries))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB and 4096 files for the workspace."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk to fill")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=4096", "small", str(disk)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    "fill",
    [
        "while :; do head -c 1000000 /dev/zero >>/workspace/big.$((i=i+1)) || sleep 0.05; done",
        "while :; do touch /workspace/empty.$((i=i+1)) || sleep 0.05; done",
    ],
    ids=["bytes", "files"],
)
def test_a_step_that_fills_the_disk_is_ended_before_it_is_full(lab: Lab, small_disk: Path, fill: str) -> None:
    result = lab.sh(
        f"i=0; ({fill}) 2>/dev/null", mounts=(Mount(source=small_disk, target="/workspace", read_only=False),)
    )
    assert result.said == ("errored", "DISK_FULL")
    assert result.ms < 20_000


def test_a_huge_sparse_file_takes_no_room_and_no_time(lab: Lab) -> None:
    result = lab.sh("dd if=/dev/zero of=/workspace/sparse bs=1 count=1 seek=1099511627776 2>/dev/null || echo refused")
    assert result.out() == b"refused\n"
    assert sum(path.stat().st_blocks for path in lab.workspace.iterdir()) < 100


def test_a_tmp_that_is_full_is_the_steps_own_problem(lab: Lab) -> None:
    free = shutil.disk_usage(lab.top).free
    fill = "for d in /tmp /home/sandbox /dev/shm; do head -c 100000000 /dev/zero >$d/x 2>/dev/null || echo full; done"
    result = lab.sh(fill, limits=SandboxLimits(tmp_bytes=8_000_000, home_bytes=8_000_000))
    assert result.out() == b"full\nfull\nfull\n"
    assert free - shutil.disk_usage(lab.top).free < 50_000_000
    assert lab.sh("echo neighbour").out() == b"neighbour\n"


def test_deep_folders_and_odd_names_can_be_removed_again(lab: Lab) -> None:
    deep = (
        "cd /scratch; i=0; while [ $i -lt 300 ]; do mkdir d && cd d; i=$((i+1)); done; "
        "touch \"$(printf 'a\\nb')\"; chmod 000 /scratch/d"
    )
    spec = lab.spec(("sh", "-c", deep))
    lab.play(spec)
    assert not spec.scratch.exists()


def test_an_attempt_that_destroys_its_own_records_cannot_succeed(lab: Lab) -> None:
    result = lab.run(("sh", "-c", "rm -rf /out/* /out/.[!.]*; chmod 000 /out; exit 4"), ("touch", "/workspace/never"))
    assert result.end.exit_code == 4
    assert result.said[0] in {"failed", "errored"}
    assert not (lab.workspace / "never").exists()


def test_a_hundred_processes_left_behind_are_gone_with_the_step(lab: Lab) -> None:
    beat = "while :; do echo x >>/workspace/beat; sleep 0.1; done"
    result = lab.sh(f"i=0; while [ $i -lt 100 ]; do setsid sh -c '{beat}' & i=$((i+1)); done; sleep 0.3; echo left")
    assert result.said == ("succeeded", None)
    size = (lab.workspace / "beat").stat().st_size
    assert lab.sh("sleep 0.3").said == ("succeeded", None)
    assert (lab.workspace / "beat").stat().st_size == size
