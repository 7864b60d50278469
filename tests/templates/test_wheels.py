"""A wheel is laid out as the sandbox's interpreter expects it, whichever Python unpacks it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.templates.wheels import unpack

LIBRARIES = "usr/local/lib/python3.11/dist-packages"


def _wheel(folder: Path, members: dict[str, str]) -> Path:
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_libraries_scripts_data_and_entry_points_find_their_places(tmp_path: Path) -> None:
    members = {
        "tiny/__init__.py": "",
        "tiny/cli.py": "class App:\n    @staticmethod\n    def main() -> int:\n        print('hello')\n        return 3\n",
        "tiny-1.0.data/scripts/old": "#!python\nprint(1)\n",
        "tiny-1.0.data/data/share/tiny.txt": "x",
        "tiny-1.0.data/purelib/more.py": "",
        "tiny-1.0.dist-info/entry_points.txt": "[console_scripts]\nTiny = tiny.cli:App.main [extra]\n[other]\na = b\n",
    }
    unpack([_wheel(tmp_path, members)], tmp_path / "root", "3.11")
    root = tmp_path / "root"
    assert (root / LIBRARIES / "tiny/cli.py").is_file()
    assert (root / LIBRARIES / "more.py").is_file()
    assert (root / "usr/local/share/tiny.txt").read_text() == "x"
    assert (root / "usr/local/bin/old").read_text() == "#!/usr/bin/python3\nprint(1)\n"
    command = root / "usr/local/bin/Tiny"
    assert command.read_text().startswith("#!/usr/bin/python3\n")
    assert os.access(command, os.X_OK)
    assert not os.access(root / LIBRARIES / "more.py", os.X_OK)
    env = {"PYTHONPATH": str(root / LIBRARIES)}
    done = subprocess.run([sys.executable, command], capture_output=True, text=True, check=False, env=env)
    assert (done.stdout, done.returncode) == ("hello\n", 3)


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "tiny/../../evil"])
def test_a_member_outside_of_the_wheel_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WfconsoleError, match="outside"):
        unpack([_wheel(tmp_path, {name: "x"})], tmp_path / "root", "3.11")
    assert not (tmp_path / "evil.py").exists()
