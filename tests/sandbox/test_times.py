"""When a step wrote what: noted outside of its reach, kept beside its logs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.lab import Lab
from wfconsole.sandbox.times import Times


class Spec:
    def __init__(self, folder: Path) -> None:
        self.in_dir, self.out_dir = folder / "in", folder / "out"
        self.commands = ("one",)
        self.in_dir.mkdir()
        self.out_dir.mkdir()


def test_growth_is_noted_once_and_an_owner_that_takes_over_marks_the_gap(tmp_path: Path) -> None:
    spec: Any = Spec(tmp_path)
    log = spec.out_dir / "0.stdout"
    first = Times(spec)
    first.look(1)
    log.write_bytes(b"abc")
    first.look(2)
    first.look(3)
    log.write_bytes(b"abcdef")
    second = Times(spec)
    second.look(9)
    log.write_bytes(b"abcdefg")
    second.look(10)
    second.keep()
    assert (spec.out_dir / "0.stdout.times").read_text() == "2 3\n9 6 gap\n10 7\n"
    assert not (spec.out_dir / "0.stderr.times").exists()


def test_what_the_step_put_in_its_place_is_replaced_and_no_link_is_followed(tmp_path: Path) -> None:
    spec: Any = Spec(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("host")
    (spec.out_dir / "0.stdout.times").symlink_to(victim)
    (spec.out_dir / "0.stderr.times").mkdir()
    for stream in ("stdout", "stderr"):
        (spec.out_dir / f"0.{stream}").write_bytes(b"x")
    times = Times(spec)
    times.look(5)
    times.keep()
    assert victim.read_text() == "host"
    assert (spec.out_dir / "0.stdout.times").read_text() == "5 1\n"
    assert not (spec.out_dir / "0.stdout.times").is_symlink()
    assert (spec.out_dir / "0.stderr.times").is_dir()


@pytest.mark.engine
def test_the_times_of_a_real_step_lie_beside_its_log(lab: Lab) -> None:
    async def scenario() -> None:
        sandbox = lab.sandbox()
        spec = lab.spec(("sh", "-c", "echo one; sleep 1; echo two"))
        handle = await sandbox.prepare(spec)
        assert await sandbox.go(handle)
        await sandbox.wait(handle)
        await sandbox.remove(handle)
        await sandbox.close()
        noted = [line.split() for line in (spec.out_dir / "0.stdout.times").read_text().splitlines()]
        assert [int(size) for _, size in noted] == [4, 8]
        assert int(noted[1][0]) - int(noted[0][0]) >= 500

    asyncio.run(scenario())
