"""A database, a role or a pooler has defaults of its own for what Parley's code relies on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import text

from parley.repository.address import service_login
from parley.repository.approvals import Asked
from parley.repository.database import Database
from parley.repository.relied_on import RELIED_ON
from parley.repository.scope import OfUser
from parley_local.postgres import RUNTIME_ROLE
from parley_testing.api.handlers import Api, load_function
from parley_testing.api.operations import operations
from parley_testing.postgres.databases import connect, goes_through_a_pooler, runtime_url
from parley_testing.stores.asking import asking

HOSTILE = {
    "datestyle": "German",
    "intervalstyle": "iso_8601",
    "timezone": "Asia/Kolkata",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "row_security": "off",
    "default_transaction_isolation": "serializable",
    "client_encoding": "LATIN1",
}
"""For everything that the code relies on, a default that it could not live with."""

SPOKEN = "Grüße \\ 🦜 'quoted'"

_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f-]{21}|call_\w+")
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(?=Z|[+-]\d)")
_FIGURES = re.compile(r'("\w*(?:bytes|seconds|connections)\w*": ?)[\d.]+')


def let_default(url: str, whose: str, settings: dict[str, str]) -> None:
    """Return settings as the database's, or as the functions' roles' in it."""
    with connect(url) as sql:
        name = Identifier(sql.info.dbname)
        alter = {
            "database": [SQL("ALTER DATABASE {} ").format(name)],
            "role": [
                SQL("ALTER ROLE {} IN DATABASE {} ").format(Identifier(role), name)
                for role in (RUNTIME_ROLE, service_login(RUNTIME_ROLE))
            ],
        }[whose]
        for setting, value in settings.items():
            change = SQL("SET {} = {}").format(Identifier(setting), Literal(value))
            for each in alter:
                sql.execute(each + change)


@pytest.fixture
def hostile_url(new_database: Callable[[], str]) -> str:
    url = new_database()
    let_default(url, "database", HOSTILE)
    return url


@pytest.fixture
def hostile(hostile_url: str) -> Iterator[Database]:
    database = Database(lambda: hostile_url, statement_timeout=10)
    yield database
    database.close()


def plain(said: str) -> str:
    """Leave out what is another in each walk: ids, moments, sizes and durations."""
    return _FIGURES.sub(r"\g<1>0", _TIMES.sub("TIME", _IDS.sub("ID", said)))


def walk(environment: pytest.MonkeyPatch, url: str, memory: Path) -> dict[str, Any]:
    """Go through every operation of the API on a database and give what was answered."""
    environment.setenv("DATABASE_RUNTIME_URL", url)
    environment.setenv("AGENT_SESSION_DB_PATH", str(memory))
    api = Api()
    named = api("POST", "/sessions", {"name": "n", "metadata": {"said": SPOKEN}})
    sent = api("POST", "/messages", {"text": f"add {SPOKEN}", "session_name": "n"})
    task = api("POST", "/tasks", {"title": SPOKEN}, headers={"Idempotency-Key": "k"})
    call = Asked("call", "todo", "add_task", json.dumps({"title": SPOKEN}))
    approval = asking(api.function("sessions").parts.database, api.new_session(), call)
    ids = {
        "session_id": named.json["id"],
        "turn_id": sent.json["turn"]["id"],
        "task_id": task.json["id"],
        "user_id": "alice",
        "approval_id": str(approval.id),
    }
    said = {"named": named, "sent": sent, "task": task}
    last = ("deleteSession", "eraseUser", "renameUser")
    for operation in sorted(
        operations(),
        key=lambda one: (
            one.method == "DELETE" or one.id in last,
            *(one.id == name for name in last[::-1]),
        ),
    ):
        said[operation.id] = api(
            operation.method, operation.path_of(ids), operation.body, scopes=operation.scopes
        )
    api.close()
    return {name: (answer.status, plain(answer.body)) for name, answer in said.items()}


@pytest.mark.parametrize("whose", ["database", "role"])
def test_every_operation_answers_the_same_whatever_the_defaults_are(
    environment: pytest.MonkeyPatch,
    new_database: Callable[[], str],
    tmp_path: Path,
    whose: str,
) -> None:
    while True:
        hour = datetime.now(UTC).hour
        ordinary = walk(environment, new_database(), tmp_path / f"ordinary-{hour}.db")
        url = new_database()
        let_default(url, whose, HOSTILE)

        hostile = walk(environment, url, tmp_path / f"hostile-{hour}.db")

        if datetime.now(UTC).hour == hour:
            break  # else figures of hours and days are not those of the same ones

    assert {status for status, _ in ordinary.values()} <= {200, 201, 204}
    assert hostile == ordinary
    assert json.loads(hostile["task"][1])["title"] == SPOKEN


@pytest.mark.parametrize("setting", HOSTILE)
def test_each_setting_alone_is_as_the_code_relies_on(hostile: Database, setting: str) -> None:
    asked = {"default_transaction_isolation": "transaction_isolation"}.get(setting, setting)
    expected = {"default_transaction_isolation": "read committed", "client_encoding": "UTF8"}

    for read in (partial(hostile.run, OfUser("alice")), in_a_transaction(hostile)):
        ((value,),) = read(text(f"SELECT current_setting('{asked}')"))

        if setting == "datestyle":  # the order of a date's parts is told with it
            value = value.partition(",")[0]
        assert value == expected.get(setting, RELIED_ON.get(setting))


def in_a_transaction(database: Database) -> Callable[[Any], Any]:
    """Run a statement as the second one of a transaction."""

    def run(statement: Any) -> Any:
        with database.transaction(OfUser("alice")) as connection:
            connection.execute(text("SELECT 1"))
            return connection.execute(statement).fetchall()

    return run


def test_every_setting_that_is_relied_on_is_tried_here() -> None:
    assert set(RELIED_ON) <= set(HOSTILE)


def test_a_moment_is_read_in_utc(hostile: Database) -> None:
    ((moment,),) = hostile.run(
        OfUser("alice"), text("SELECT timestamptz '2026-03-01 12:00:00.5+01'")
    )

    assert moment == datetime(2026, 3, 1, 11, 0, 0, 500_000, UTC)
    assert moment.isoformat() == "2026-03-01T11:00:00.500000+00:00"


def test_days_and_times_are_read_as_they_are_written(hostile: Database) -> None:
    (row,) = hostile.run(
        OfUser("alice"),
        text("SELECT date '2026-03-04', timestamp '2026-03-04 12:00'"),
    )

    assert tuple(row) == (date(2026, 3, 4), datetime(2026, 3, 4, 12))


@pytest.mark.skipif(goes_through_a_pooler(), reason="a pooler refuses options of the URL")
def test_the_urls_options_go_first(hostile_url: str) -> None:
    options = "-cdefault_transaction_isolation=serializable%20--statement-timeout=1234"
    database = Database(lambda: f"{hostile_url}&options={options}", statement_timeout=10)

    ((settings,),) = database.run(
        OfUser("alice"),
        text(
            "SELECT ARRAY[current_setting('transaction_isolation'),"
            " current_setting('statement_timeout'), current_setting('datestyle')]"
        ),
    )

    assert settings == ["serializable", "1234ms", "ISO, DMY"]
    database.close()


def test_a_migration_makes_the_schema_where_the_functions_look_for_it(
    environment: pytest.MonkeyPatch, postgres: Any
) -> None:
    postgres.create_database("hostile_from_the_start")
    url = postgres.url("hostile_from_the_start")
    let_default(url, "database", HOSTILE)
    environment.setenv("DATABASE_URL", url)
    environment.setenv("DATABASE_RUNTIME_URL", runtime_url(url))

    load_function("migrate").handler({"action": "migrate"}, None)

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as sql:
        found = sql.execute("SELECT to_regclass('public.sessions')").fetchone()
    assert found is not None
    assert found[0] is not None
