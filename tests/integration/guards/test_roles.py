"""The functions' logins, as a migration makes them: what they may do, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from parley_local.postgres import EmbeddedPostgres
from parley_testing.api.handlers import Api, load_function
from parley_testing.postgres.databases import connect

_NUMBERS = count(1)
PASSWORD = "c0rrect-h0rse"
Migrate = Callable[..., str]


@pytest.fixture
def place(postgres: EmbeddedPostgres) -> tuple[str, str]:
    """A database without a schema, of an owner who is no superuser; its name and the owner's."""
    number = next(_NUMBERS)
    name, owner = f"place_{number}", f"owner_{number}"
    with connect(postgres.url("postgres")) as admin:
        admin.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE")
        admin.execute(f"CREATE DATABASE {name} OWNER {owner}")
    return name, owner


@pytest.fixture
def admin(postgres: EmbeddedPostgres, place: tuple[str, str]) -> Iterator[psycopg.Connection]:
    """A superuser's connection to it."""
    with connect(postgres.url(place[0])) as sql:
        yield sql


def url_of(postgres: EmbeddedPostgres, name: str, user: str) -> str:
    return postgres.url(name).replace("postgres@", f"{user}@")


@pytest.fixture
def migrate(
    postgres: EmbeddedPostgres, place: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> Migrate:
    """Migrates as the owner, for a run-time role, and gives the revision."""
    name, owner = place
    function = load_function("migrate")
    monkeypatch.setenv("DATABASE_URL", url_of(postgres, name, owner))

    def run(user: str | None = None, password: str = PASSWORD) -> str:
        runtime = url_of(postgres, name, f"{user or app(place)}:{password}")
        monkeypatch.setenv("DATABASE_RUNTIME_URL", runtime)
        revision: str = function.handler({"action": "migrate"}, None)["revision"]
        return revision

    return run


def app(place: tuple[str, str]) -> str:
    """The run-time role of a place, which no other has: roles are the whole server's."""
    return f"app_of_{place[0]}"


def privileges(sql: psycopg.Connection, role: str, table: str) -> set[str]:
    rights = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
    return {
        right
        for right in rights
        if sql.execute("SELECT has_table_privilege(%s, %s, %s)", [role, table, right]).fetchone()
        == (True,)
    }


def test_an_owner_who_is_no_superuser_makes_both(
    migrate: Migrate, place: tuple[str, str], admin: psycopg.Connection
) -> None:
    migrate()

    made = admin.execute(
        "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb"
        " FROM pg_roles WHERE rolname LIKE %s ORDER BY 1",
        [f"{app(place)}%"],
    ).fetchall()
    assert made == [(app(place), True, False), (f"{app(place)}_service", True, False)]
    assert privileges(admin, app(place), "messages") == {"SELECT", "INSERT"}
    assert privileges(admin, app(place), "audit_records") == set()
    assert privileges(admin, f"{app(place)}_service", "audit_records") == {
        "SELECT", "INSERT", "UPDATE", "DELETE",
    }  # fmt: skip
    assert privileges(admin, f"{app(place)}_service", "alembic_version") == {"SELECT"}


def test_the_api_runs_under_them(
    migrate: Migrate, place: tuple[str, str], environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    migrate()
    environment.delenv("DATABASE_URL", raising=False)
    api = Api()

    sent = api("POST", "/messages", {"text": "add milk"})
    listed = api("GET", "/admin/sessions", scopes="parley:admin")

    assert (sent.status, listed.status) == (201, 200)
    assert [session["user_id"] for session in listed.json["items"]] == ["alice"]
    api.close()


def test_migrating_again_changes_nothing(
    migrate: Migrate, place: tuple[str, str], admin: psycopg.Connection
) -> None:
    def state() -> list[Any]:
        return [
            admin.execute("SELECT oid, polname, xmin FROM pg_policy ORDER BY oid").fetchall(),
            admin.execute("SELECT relname, relacl::text FROM pg_class ORDER BY 1, 2").fetchall(),
            admin.execute("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1").fetchall(),
        ]

    migrate()
    before = state()

    migrate()

    assert state() == before


def test_a_policy_that_says_something_else_is_replaced(
    migrate: Migrate, place: tuple[str, str], admin: psycopg.Connection
) -> None:
    migrate()
    query = "SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy ORDER BY 1, 2"
    before = admin.execute(query).fetchall()
    (name,) = admin.execute(
        "SELECT polname FROM pg_policy WHERE polrelid = 'tasks'::regclass"
        " AND polname <> 'parley_everyone'"
    ).fetchone() or ("",)
    admin.execute(SQL("ALTER POLICY {} ON tasks RENAME TO parley_all_old").format(Identifier(name)))

    migrate()

    assert admin.execute(query).fetchall() == before


def test_the_password_is_in_no_statement(
    migrate: Migrate, admin: psycopg.Connection, postgres: EmbeddedPostgres
) -> None:
    admin.execute("ALTER SYSTEM SET log_statement = 'ddl'")
    admin.execute("SELECT pg_reload_conf()")
    try:
        migrate()
    finally:
        admin.execute("ALTER SYSTEM RESET log_statement")
        admin.execute("SELECT pg_reload_conf()")

    said = postgres._log.read_text()
    assert "CREATE ROLE" in said
    assert "SCRAM-SHA-256$" in said
    assert PASSWORD not in said


def test_an_owner_who_may_make_no_roles_is_told_what_to_do(
    migrate: Migrate, place: tuple[str, str], admin: psycopg.Connection
) -> None:
    admin.execute(f"ALTER ROLE {place[1]} NOCREATEROLE")

    with pytest.raises(Exception, match="Let somebody who may do it: CREATE ROLE") as refused:
        migrate()

    assert app(place) in str(refused.value)
    assert PASSWORD not in str(refused.value)
    # In one transaction with the migrations: nothing is half done.
    assert admin.execute("SELECT to_regclass('sessions')").fetchone() == (None,)

    for role in (app(place), f"{app(place)}_service"):
        admin.execute(f"CREATE ROLE {role} LOGIN")
    migrate()

    assert privileges(admin, app(place), "turns") == {"SELECT", "INSERT", "UPDATE"}


@pytest.mark.parametrize(
    "attributes", ["SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "IN ROLE {owner}"]
)
def test_a_role_that_may_do_more_is_refused(
    migrate: Migrate, place: tuple[str, str], admin: psycopg.Connection, attributes: str
) -> None:
    admin.execute(f"CREATE ROLE {app(place)} LOGIN {attributes.format(owner=place[1])}")

    with pytest.raises(Exception, match="may do more than a run-time role"):
        migrate()


def test_the_owner_is_no_run_time_role(migrate: Migrate, place: tuple[str, str]) -> None:
    with pytest.raises(Exception, match="Name a user of its own"):
        migrate(place[1])


def test_a_schema_in_which_everybody_makes_tables_is_told_of(
    migrate: Migrate, admin: psycopg.Connection
) -> None:
    admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")

    with pytest.raises(Exception, match="REVOKE CREATE ON SCHEMA"):
        migrate()


def test_logins_that_cannot_be_used_are_told_of(
    migrate: Migrate, place: tuple[str, str], admin: psycopg.Connection
) -> None:
    migrate()
    admin.execute(f"REVOKE CONNECT ON DATABASE {place[0]} FROM PUBLIC")
    admin.execute(f"ALTER ROLE {app(place)}_service CONNECTION LIMIT 0")

    with pytest.raises(Exception, match=rf'cannot log in as "{app(place)}_service"'):
        migrate()


def test_tables_of_ones_own_are_granted_and_stay_as_one_grants_them(
    migrate: Migrate, place: tuple[str, str], admin: psycopg.Connection
) -> None:
    admin.execute(f"SET ROLE {place[1]}")
    admin.execute("CREATE SCHEMA restaurant; CREATE TABLE restaurant.before (id serial)")
    migrate()
    admin.execute("CREATE TABLE restaurant.bookings (id int); CREATE SCHEMA later")
    admin.execute("CREATE TABLE later.notes (id int)")

    for table in ("restaurant.before", "restaurant.bookings", "later.notes"):
        granted = privileges(admin, app(place), table)
        assert granted == {"SELECT", "INSERT", "UPDATE", "DELETE"}, table
    for schema in ("restaurant", "later"):
        usage = (
            "SELECT has_schema_privilege(%s, %s, 'USAGE'),has_schema_privilege(%s, %s, 'CREATE')"
        )
        assert admin.execute(usage, [app(place), schema] * 2).fetchone() == (True, False)

    admin.execute(f"REVOKE ALL ON later.notes FROM {app(place)}")
    migrate()

    assert privileges(admin, app(place), "later.notes") == set()


def test_another_role_of_the_operators_sees_what_it_is_granted(
    migrate: Migrate, place: tuple[str, str], admin: psycopg.Connection
) -> None:
    migrate()
    reader = f"reader_of_{place[0]}"
    admin.execute(f"CREATE ROLE {reader}; GRANT SELECT ON tasks TO {reader}")
    admin.execute("INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), 'a', 't')")

    admin.execute(f"SET ROLE {reader}")

    assert admin.execute("SELECT user_id FROM tasks").fetchall() == [("a",)]


def test_without_a_run_time_role_the_owner_goes_on(
    migrate: Migrate, place: tuple[str, str], environment: pytest.MonkeyPatch,
    postgres: EmbeddedPostgres,
) -> None:  # fmt: skip
    """Also when there was one before: who goes back to the owner's login."""
    migrate()
    environment.delenv("DATABASE_RUNTIME_URL")
    environment.setenv("DATABASE_URL", url_of(postgres, *place))
    load_function("migrate").handler({"action": "migrate"}, None)
    api = Api()

    sent = api("POST", "/messages", {"text": "add milk"})
    listed = api("GET", "/admin/sessions", scopes="parley:admin")

    assert (sent.status, listed.status) == (201, 200)
    assert len(listed.json["items"]) == 1
    api.close()


@pytest.fixture
def passwords(postgres: EmbeddedPostgres, place: tuple[str, str]) -> Iterator[None]:
    """Have the server ask the place's run-time logins for their passwords."""
    with connect(postgres.url("postgres")) as admin:
        (rules,) = admin.execute("SHOW hba_file").fetchone() or ("",)
        path = Path(rules)
        usual = path.read_text()
        logins = ",".join((app(place), f"{app(place)}_service"))
        path.write_text(f"local all {logins} scram-sha-256\n{usual}")
        admin.execute("SELECT pg_reload_conf()")
        yield
        path.write_text(usual)
        admin.execute("SELECT pg_reload_conf()")


def test_another_password_in_the_secret_is_set(
    migrate: Migrate, passwords: None, place: tuple[str, str], postgres: EmbeddedPostgres
) -> None:
    migrate(password="before")
    migrate(password="after")

    for login in (app(place), f"{app(place)}_service"):
        url = url_of(postgres, place[0], login).replace("+psycopg", "")
        psycopg.connect(url, password="after").close()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url, password="before")


@pytest.mark.parametrize("there", ["the functions' logins", "nothing"])
def test_a_secret_that_leads_to_the_database_from_before_a_restore_is_found_out(
    migrate: Migrate,
    place: tuple[str, str],
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
    there: str,
) -> None:
    name, owner = place
    if there != "nothing":
        migrate()
    restored = f"{name}_restored"
    with connect(postgres.url("postgres")) as admin:
        admin.execute(f"CREATE DATABASE {restored} OWNER {owner}")
    monkeypatch.setenv("DATABASE_URL", url_of(postgres, restored, owner))
    monkeypatch.setenv("DATABASE_RUNTIME_URL", url_of(postgres, name, app(place)))

    words = "leads to another database" if there != "nothing" else "cannot log in"
    with pytest.raises(Exception, match=words):
        load_function("migrate").handler({"action": "migrate"}, None)

    monkeypatch.setenv("DATABASE_RUNTIME_URL", url_of(postgres, restored, app(place)))
    load_function("migrate").handler({"action": "migrate"}, None)
