"""Making any object makes no row and opens nothing."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from parley.composition import Composition
from parley.config import load_settings
from parley_testing.api.handlers import Api, load_function

pytestmark = pytest.mark.new_connections

PARTS = ("database", "store", "sessions", "transcript", "forgetter", "turns", "sender")


def connections(sql: psycopg.Connection) -> int:
    """Count the connections to the test's database besides this one."""
    return sql.execute(
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).rowcount


def rows(sql: psycopg.Connection) -> int:
    tables = ("sessions", "turns", "messages", "tool_calls", "tasks")
    return sum(sql.execute(f"SELECT FROM {table}").rowcount for table in tables)


def test_no_part_of_the_composition_opens_anything(
    environment: pytest.MonkeyPatch, sql: psycopg.Connection, tmp_path: Path
) -> None:
    composition = Composition(load_settings("database", "memory", "model"))

    made = [getattr(composition, part) for part in PARTS]

    assert all(part is not None for part in made)
    assert connections(sql) == 0
    assert rows(sql) == 0
    assert list(tmp_path.iterdir()) == []


def test_loading_a_function_opens_nothing(
    environment: pytest.MonkeyPatch, sql: psycopg.Connection, tmp_path: Path
) -> None:
    for name in ("sessions", "messages", "migrate"):
        load_function(name)
        assert connections(sql) == 0
    assert rows(sql) == 0
    assert list(tmp_path.iterdir()) == []


def test_open_routes_open_nothing(api: Api, sql: psycopg.Connection, tmp_path: Path) -> None:
    for path in ("/health", "/openapi.json", "/docs", "/chat", "/console", "/web/config.json"):
        assert api("GET", path, user=None).status == 200
    assert api("GET", "/agents").status == 200

    assert connections(sql) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_function_loads_though_its_stores_are_down(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_RUNTIME_URL", "postgresql://127.0.0.1:1/nowhere")
    environment.setenv("AGENT_SESSION_DB_PATH", "/nowhere/memory.db")
    api = Api()

    assert api("GET", "/health", user=None).status == 200
    api.function("messages")
    api.close()


@pytest.mark.parametrize(
    ("function", "missing"),
    [
        ("sessions", "DATABASE_URL"),
        ("sessions", "AGENT_SESSION_DB_PATH"),
        ("messages", "DATABASE_URL"),
        ("messages", "AGENT_SESSION_DB_PATH"),
        ("messages", "OFFLINE_MODEL"),
    ],
)
def test_a_missing_setting_stops_the_function_at_init_and_is_named(
    environment: pytest.MonkeyPatch, function: str, missing: str
) -> None:
    environment.delenv("DATABASE_RUNTIME_URL" if missing == "DATABASE_URL" else missing)

    with pytest.raises(Exception, match=missing):
        Api().function(function)
