"""A project's own migrations: behind Parley's, in one transaction, with versions of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from parley.manifest import manifest
from parley_testing import projects
from parley_testing.api.handlers import load_function
from parley_testing.postgres.databases import runtime_url
from parley_testing.postgres.older_schema import migrate_as_before

Write = Callable[[str, str | None, str], Path]
BOOKINGS = 'op.execute("CREATE TABLE bookings (id uuid PRIMARY KEY, user_id text NOT NULL)")'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a migration of the project's: its revision, the one before, and what it does."""
    folder = tmp_path / "migrations of 100%"
    folder.mkdir()

    def write(revision: str, before: str | None, does: str) -> Path:
        file = folder / f"{revision}.py"
        lines = (
            "from alembic import op",
            f"revision = {revision!r}",
            f"down_revision = {before!r}",
            "def upgrade():",
            f"    {does}",
        )
        file.write_text("\n".join(lines) + "\n")
        return file

    return write


@pytest.fixture
def migrate(
    environment: pytest.MonkeyPatch, write: Write, tmp_path: Path, empty_database_url: str
) -> Iterator[Callable[[], str]]:
    """The function of a project with migrations, over a database without a schema."""
    environment.setenv("DATABASE_URL", empty_database_url)
    environment.setenv("DATABASE_RUNTIME_URL", runtime_url(empty_database_url))
    folder = str(tmp_path / "migrations of 100%")
    own = replace(manifest(), migrations=folder, user_data=None)
    handler = load_function("migrate").handler
    with pytest.MonkeyPatch.context() as patch:
        projects.offer(patch, own)
        yield lambda: str(handler({"action": "migrate"}, None)["revision"])
    projects.forget()


def versions(sql: psycopg.Connection) -> list[tuple[Any, ...]]:
    return sql.execute(
        "SELECT 'parley', version_num FROM alembic_version"
        " UNION ALL SELECT 'project', version_num FROM parley_project_version ORDER BY 1"
    ).fetchall()


def test_they_come_behind_parley_s_and_leave_its_revision_as_it_is(
    migrate: Callable[[], str], write: Write, empty: psycopg.Connection
) -> None:
    write("one", None, BOOKINGS)
    write("two", "one", 'op.execute("ALTER TABLE bookings ADD turn uuid REFERENCES turns")')

    reached = migrate()

    assert versions(empty) == [("parley", reached), ("project", "two")]
    assert migrate() == reached
    write("three", "two", 'op.execute("ALTER TABLE bookings ADD day date")')
    assert migrate() == reached
    assert versions(empty) == [("parley", reached), ("project", "three")]


def test_the_functions_may_use_their_tables_but_not_their_versions(
    migrate: Callable[[], str], write: Write, empty: psycopg.Connection
) -> None:
    write("one", None, BOOKINGS)
    migrate()
    write("two", "one", 'op.execute("CREATE SCHEMA later CREATE TABLE notes (id int)")')
    migrate()

    may = "SELECT has_table_privilege('parley_app', %s, %s)"
    for table in ("bookings", "later.notes"):
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            assert empty.execute(may, [table, right]).fetchone() == (True,), (table, right)
    assert empty.execute(may, ["parley_project_version", "SELECT"]).fetchone() == (False,)


def test_one_that_fails_is_named_with_its_line_and_nothing_is_changed(
    migrate: Callable[[], str], write: Write, empty: psycopg.Connection
) -> None:
    write("one", None, BOOKINGS)
    write("two", "one", 'op.execute("ALTER TABLE nothing ADD x int")')

    with pytest.raises(Exception, match=r"own migration two failed at .*/two\.py:5: .*nothing"):
        migrate()

    tables = empty.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert tables.fetchall() == []


@pytest.mark.parametrize(
    ("does", "said"),
    [("unknown_name()", r"broken\.py:5: NameError"), ("return (", r"SyntaxError")],
)
def test_one_whose_code_is_wrong_is_named(
    migrate: Callable[[], str], write: Write, does: str, said: str
) -> None:
    write("broken", None, does)

    with pytest.raises(Exception, match=said):
        migrate()


def test_two_newest_are_refused_with_what_to_do(migrate: Callable[[], str], write: Write) -> None:
    write("one", None, BOOKINGS)
    write("by_ann", "one", "pass")
    write("by_bob", "one", "pass")

    with pytest.raises(Exception, match=r"own migrations failed: .*Multiple head revisions"):
        migrate()


def test_what_alembic_would_leave_out_or_not_find_is_refused(
    migrate: Callable[[], str], write: Write
) -> None:
    write("one", None, BOOKINGS)
    write("two", "gone", "pass")
    with pytest.raises(Exception, match=r"migrations failed: .*gone .* is not present.*folder"):
        migrate()

    write("two", "one", "pass").rename(write("again", "one", "pass"))
    write("two", "one", "pass")
    with pytest.raises(Exception, match=r"migrations failed: Revision two is present more than"):
        migrate()


def test_the_log_has_what_led_there_and_people_are_told_the_sentence_alone(
    migrate: Callable[[], str],
    write: Write,
    environment: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("one", None, 'op.execute("SELECT 1 / 0")')

    with pytest.raises(Exception, match="division by zero") as failed:
        migrate()
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["level"], told["reason"]) == ("ERROR", str(failed.value))
    assert "sqlalchemy.exc.DataError" in told["traceback"]

    environment.setenv("LOG_FORMAT", "text")
    with pytest.raises(Exception, match="division by zero"):
        migrate()
    assert capsys.readouterr() == ("", "")


TASKS = 'op.execute("CREATE TABLE tasks (id int PRIMARY KEY, what text)")'
INDEX = 'op.execute("CREATE TABLE mine (id int); CREATE INDEX ix_tasks_user ON mine (id)")'
DROPPED = 'op.execute("DROP TABLE IF EXISTS tasks"); '


@pytest.mark.parametrize("does", [TASKS, INDEX])
def test_a_project_has_tasks_of_its_own(
    migrate: Callable[[], str], write: Write, empty: psycopg.Connection, does: str
) -> None:
    write("one", None, does)

    migrate()

    assert versions(empty)[1] == ("project", "one")


@pytest.mark.parametrize("does", [TASKS, INDEX])
def test_where_an_older_version_made_tasks_it_is_told_why_and_what_to_do(
    migrate: Callable[[], str],
    write: Write,
    empty: psycopg.Connection,
    empty_database_url: str,
    does: str,
) -> None:
    migrate_as_before(empty_database_url)
    write("one", None, does)
    with pytest.raises(Exception, match=r"older version of Parley made the table tasks") as failed:
        migrate()
    assert 'op.execute("DROP TABLE IF EXISTS tasks")' in str(failed.value)

    write("one", None, DROPPED + does)
    migrate()

    assert versions(empty)[1] == ("project", "one")


def test_what_older_code_reads_stays_where_no_project_wants_it(
    migrate: Callable[[], str], empty: psycopg.Connection, empty_database_url: str
) -> None:
    migrate_as_before(empty_database_url)

    migrate()

    assert empty.execute("SELECT count(*) FROM tasks").fetchone() == (0,)


def test_a_revision_of_newer_code_of_either_holds_the_other_up_in_nothing(
    migrate: Callable[[], str], write: Write, empty: psycopg.Connection
) -> None:
    reached = migrate()
    empty.execute("UPDATE alembic_version SET version_num = '9999'")
    write("one", None, BOOKINGS)

    assert migrate() == "9999"
    assert versions(empty) == [("parley", "9999"), ("project", "one")]

    empty.execute("UPDATE alembic_version SET version_num = %s", [reached])
    empty.execute("UPDATE parley_project_version SET version_num = 'of_newer_code'")

    assert migrate() == reached
    assert versions(empty) == [("parley", reached), ("project", "of_newer_code")]
