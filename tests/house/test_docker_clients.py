"""Every Docker client is one of ours: the SDK's own leaves a socket to the garbage collector when its connect fails."""

from __future__ import annotations

import re
from pathlib import Path

from tests.house.tree import ROOT

OURS = Path("src/wfconsole/sandbox/client.py")
STOCK = re.compile(r"\b(?:docker\.)?(?:from_env|APIClient|DockerClient)\(")


def test_nobody_makes_a_stock_client() -> None:
    made = []
    for folder in ("src", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT)
            if name == OURS or path == Path(__file__).resolve():
                continue
            text = path.read_text().replace("LocalDocker.from_env(", "")
            made += [f"{name}: {found.group()}" for found in STOCK.finditer(text)]
    assert made == []


def test_a_stock_client_would_be_found() -> None:
    for line in ("docker.from_env()", "x = APIClient(version='auto')", "docker.DockerClient(base_url=1)"):
        assert STOCK.search(line)
