"""Rows of users in a project's own tables: exported, erased, renamed, and bound to their user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from parley.manifest import manifest
from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley.repository.paging import encode
from parley.repository.scope import OfUser
from parley.timing import PAGE_MARGIN_SECONDS
from parley.users import erasure, export, project_rows
from parley_testing import projects
from parley_testing.api.handlers import load_function
from parley_testing.postgres.databases import owner_url

pytestmark = pytest.mark.in_turns

MIGRATION = """
from alembic import op
revision, down_revision = "one", None
def upgrade():
    op.execute("CREATE SCHEMA bistro")
    op.execute(
        "CREATE TABLE bistro.bookings (guest text NOT NULL, day date, seat int, price numeric,"
        " idempotency_key text, fingerprint bytea DEFAULT '', PRIMARY KEY (day, seat),"
        " UNIQUE (guest, idempotency_key))"
    )
    op.execute(
        "CREATE TABLE wishes (id text PRIMARY KEY, day date, seat int, wish text,"
        " FOREIGN KEY (day, seat) REFERENCES bistro.bookings ON DELETE CASCADE)"
    )
    op.execute('CREATE TABLE "Stamps" (user_id text PRIMARY KEY, stamps int NOT NULL)')
    op.execute("CREATE TABLE tables (seat int PRIMARY KEY)")
    op.execute("CREATE TABLE letters (id serial PRIMARY KEY, about text, said text)")
"""

TABLES = """
from sqlalchemy import text
from parley import NotOfUsers, UserData, UserTable

def export(connection, user_id):
    read = text("SELECT said FROM letters WHERE about = :about ORDER BY id")
    for row in connection.execute(read, {"about": "to " + user_id}):
        yield {"said": row.said}

def erase(connection, user_id):
    delete = text("DELETE FROM letters WHERE about = :about")
    return connection.execute(delete, {"about": "to " + user_id}).rowcount

def rename(connection, old, new):
    move = text("UPDATE letters SET about = :new WHERE about = :old")
    return connection.execute(move, {"old": "to " + old, "new": "to " + new}).rowcount

def tables():
    return [
        UserTable("bistro.bookings", "guest",
                  left_out=("fingerprint",), own_keys=("idempotency_key",)),
        UserTable("Stamps", row_security=False),
        UserData("letters", export, erase, rename, tables=("letters",)),
        NotOfUsers("tables"),
    ]
"""


class Project:
    """A project with tables, in the test's database.

    Attributes:
        migration: What its one migration is.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, database_url: str) -> None:
        self.migration = MIGRATION
        self._root = root
        self._patch = patch
        self._url = owner_url(database_url)
        projects.make_room(self._url)
        patch.syspath_prepend(root)

    def migrate(self, module: str, code: str = TABLES) -> Mapping[str, Any]:
        """Let a module of this name say what is kept, and migrate."""
        folder = self._root / "migrations"
        folder.mkdir(exist_ok=True)
        (folder / "one.py").write_text(self.migration)
        (self._root / f"{module}.py").write_text(code)
        own = replace(manifest(), migrations=str(folder), user_data=f"{module}:tables")
        projects.offer(self._patch, own)
        self._patch.setenv("DATABASE_URL", self._url)
        answer: Mapping[str, Any] = load_function("migrate").handler({"action": "migrate"}, None)
        return answer


@pytest.fixture
def project(
    tmp_path: Path, environment: pytest.MonkeyPatch, database_url: str
) -> Iterator[Project]:
    root = tmp_path / "bistro"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        yield Project(root, patch, database_url)
    projects.forget()


@pytest.fixture
def rows(project: Project, sql: psycopg.Connection) -> None:
    """Have rows of ada's and of bob's; the keys of his three are among hers."""
    project.migrate("kept")
    for seat, guest in enumerate(["ada"] * 45 + ["bob"] * 3):
        sql.execute(
            "INSERT INTO bistro.bookings VALUES (%s, '2026-12-24', %s, 12345678901234567.89, %s)",
            [guest, seat, f"k{seat % 45}"],
        )
    sql.execute("INSERT INTO wishes VALUES ('w', '2026-12-24', 0, 'a window')")
    sql.execute("INSERT INTO \"Stamps\" VALUES ('ada', 7), ('bob', 1)")
    sql.execute("INSERT INTO tables VALUES (1)")
    sql.execute("INSERT INTO letters (about, said) VALUES ('to ada', 'hello'), ('to bob', 'hi')")


def own_rows(pages: list[list[dict[str, Any]]]) -> list[tuple[str, Any]]:
    return [(one["table"], one["row"]) for page in pages for one in page if one["type"] == "row"]


@pytest.mark.usefixtures("rows")
def test_each_row_of_the_user_is_exported_once_with_all_its_digits(admin: Any) -> None:
    rows = own_rows(admin.exported("ada"))

    bookings = [row for table, row in rows if table == "bistro.bookings"]
    assert [row["seat"] for row in bookings] == list(range(45))
    assert all("fingerprint" not in row and row["guest"] == "ada" for row in bookings)
    assert [(table, row) for table, row in rows if table != "bistro.bookings"] == [
        ("Stamps", {"user_id": "ada", "stamps": 7}),
        ("letters", {"said": "hello"}),
    ]
    assert admin.export("ada").body.count('"price": 12345678901234567.89') == 45


@pytest.mark.usefixtures("rows")
def test_over_many_pages_it_is_the_same(admin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = own_rows(admin.exported("ada"))
    monkeypatch.setattr(export, "_ROWS_AT_ONCE", 2)

    pages = admin.exported("ada", seconds=PAGE_MARGIN_SECONDS - 1)

    assert own_rows(pages) == whole
    assert len(pages) > 45


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    "place",
    [
        ["project", "bistro.bookings", ["2026-12-24"]],
        ["project", "bistro.bookings", ["no day", "1"]],
        ["project", "bistro.bookings", ["2026-12-24\0", "1"]],
        ["project", "letters", ["-1"]],
        ["project", "nothing", ["1"]],
    ],
)
def test_a_cursor_that_none_gave_is_refused(admin: Any, place: list[Any]) -> None:
    answer = admin("GET", "/admin/users/ada/export", query={"cursor": encode(place)})

    assert answer.status == 422, answer
    assert "cursor" in answer.body


@pytest.mark.usefixtures("rows")
def test_all_of_the_user_goes_and_nothing_of_others(
    admin: Any, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_rows, "ROWS_A_PAGE", 20)

    erased = admin.erase("ada")

    assert erased["project"] == {"bistro.bookings": 45, "Stamps": 1, "letters": 1}
    assert (erased["rows"], erased["done"]) == (46, True)
    assert sql.execute("SELECT guest FROM bistro.bookings").fetchall() == [("bob",)] * 3
    assert sql.execute('SELECT user_id FROM "Stamps"').fetchall() == [("bob",)]
    assert sql.execute("SELECT about FROM letters").fetchall() == [("to bob",)]
    assert sql.execute("SELECT FROM wishes").rowcount == 0
    assert sql.execute("SELECT FROM tables").rowcount == 1


@pytest.mark.usefixtures("rows")
def test_when_time_is_up_erasing_again_goes_on(
    database: Database, memory: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_rows, "ROWS_A_PAGE", 20)
    eraser = erasure.Eraser(database, lambda: memory)
    steps: list[erasure.Erased] = []

    while not steps or not steps[-1].done:
        pages = iter([60.0, 60.0, 60.0, 60.0, 0.0])
        steps.append(eraser.erase("ada", left=lambda pages=pages: next(pages)))  # type: ignore[misc]

    assert len(steps) > 1
    assert sum(step.project.get("bistro.bookings", 0) for step in steps) == 45
    assert sum(step.project.get("letters", 0) for step in steps) == 1


@pytest.mark.usefixtures("rows")
def test_renamed_they_are_the_other_s_without_a_key_that_the_other_has(
    admin: Any, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_rows, "ROWS_A_PAGE", 20)
    sql.execute("DELETE FROM \"Stamps\" WHERE user_id = 'bob'")

    answer = admin("POST", "/admin/users/ada/rename", {"new_user_id": "bob"})

    assert answer.status == 200, answer
    assert answer.json["project"] == {"bistro.bookings": 45, "Stamps": 1, "letters": 1}
    keys = sql.execute("SELECT seat, idempotency_key FROM bistro.bookings WHERE guest = 'bob'")
    kept: dict[int, str | None] = dict(keys.fetchall())
    assert len(kept) == 48
    assert sorted(seat for seat, key in kept.items() if key is None) == [0, 1, 2]
    assert sql.execute('SELECT user_id, stamps FROM "Stamps"').fetchall() == [("bob", 7)]
    assert sql.execute("SELECT FROM letters WHERE about = 'to bob'").rowcount == 2


@pytest.mark.usefixtures("rows")
def test_rows_for_which_there_is_no_room_are_told_of(admin: Any, sql: psycopg.Connection) -> None:
    answer = admin("POST", "/admin/users/ada/rename", {"new_user_id": "bob"})

    assert answer.status == 422
    assert "has rows in Stamps that leave no room" in answer.body
    assert sql.execute('SELECT user_id FROM "Stamps" ORDER BY 1').fetchall() == [("ada",), ("bob",)]


@pytest.mark.usefixtures("rows")
def test_what_is_done_for_a_user_meets_that_user_s_rows_only(database: Database) -> None:
    seen = text("SELECT DISTINCT guest FROM bistro.bookings ORDER BY 1")
    shared = text('SELECT user_id FROM "Stamps" ORDER BY 1')

    assert database.run(OfUser("bob"), seen) == [("bob",)]
    assert database.run(OfUser("bob"), shared) == [("ada",), ("bob",)]
    taking = text("UPDATE bistro.bookings SET price = 0 RETURNING guest")
    assert set(database.run(OfUser("bob"), taking)) == {("bob",)}
    with pytest.raises(Exception, match="row-level security"):
        database.run(
            OfUser("bob"), text("INSERT INTO bistro.bookings VALUES ('ada', '2026-01-01', 1)")
        )


@pytest.mark.usefixtures("rows")
def test_a_table_that_is_named_no_more_is_bound_no_more(
    project: Project, database: Database
) -> None:
    seen = text("SELECT DISTINCT guest FROM bistro.bookings ORDER BY 1")

    project.migrate("unnamed", "tables = []\n")

    assert database.run(OfUser("bob"), seen) == [("ada",), ("bob",)]


def policies(sql: psycopg.Connection) -> list[tuple[Any, ...]]:
    return sql.execute("SELECT oid, polname FROM pg_policy ORDER BY 1").fetchall()


@pytest.mark.usefixtures("rows")
def test_migrating_again_changes_no_policy(project: Project, sql: psycopg.Connection) -> None:
    before = policies(sql)

    project.migrate("again")

    assert policies(sql) == before


def test_a_table_with_policies_of_its_owner_s_is_left_to_them(
    project: Project, sql: psycopg.Connection, database: Database
) -> None:
    project.migration += """
    op.execute("ALTER TABLE bistro.bookings ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY mine ON bistro.bookings USING (seat = 1)")
"""
    project.migrate("secured")
    project.migrate("secured_again")
    sql.execute("INSERT INTO bistro.bookings VALUES ('ada', now(), 1), ('ada', now(), 2)")

    assert database.run(OfUser("ada"), text("SELECT seat FROM bistro.bookings")) == [(1,)]
    assert database.run(OfUser("bob"), text("SELECT seat FROM bistro.bookings")) == []


WRONG = [
    ('"bistro.bookings", "guest"', '"bookings", "guest"', "table bookings, which is not there"),
    ('"guest"', '"who"', "names who of bistro.bookings, which is not there"),
    ('"guest"', '"seat"', "seat of bistro.bookings is not a text"),
    ('NotOfUsers("tables")', "3", "has int in it"),
    ('NotOfUsers("tables")', 'NotOfUsers("Stamps")', "names Stamps twice"),
    ('NotOfUsers("tables")', 'NotOfUsers("a;b")', "which is not table or schema.table"),
    ("def tables()", "def tables(): return 'x'\ndef other()", "is not a list of UserTable"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_said_wrongly_ends_the_migration_with_a_sentence(
    project: Project, sql: psycopg.Connection, number: int
) -> None:
    before, after, said = WRONG[number]

    with pytest.raises(Exception, match=said):
        project.migrate(f"wrong_{number}", TABLES.replace(before, after))

    assert sql.execute("SELECT to_regclass('bistro.bookings')").fetchone() == (None,)


def test_a_table_without_a_primary_key_is_refused(project: Project) -> None:
    project.migration = MIGRATION.replace("stamps int NOT NULL", "stamps int").replace(
        "(user_id text PRIMARY KEY", "(user_id text"
    )

    with pytest.raises(Exception, match="Stamps has no primary key"):
        project.migrate("keyless")


def test_tables_that_erasing_would_leave_are_warned_of(project: Project) -> None:
    project.migration += """
    op.execute("CREATE TABLE diary (id int, user_id text)")
    op.execute("CREATE TABLE notes (turn uuid REFERENCES turns, seat int REFERENCES tables)")
    op.execute("CREATE TABLE marks (turn uuid REFERENCES turns ON DELETE CASCADE)")
    op.execute("CREATE TABLE of_marks (id int)")
"""

    warnings = project.migrate("warned")["warnings"]

    left = [each for each in warnings if "erasing a user would leave its rows" in each]
    assert [each.partition(":")[0] for each in left] == ["diary", "notes", "of_marks"]
    held = [each for each in warnings if each not in left]
    assert [each.partition(" keeps")[0] for each in held] == [
        "notes: its reference to tables", "notes: its reference to turns"
    ]  # fmt: skip


def test_what_parley_s_first_migration_left_is_warned_of_once_there_are_rows_in_it(
    project: Project, sql: psycopg.Connection
) -> None:
    assert "warnings" not in project.migrate("empty_yet")
    sql.execute("INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), 'ada', 't')")

    (warning,) = project.migrate("not_empty")["warnings"]

    assert warning.startswith("tasks: erasing a user would leave its rows")


def test_where_all_is_said_nothing_is_warned_of(project: Project) -> None:
    assert project.migrate("silent").keys() == {"revision"}
