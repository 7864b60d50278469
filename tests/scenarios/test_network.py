"""A step's network from the recipe: expressions in the list, what is recorded, what was refused, and the card's risk line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, recipe, step

pytestmark = pytest.mark.engine
ASK = (
    "import os, socket; h, p = os.environ['HTTPS_PROXY'][7:].split(':'); s = socket.create_connection((h, int(p)), 5); "
    "s.sendall(b'CONNECT elsewhere.test:443 HTTP/1.1\\\\r\\\\n\\\\r\\\\n'); print(s.recv(99).split()[1].decode())"
)
PLAN = f"""
inputs: {{host: {{type: string, default: example.test}}}}
workspace: {{source: .}}
steps:
  ask: {{run: [[python, -c, "{ASK}"]], network: ["${{{{ inputs.host }}}}:443", "other.test:5432"]}}
  wide: {{needs: [ask], shell: "ls /sys/class/net", network: bridge}}
  gate: {{needs: [wide], approval: {{title: Ship?}}}}
commands: {{shell: allow}}
"""


def test_an_allow_list_is_resolved_recorded_and_told(wf: Wfconsole, place: Path, repo: Path) -> None:
    path = recipe(repo, "reaching", PLAN)
    ran = wf.run("run", path, "-i", "host=example.net", "--until-waiting", "--json")
    assert ran.code == 3, ran.err
    started = next(event for event in ran.objects if event["type"] == "step_started" and event["step_id"] == "ask")
    assert started["resolved"]["network"] == ["example.net:443", "other.test:5432"]
    view = ran.view
    assert (
        "ask: the network let nothing through to elsewhere.test:443: the step's `network` does not list it"
        in view["warnings"]
    )
    logs = wf.folder(view["run_id"]) / "bundle/logs"
    assert (logs / "ask/1/0.stdout").read_text() == "403\n"
    assert step(view, "wide")["status"] == "succeeded"
    card = wf.run("approvals", view["run_id"])
    assert "wide: bridge" in card.out
    assert "ask: ${{ inputs.host }}:443, other.test:5432" in card.out
    assert wf.run("cancel", view["run_id"]).code in {0, 4}


@pytest.mark.parametrize("host", ["a b", "x/y", ""])
def test_a_place_that_an_expression_spoils_fails_the_step(wf: Wfconsole, repo: Path, host: str) -> None:
    path = recipe(repo, "spoiled", PLAN)
    ran = wf.run("run", path, "-i", f"host={host}", "--json")
    assert ran.code == 1
    failure = ran.view["failure"]
    assert failure["code"] == "INPUT_INVALID"
    assert "is no host:port" in failure["message"]
