"""The programs that bench_console measures: started by it with the name of one of `CHILDREN`."""

# ruff: noqa: PLC0415, SLF001, ARG002 - a child imports what it is measured with, and looks inside

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _one_line() -> None:
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    class One(App[None]):
        def compose(self) -> ComposeResult:
            yield Static("row 1")

    One().run()


def _table() -> None:
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    class Table(App[None]):
        def compose(self) -> ComposeResult:
            yield DataTable()

        def on_mount(self) -> None:
            table = self.query_one(DataTable)
            table.add_columns("AGE", "PROG", "STATE", "RUN", "RECIPE", "CAUSE")
            for number in range(1000):
                table.add_row("1m", "1/3", "running", f"row {number}", "quality-gate@1.0.0", "")

    Table().run()


def _cells(number: int, tick: int) -> tuple[str, ...]:
    return (f"{tick % 60}s", f"{tick % 100}/100", "running", f"row {number}", "quality-gate@1.0.0", "")


def _rows_ours(count: str, every: str) -> None:
    from textual.app import App, ComposeResult

    from wfconsole.console.lines import Cell, LineList, Row
    from wfconsole.console.screens.runs import RunsScreen
    from wfconsole.console.theme import read_themes

    class Rows(App[None]):
        palette = read_themes([ROOT / "themes"])[0]["calm"]
        tick = 0

        def compose(self) -> ComposeResult:
            yield LineList(RunsScreen._COLUMNS)

        def on_mount(self) -> None:
            self.register_theme(self.palette.to_textual())
            self.theme = self.palette.name
            self.show()
            self.set_interval(float(every), self.show)

        def show(self) -> None:
            self.tick += 1
            made = [
                Row(str(number), tuple(Cell(text) for text in _cells(number, self.tick if number < int(count) else 0)))
                for number in range(40)
            ]
            self.query_one(LineList).set_rows(made)

    Rows().run()


def _rows_table(count: str, every: str) -> None:
    from textual.app import App, ComposeResult
    from textual.widgets import DataTable

    class Rows(App[None]):
        tick = 0

        def compose(self) -> ComposeResult:
            yield DataTable()

        def on_mount(self) -> None:
            table = self.query_one(DataTable)
            self.columns = table.add_columns("AGE", "PROG", "STATE", "RUN", "RECIPE", "CAUSE")
            self.keys = [table.add_row(*_cells(number, 0)) for number in range(40)]
            self.set_interval(float(every), self.show)

        def show(self) -> None:
            self.tick += 1
            table = self.query_one(DataTable)
            for number in range(int(count)):
                age, progress, *_ = _cells(number, self.tick)
                table.update_cell(self.keys[number], self.columns[0], age)
                table.update_cell(self.keys[number], self.columns[1], progress)

    Rows().run()


def _busy() -> None:
    """The real console and engine; only the sandbox takes time instead of doing anything."""
    import random

    from wfconsole.config import read_settings
    from wfconsole.console.app import Console
    from wfconsole.control.door import RunRequest
    from wfconsole.main import office
    from wfconsole.main.console import console_settings
    from wfconsole.main.wiring import make_wiring
    from wfconsole.ports import CommandEnd, SandboxEnd, SandboxHandle, SandboxSpec

    class Taking:
        async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
            return SandboxHandle(container_id=spec.step_id, name=spec.step_id, image_id="sha256:0", spec=spec)

        async def go(self, handle: SandboxHandle) -> bool:
            return True

        async def wait(self, handle: SandboxHandle) -> SandboxEnd:
            await asyncio.sleep(random.uniform(2.0, 4.0))
            return SandboxEnd(started=True, exit_code=0, commands=(CommandEnd(index=0, exit_code=0),))

        async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None: ...

        async def remove(self, handle: SandboxHandle) -> None: ...

        async def close(self) -> None: ...

    office._sandbox = lambda *_: Taking()  # type: ignore[assignment,return-value]
    steps = "".join(
        f"  c{chain:02d}_{at}: {{{f'needs: [c{chain:02d}_{at - 1}], ' if at else ''}run: [['true']]}}\n"
        for chain in range(100)
        for at in range(12)
    )
    recipe = Path("fan-out.yaml").resolve()
    recipe.write_text(f"recipe: fan-out\nlimits: {{max_concurrency: 100, max_steps: 2000}}\nsteps:\n{steps}")
    wiring, settings = make_wiring(), read_settings(os.environ)
    app = Console(wiring, console_settings(settings))

    async def begin() -> None:
        await app.start_run(RunRequest(recipe=str(recipe), actor=wiring.actor()))

    app.call_later(lambda: app.run_worker(begin()))
    app.run()


def _log(path: str) -> None:
    """Prints seconds and megabytes for the first page, with everything imported before."""
    from wfconsole.control.log_lines import CHUNK, LogFile

    def peak() -> float:
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024

    Path("/proc/self/clear_refs").write_text("5")
    before, began = peak(), time.perf_counter()
    log = LogFile(lambda: Path(path).open("rb", buffering=0))  # noqa: SIM115 - the log closes it
    log.grow(CHUNK)
    assert len(log.read(0, 40)) == 40
    took = time.perf_counter() - began
    log.grow()  # the rest is looked at while the page is read: it counts as memory
    print(json.dumps([took, peak() - before]))


CHILDREN: dict[str, Callable[..., None]] = {
    "textual": _one_line, "table": _table, "rows-ours": _rows_ours, "rows-table": _rows_table, "busy": _busy, "log": _log,
}  # fmt: skip

if __name__ == "__main__":
    CHILDREN[sys.argv[1]](*sys.argv[2:])
