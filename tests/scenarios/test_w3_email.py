"""W3: a letter is drafted, approved as it will be sent, and sent once, whoever dies meanwhile. The mail server is a real one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.post import Post
from tests.scenarios.cli import Wfconsole, until
from tests.scenarios.gate_runs import card, go_on, journal, kinds, status, waiting
from tests.scenarios.letters import configure, dies_at, failure, own, without

SEND = """
inputs: {to: {type: list, default: [ops]}, subject: {default: Hello}, body: {default: "one\\ntwo\\n"}}
steps:
  mail: {email: {via: mail, to: "${{ inputs.to }}", subject: "${{ inputs.subject }}", body: "${{ inputs.body }}"}}
  after: {needs: [mail], set: {id: "${{ steps.mail.outputs.message_id }}"}}
outputs: {id: "${{ steps.after.outputs.id }}"}
"""
ASK = """
steps:
  ship: {approval: {title: Send it?, context: {preview: [mail]}}}
  mail: {needs: [ship], email: {via: mail, to: [ops, ann@example.org], subject: Hello, body: "Grüße\\n"}}
"""
BUILT_IN = Path(__file__).parents[2] / "recipes"
BRIEF = ["-i", "to=Ann <ann@example.org>", "-i", "subject=Überblick", "-i", "brief=All is well.", "-i", "recipient=Ann"]


@pytest.fixture
def post() -> Iterator[Post]:
    with Post() as server:
        yield server


@pytest.fixture
def mine(tmp_path: Path, post: Post) -> Wfconsole:
    """The program with the connection ``mail`` to the server."""
    wf = Wfconsole(tmp_path / "home")
    configure(wf, post)
    return wf


# -------------------------------------------------------------------------------------------------- the recipe that ships


@pytest.mark.engine
def test_w3_an_approved_letter_is_sent_as_it_was_shown(mine: Wfconsole, post: Post) -> None:
    ran = mine.run("run", "approval-email", *BRIEF, "--until-waiting", "--json")
    assert (ran.code, post.box) == (3, []), ran.err
    run_id = str(ran.view["run_id"])
    shown = card(mine, run_id, "approval_gate")
    letter = shown["context"]["preview"]["dispatch_email"]
    assert (letter["to"], letter["subject"]) == (["Ann <ann@example.org>"], "Überblick")
    assert letter["body"] == "Hello Ann,\n\nAll is well.\n"
    assert shown["context"]["files"][0]["path"] == "draft.txt"
    text = mine.run("approvals", run_id, "approval_gate").out
    assert all(words in text for words in ("to       Ann <ann@example.org>", "subject  Überblick", "| All is well."))
    assert mine.run("approve", run_id, "--match-context", shown["context_digest"]).code == 0
    view = go_on(mine, run_id)
    (message,) = post.box
    assert (message["Subject"], message["To"]) == ("Überblick", "Ann <ann@example.org>")
    assert message.get_content().replace("\r\n", "\n") == letter["body"]
    assert (view["status"], view["outputs"]["message_id"]) == ("succeeded", message["Message-ID"])
    assert status(view)["tell_ops"] == "skipped"
    (sent,) = [each for each in view["artifacts"] if each["step_id"] == "dispatch_email"]
    assert (sent["name"], sent["kind"]) == ("message.eml", "file")


@pytest.mark.engine
def test_w3_a_rejected_letter_is_not_sent(mine: Wfconsole, post: Post) -> None:
    ran = mine.run("run", "approval-email", *BRIEF, "--until-waiting", "--json")
    run_id = str(ran.view["run_id"])
    assert mine.run("reject", run_id, "--reason", "no").code == 0
    view = go_on(mine, run_id)
    assert (view["status"], status(view)["dispatch_email"], post.box) == ("cancelled", "cancelled", [])


@pytest.mark.engine
def test_w3_a_letter_that_nobody_decided_calls_the_hook_and_tells_the_operators(
    mine: Wfconsole, post: Post, tmp_path: Path
) -> None:
    keep = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    hook = [sys.executable, "-c", keep, str(tmp_path / "kept")]
    configure(mine, post, more=f"[hooks]\napproval_expired = {json.dumps(hook)}\n")
    shutil.copytree(BUILT_IN / "approval-email", mine.home / "recipes" / "approval-email")
    text = (BUILT_IN / "approval-email.yaml").read_text()
    assert "timeout: 24h" in text
    (mine.home / "recipes" / "approval-email.yaml").write_text(text.replace("timeout: 24h", "timeout: 100ms"))
    ran = mine.run("run", "approval-email", *BRIEF, "--json")
    view = ran.view
    assert (ran.code, view["status"]) == (4, "cancelled"), ran.err
    (message,) = post.box
    assert (message["To"], message["Subject"]) == ("ops@example.org", "Not sent: Überblick")
    events = journal(mine, str(view["run_id"]))
    (expired,) = [event for event in events if event["type"] == "approval_expired"]
    assert (expired["event"], expired["action"]) == ("approval_timeout", "cancel_and_notify")
    assert json.loads((tmp_path / "kept").read_text()) == expired
    (told,) = [event for event in events if event["type"] == "notification_sent"]
    assert told["gate_id"] == expired["gate_id"]
    assert events.index(expired) < events.index(told)
    assert events[-1]["type"] == "run_cancelled"


# --------------------------------------------------------------------------------------------------------- exactly once


def test_w3_a_run_killed_while_the_server_has_the_letter_goes_on_and_sends_no_other(
    mine: Wfconsole, post: Post
) -> None:
    has, dead = threading.Event(), threading.Event()

    def hold() -> None:
        has.set()
        assert dead.wait(30)

    post.at["data"] = hold
    with mine.live("run", own(mine, "send", SEND), "--id", "key", "--json") as live:
        run_id = live.run_id
        assert has.wait(30)
        os.killpg(live.process.pid, signal.SIGKILL)  # all that runs in its terminal
        live.process.wait()
    dead.set()
    assert mine.show(run_id)["status"] == "running"
    again = mine.run("run", "send", "--id", "key", "--json")
    assert (again.code, again.view["status"], again.view["run_id"]) == (0, "succeeded", run_id), again.err
    assert (len(post.data), len(post.box)) == (1, 1)
    assert again.view["outputs"]["id"] == post.ids[0]
    assert again.view["warnings"] == []


def test_w3_a_run_killed_between_the_servers_answer_and_its_record_goes_on_and_sends_no_other(
    mine: Wfconsole, post: Post
) -> None:
    own(mine, "send", SEND)
    assert dies_at(mine, "attempt_ended", "mail#1", "run", "send", "--id", "key") == -signal.SIGKILL
    assert len(post.box) == 1
    (row,) = mine.run("runs", "--json").json["runs"]
    assert "step_succeeded" not in kinds(mine, row["run_id"])
    view = go_on(mine, row["run_id"])
    assert (view["status"], len(post.data), view["outputs"]["id"]) == ("succeeded", 1, post.ids[0])
    assert [attempt["n"] for attempt in view["steps"][0]["attempts"]] == [1]


def test_w3_a_letter_of_which_nobody_knows_whether_it_arrived_is_sent_with_its_id_and_that_is_said(
    mine: Wfconsole, post: Post
) -> None:
    """As after the host went down: neither the run nor its sender is left, and the server's word was lost."""
    own(mine, "send", SEND)

    def down() -> None:
        (box,) = mine.home.glob("runs/*/outbox/mail")
        sender = json.loads((box / "sender.json").read_text())["pid"]
        live.process.send_signal(signal.SIGKILL)
        live.process.wait()
        os.kill(sender, signal.SIGKILL)

    with mine.live("run", "send", "--id", "key", "--json") as live:
        run_id = live.run_id
        post.at["data"] = down
        until(lambda: live.process.poll() is not None and post.data, lambda: repr(live.stderr))
    post.at.clear()
    view = go_on(mine, run_id)
    assert (view["status"], len(post.data), len(set(post.data))) == ("succeeded", 2, 1)
    assert any("not known whether" in text for text in view["warnings"])


# ------------------------------------------------------------------------------------------------------- what was approved


def test_w3_the_card_binds_addresses_and_text(mine: Wfconsole, post: Post) -> None:
    run_id = waiting(mine, mine.home / "recipes" / f"{own(mine, 'ask', ASK)}.yaml")
    shown = card(mine, run_id, "ship")["context"]["preview"]["mail"]
    assert shown["to"] == ["ops@example.org", "ann@example.org"]
    assert mine.run("approve", run_id).code == 0
    assert go_on(mine, run_id)["status"] == "succeeded"
    assert post.envelopes[0].rcpt_tos == ["ops@example.org", "ann@example.org"]


def test_w3_an_alias_that_means_somebody_else_since_sends_nothing(mine: Wfconsole, post: Post) -> None:
    run_id = waiting(mine, mine.home / "recipes" / f"{own(mine, 'ask', ASK)}.yaml")
    configure(mine, post, ops="eve@example.org")
    assert mine.run("approve", run_id).code == 0
    view = go_on(mine, run_id)
    why = failure(view, "mail")
    assert (view["status"], why["code"], post.data) == ("failed", "DECISION_STALE", [])
    assert "to changed since" in why["message"]


def test_w3_a_letter_that_says_something_else_since_is_not_sent(mine: Wfconsole, post: Post) -> None:
    text = ASK.replace('body: "Grüße\\n"', 'body: "${{ gates.ship.reason }}"')
    run_id = waiting(mine, mine.home / "recipes" / f"{own(mine, 'ask', text)}.yaml")
    assert mine.run("approve", run_id, "--reason", "and pay eve").code == 0
    view = go_on(mine, run_id)
    assert (failure(view, "mail")["code"], post.data) == ("DECISION_STALE", [])


def test_w3_a_letter_that_could_not_be_sent_opens_no_gate(mine: Wfconsole, post: Post) -> None:
    text = ASK.replace("subject: Hello", 'subject: "Hi\\nBcc: eve@example.org"')
    run_id = waiting(mine, mine.home / "recipes" / f"{own(mine, 'ask', text)}.yaml")
    why = failure(mine.show(run_id), "ship")
    assert (why["code"], post.data) == ("CONTEXT_INCOMPLETE", [])
    assert "preview of mail: a line break in the subject" in why["message"]


# ------------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    "given",
    ["subject=Hi\nBcc: eve@example.org", 'to=["ann@example.org\\nBcc: eve@example.org"]'],
)
def test_w3_what_cannot_be_a_letter_fails_the_step_and_nothing_is_sent(mine: Wfconsole, post: Post, given: str) -> None:
    ran = mine.run("run", own(mine, "send", SEND), "-i", given, "--json")
    assert (ran.code, failure(ran.view, "mail")["code"], post.data) == (5, "EFFECT_FAILED", []), ran.err


def test_w3_the_servers_words_are_the_failure_and_a_retry_has_the_same_id(mine: Wfconsole, post: Post) -> None:
    replies = ["451 4.7.1 greylisted", None]
    post.at["data"] = lambda: replies.pop(0)
    text = SEND.replace("mail: {email", "mail: {retry: {attempts: 2, backoff: 1ms}, email")
    ran = mine.run("run", own(mine, "send", text), "--json")
    assert (ran.code, len(post.box), len(set(post.data))) == (0, 1, 1), ran.err
    first, second = ran.view["steps"][0]["attempts"]
    assert (first["cause"]["code"], second["outcome"]) == ("EFFECT_FAILED", "succeeded")
    assert "451 4.7.1 greylisted" in first["cause"]["message"]
    post.at["data"] = lambda: "554 5.7.1 no thanks"
    refused = mine.run("run", "send", "--json")
    assert (refused.code, len(refused.view["steps"][0]["attempts"])) == (5, 1)
    assert "554 5.7.1 no thanks" in failure(refused.view, "mail")["message"]


def test_w3_a_cancel_stops_a_letter_that_the_server_does_not_have_yet(mine: Wfconsole, post: Post) -> None:
    asked, go = threading.Event(), threading.Event()

    def hold() -> None:
        asked.set()
        go.wait(30)

    post.at["ops@example.org"] = hold
    with mine.live("run", own(mine, "send", SEND), "--json") as live:
        assert asked.wait(30)
        assert mine.run("cancel", live.run_id).code == 0
        ended = live.end()
    go.set()
    assert (ended.code, ended.view["status"], post.data) == (4, "cancelled", [])


def test_w3_a_connection_that_nobody_configured_is_refused_before_anything_is_created(
    mine: Wfconsole, post: Post
) -> None:
    ran = mine.run("run", own(mine, "send", SEND.replace("via: mail", "via: post")), "--json")
    assert (ran.code, ran.error["code"]) == (2, "RECIPE_INVALID")
    assert "connection 'post'" in ran.error["message"]
    assert "[connections.post]" in ran.error["hint"]
    assert mine.run("runs", "--json").json["runs"] == []


def test_w3_no_password_is_anywhere_but_where_the_operator_keeps_it(tmp_path: Path) -> None:
    secret = "correct-horse-battery"
    wf = Wfconsole(tmp_path / "home")
    with Post() as post:
        configure(wf, post)
        with (wf.home / "config.toml").open("a") as out:
            out.write('user = "flow"\npassword_file = "pw"\n')
        (wf.home / "pw").write_text(secret)
        ran = wf.run("run", own(wf, "send", SEND), "--json")
    assert ran.code == 5, ran.err  # this server takes no logins
    assert secret not in ran.out + ran.err
    assert without(wf, secret) == []


# ---------------------------------------------------------------------------------------------------------------- trust


def test_a_recipe_of_somebody_else_sends_nothing_until_it_is_trusted_in_this_very_form(
    mine: Wfconsole, post: Post, tmp_path: Path
) -> None:
    path = tmp_path / "send.yaml"
    path.write_text(f"recipe: send\n{SEND}")
    refused = mine.run("run", path, "--json")
    assert (refused.code, refused.error["code"]) == (6, "POLICY_BLOCKED")
    assert f"wfconsole recipes trust {path}" in refused.error["hint"]
    assert (mine.run("runs", "--json").json["runs"], post.data) == ([], [])
    validated = mine.run("recipes", "validate", path, "--json")
    assert (validated.code, validated.json["valid"]) == (0, True)
    assert [item["code"] for item in validated.json["findings"]] == ["POLICY_BLOCKED"]
    assert mine.run("recipes", "trust", path).code == 0
    assert mine.run("recipes", "validate", path, "--json").json["findings"] == []
    assert (mine.run("run", path).code, len(post.box)) == (0, 1)
    (item,) = mine.run("recipes", "trust", "--list", "--json").json["trusted"]
    assert (item["name"], item["path"]) == ("send", str(path))
    path.write_text(f"recipe: send\n{SEND.replace('Hello', 'Changed')}")
    assert (mine.run("run", path).code, len(post.box)) == (6, 1)
    assert mine.run("recipes", "trust", path).code == 0
    assert (mine.run("run", path).code, len(post.box)) == (0, 2)
    assert mine.run("recipes", "trust", "send", "--revoke").code == 0
    assert mine.run("recipes", "trust", "--list", "--json").json["trusted"] == []
    assert mine.run("run", path).code == 6
    assert mine.run("recipes", "trust", "send", "--revoke", "--json").error["code"] == "NOT_FOUND"


def test_the_users_own_recipes_are_trusted_by_name_and_by_path(mine: Wfconsole, post: Post) -> None:
    own(mine, "send", SEND)
    assert mine.run("run", "send").code == 0
    assert mine.run("run", mine.home / "recipes" / "send.yaml").code == 0
    assert len(post.box) == 2


def test_a_recipe_without_effects_needs_no_trust(mine: Wfconsole, tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text("recipe: plain\nsteps: {a: {set: {b: 1}}}\n")
    assert mine.run("run", path).code == 0


def test_trust_that_cannot_be_read_trusts_nobody(mine: Wfconsole, tmp_path: Path) -> None:
    path = tmp_path / "send.yaml"
    path.write_text(f"recipe: send\n{SEND}")
    (mine.home / "trusted.json").write_text("{")
    refused = mine.run("run", path, "--json")
    assert (refused.code, refused.error["code"]) == (5, "STORE_CORRUPT")
