"""What a request is refused with before there is a run: everything that is wrong at once, or that it could not be pinned."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.control.rig import Desk
from tests.control.test_starting import REPO, create
from tests.engine.rig import play, step
from wfconsole.control.door import InvalidRequestError
from wfconsole.domain.plan import CheckRule, InputSpec
from wfconsole.ports import Commit, StoreConflictError, WfconsoleError


def rule(that: str) -> CheckRule:
    return CheckRule(that=that, message=that)


def test_st_wf_001_3_wrong_inputs_broken_checks_and_the_key_are_told_at_once(tmp_path: Path) -> None:
    """A check that reads a wrong input, or all of them, can say nothing yet."""
    desk = Desk(tmp_path)
    number = partial(InputSpec, type="integer", has_default=True, default=1)
    desk.compiles_to(
        step("a"),
        inputs=(REPO, number(name="floor"), number(name="top", minimum=0)),
        checks=tuple(
            map(rule, ("inputs['floor'] < 5", "inputs['top'] < 5", "len(inputs) < 2", "1 > 2", "inputs['floor'] > 0"))
        ),
    )
    with pytest.raises(InvalidRequestError) as caught:
        play(lambda: create(desk, inputs={"floor": "9", "top": "-1"}, workflow_id="no key"))
    told = [(problem.code, problem.where, problem.message) for problem in caught.value.problems]
    assert [(code, where) for code, where, _ in told] == [
        ("INPUT_MISSING", "repo"),
        ("INPUT_INVALID", "top"),
        ("INPUT_INVALID", "check"),
        ("INPUT_INVALID", "check"),
        ("INPUT_INVALID", "--id"),
    ]
    assert [message for _, where, message in told if where == "check"] == ["inputs['floor'] < 5", "1 > 2"]
    assert caught.value.code == "INPUT_INVALID"
    assert desk.folders() == []


def test_st_wf_001_3_missing_inputs_alone_have_a_code_of_their_own(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"), inputs=(REPO, InputSpec(name="n", type="integer", required=True)))
    with pytest.raises(InvalidRequestError) as caught:
        play(lambda: create(desk))
    assert (caught.value.code, len(caught.value.problems)) == ("INPUT_MISSING", 2)


def test_st_wf_002_3_a_run_that_the_store_does_not_take_is_not_pinned_and_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"))

    async def refuse(_commit: Commit) -> None:
        raise StoreConflictError(
            "STORE_BUSY", "the store refuses this: full", "look at it and try again", {"at": "full"}
        )

    monkeypatch.setattr(desk.rig.store, "commit", refuse)
    with pytest.raises(WfconsoleError) as caught:
        play(lambda: create(desk, workflow_id="k"))
    assert caught.value.code == "VERSION_NOT_PINNED"
    assert "full" in caught.value.message
    assert (caught.value.details, bool(caught.value.hint)) == ({"at": "full"}, True)
    assert desk.folders() == []
    assert play(lambda: desk.rig.store.run_of_workflow("k")) is None
