"""One schema, told four ways: SQLModel, the checked-in statements, the migrations, and the hot path's statements."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from wfconsole.ports import WfconsoleError
from wfconsole.store import database, migrate, opening, schema, statements, tables
from wfconsole.store.triggers import TRIGGERS, VIEWS

Described = dict[tuple[str, str], str]


def described(path: Path) -> Described:
    """Every object of a database by kind and name, its text with single spaces."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    return {
        (kind, name): " ".join((sql or "").replace("(", " ( ").replace(")", " ) ").split()) for kind, name, sql in rows
    }


def before_the_first_revision(folder: Path) -> Path:
    path = folder / database.NAME
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        db.execute(schema.VERSION_TABLE)
    return path


def add_meta(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO meta VALUES (1, 'an id', 'wfconsole', 0)")


def test_the_checked_in_statements_are_what_sqlmodel_declares() -> None:
    assert tables.ddl() == schema.TABLES, "run python -m wfconsole.store.tables"


def test_a_migrated_schema_equals_a_fresh_one(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.db"
    opening.create(fresh)
    old = before_the_first_revision(tmp_path)
    migrate.upgrade(old, None)
    assert described(old) == described(fresh)
    with closing(sqlite3.connect(old)) as db:
        assert db.execute(statements.REVISION).fetchall() == [(schema.HEAD,)]
    assert {name for kind, name in described(fresh) if kind == "trigger"} == set(TRIGGERS)
    assert {name for kind, name in described(fresh) if kind == "view"} == set(VIEWS)


def test_views_and_triggers_of_an_older_version_give_way_to_those_of_the_one_list(tmp_path: Path) -> None:
    """Whatever their names and their words were: nothing but the list decides what there is afterwards."""
    fresh = tmp_path / "fresh.db"
    opening.create(fresh)
    old = before_the_first_revision(tmp_path)
    with closing(sqlite3.connect(old)) as db:
        db.execute("CREATE VIEW marks AS SELECT 'forged' AS run_id, 's' AS step")
        db.execute("CREATE VIEW runs_of_old AS SELECT 1")
        for name in ("journal_no_delete", "an_old_one"):
            db.execute(f"CREATE TRIGGER {name} BEFORE INSERT ON alembic_version BEGIN SELECT 1; END")
    migrate.upgrade(old, None)
    assert described(old) == described(fresh)


def test_alembic_is_imported_when_the_revision_differs_and_only_then(tmp_path: Path) -> None:
    program = """
import pathlib, sys
from wfconsole.store import opening
try:
    print(opening.check(pathlib.Path(sys.argv[1])))
finally:
    print(*sorted({"alembic", "sqlalchemy", "sqlmodel"} & sys.modules.keys()))
"""
    path = before_the_first_revision(tmp_path)

    def said() -> str:
        argv = [sys.executable, "-c", program, str(path)]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout

    assert said() == "alembic sqlalchemy\n"  # migrated, and refused: it has no identity
    add_meta(path)
    assert said() == "an id\n\n"


def test_the_known_revisions_are_those_of_the_folder() -> None:
    scripts = ScriptDirectory.from_config(migrate.config()).walk_revisions()
    assert tuple(script.revision for script in scripts)[::-1] == schema.REVISIONS


def test_opening_an_older_store_backs_it_up_and_migrates_it(tmp_path: Path) -> None:
    path = before_the_first_revision(tmp_path)
    before = described(path)
    with pytest.raises(WfconsoleError, match="no row in `meta`"):
        opening.check(path)
    add_meta(path)
    assert opening.check(path) == "an id"
    backups = list((tmp_path / migrate.BACKUPS).iterdir())
    assert [described(backup) for backup in backups] == [before]


def test_two_openers_migrate_once(tmp_path: Path) -> None:
    path = before_the_first_revision(tmp_path)
    errors: list[Exception] = []

    def open_it() -> None:
        try:
            migrate.upgrade(path, None)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(list((tmp_path / migrate.BACKUPS).iterdir())) == 1


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = before_the_first_revision(tmp_path)
    before = described(path)
    monkeypatch.setitem(TRIGGERS, "wrong", "CREATE TRIGGER wrong BEFORE INSERT ON nowhere BEGIN SELECT 1; END")
    with pytest.raises(Exception, match="nowhere"):
        migrate.upgrade(path, None)
    assert described(path) == before


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path, _ = opening.ensure(tmp_path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")
    before = described(path)
    with pytest.raises(WfconsoleError) as caught:
        opening.ensure(tmp_path)
    assert caught.value.code == "STORE_TOO_NEW"
    assert described(path) == before


def test_every_statement_compiles_against_the_schema(tmp_path: Path) -> None:
    path, _ = opening.ensure(tmp_path)
    constants = {name: value for name, value in vars(statements).items() if name.isupper()}
    texts = [text for value in constants.values() for text in _texts(value)]
    assert len(texts) > 30
    listed, _ = statements.listing(statuses=("a", "b"), recipe="r", project="p", since_ms=1, limit=2)
    with closing(sqlite3.connect(path)) as db:
        for text in (*texts, listed):
            numbered = [int(number) for number in re.findall(r"\?(\d+)", text)]
            count = max(numbered) if numbered else text.count("?")
            db.execute(f"EXPLAIN {text}", (None,) * count)


@pytest.mark.parametrize("name", ["APPEND", "POST", "RUN_CREATED", "STEP_PLANNED", "CLAIM", "ARTIFACT", "SAVE_INTENT"])
def test_an_insert_names_every_column_of_its_sqlmodel_table(name: str) -> None:
    text = getattr(statements, name)
    found = re.match(r"INSERT INTO (\w+) \(([^)]*)\)", text)
    assert found is not None
    declared = [column.name for column in SQLModel.metadata.tables[found[1]].columns]
    named = found[2].split(", ")
    assert named == (declared[1:] if found[1] == "inbox" else declared)


def test_the_hot_path_imports_neither_sqlmodel_nor_sqlalchemy_nor_alembic(tmp_path: Path) -> None:
    program = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[2])
from tests.store.samples import Run, step
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.artifacts import DiskArtifacts
async def main():
    store = SqliteStore.open(pathlib.Path(sys.argv[1]))
    run = Run("run-1")
    await store.commit(run.create())
    await store.commit(run.next(*step("a")))
    await store.load(await store.find_run("@latest"))
    await store.close()
asyncio.run(main())
print(sorted({name.split(".")[0] for name in sys.modules} & {"sqlmodel", "sqlalchemy", "alembic", "pydantic"}))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(root)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value] if " " in value else []
    if isinstance(value, dict):
        return [str(item) for item in value.values()]
    return [str(item) for item in value] if isinstance(value, tuple) else []
