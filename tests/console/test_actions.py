from __future__ import annotations

import asyncio
import re

import pytest
from textual.binding import Binding

from tests.console.rig import Rig, screen_text, until
from wfconsole.console.actions import SCOPES, all_actions, bindings, key_name, keymap, of_scope
from wfconsole.console.app import Console
from wfconsole.console.lines import LineList
from wfconsole.console.screens.help import help_rows
from wfconsole.console.screens.palette import ranked

MODULES = ("approvals", "card", "events", "launch", "log", "recipes", "run", "runs", "settings", "templates")


@pytest.fixture(autouse=True)
def _every_screen() -> None:
    from importlib import import_module

    for name in MODULES:
        import_module(f"wfconsole.console.screens.{name}")


def test_no_two_actions_share_an_id_or_a_key_in_one_place() -> None:
    ids = [action.id for action in all_actions()]
    assert len(ids) == len(set(ids))
    for scope in SCOPES:
        keys: dict[str, str] = {}
        for action in [*of_scope(scope), *(() if scope in {"everywhere", "list"} else of_scope("everywhere"))]:
            for key in action.keys:
                taken = keys.setdefault(key, action.id)
                assert taken == action.id or action.id.startswith("everywhere."), f"{key}: {taken} and {action.id}"


def test_every_binding_of_a_screen_comes_from_the_table() -> None:
    from importlib import import_module

    from wfconsole.console.screens.board import Board

    for name in MODULES:
        module = import_module(f"wfconsole.console.screens.{name}")
        boards = [
            one
            for one in vars(module).values()
            if isinstance(one, type) and issubclass(one, Board) and one is not Board
        ]
        for board in boards:
            own = board.__dict__.get("BINDINGS", [])
            assert {binding.id for binding in own if isinstance(binding, Binding)} <= {
                a.id for a in of_scope(board.scope)
            }
            for action in of_scope(board.scope):
                method = re.split(r"\(", action.method)[0]
                assert callable(getattr(board, f"action_{method}", None)), (
                    f"{action.id}: no action_{method} in {board.__name__}"
                )


def test_actions_of_everywhere_are_the_applications() -> None:
    for action in of_scope("everywhere"):
        assert callable(getattr(Console, f"action_{action.method.partition('(')[0]}", None)), action.id


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_the_help_lists_exactly_the_keys_that_work(scope: str) -> None:
    rows = [row for row in help_rows([scope], read_only=False, keys={}) if not row.key.startswith("#")]
    keyless = {action.id for action in of_scope(scope) if not action.keys}
    bound = {binding.id: [key_name(key) for key in binding.key.split(",")] for binding in bindings(scope)}
    assert {row.key: row.cells[0].text.split() for row in rows if row.key not in keyless} == bound
    assert {row.key for row in rows} == keyless | set(bound)


def test_read_only_refuses_every_action_that_changes_something_and_no_other(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open(read_only=True) as (app, pilot):
            await until(pilot, lambda: app.board is not None)
            for action in all_actions():
                assert app.screen.check_action(action.method.partition("(")[0], ()) is not action.changes, action.id

    asyncio.run(scenario())


def test_the_users_keys_are_checked() -> None:
    chosen, problems = keymap({"runs.cancel": ("ctrl+x",), "runs.nope": ("z",), "runs.pause": ("x2", "slash")})
    assert chosen["runs.cancel"] == "ctrl+x"
    assert any("runs.nope: no such action" in problem for problem in problems)
    assert any("slash is taken by" in problem for problem in problems)


def test_the_users_keys_work_and_the_old_ones_do_not(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open(keys={"everywhere.help": ("f9",)}) as (app, pilot):
            await pilot.press("f1")
            await pilot.pause()
            assert "HELP" not in screen_text(app)[0]
            await pilot.press("f9")
            await until(pilot, lambda: "HELP  Runs" in screen_text(app)[0])
            assert (
                any("f9" in line and "every key" in line for line in screen_text(app))
                or app.screen.query_one(LineList).rows
            )

    asyncio.run(scenario())


def test_the_palette_finds_by_letters_and_runs_the_action(rig: Rig) -> None:
    names = [action.id for action in ranked(all_actions(), "recip")]
    assert names[0] == "everywhere.recipes"

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("colon")
            await until(pilot, lambda: app.board is None)
            await pilot.press(*"go to the recipes", "enter")
            await until(pilot, lambda: "RECIPES" in screen_text(app)[0])
            await until(pilot, lambda: any("quality-gate" in line for line in screen_text(app)))

    asyncio.run(scenario())
