"""DELETE /sessions/{session_id} removes rows and memory, and remembers what it must."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem
from parley_testing.stores.user_data import memory_of, rows_of


def session_with_all(api: Api, name: str) -> str:
    """Make a session with keys, a transcript, a task and memory."""
    made = api("POST", "/sessions", {"name": name}, headers={"Idempotency-Key": f"s-{name}"})
    session_id: str = made.json["id"]
    sent = api(
        "POST",
        f"/sessions/{session_id}/messages",
        {"text": f"add {name}"},
        headers={"Idempotency-Key": f"t-{name}"},
    )
    assert (made.status, sent.status) == (201, 201)
    return session_id


def test_nothing_of_the_session_is_left(api: Api, sql: psycopg.Connection, tmp_path: Path) -> None:
    session_id = session_with_all(api, "milk")
    assert memory_of(tmp_path / "memory.db", "alice")["turns"]

    answer = api("DELETE", f"/sessions/{session_id}")

    assert (answer.status, answer.body) == (204, "")
    left = rows_of(sql, "alice")
    assert not any(left[table] for table in ("sessions", "turns", "messages", "tool_calls"))
    assert not any(memory_of(tmp_path / "memory.db", "alice").values())


def test_the_tasks_are_the_users_and_stay(api: Api, sql: psycopg.Connection) -> None:
    api("DELETE", f"/sessions/{session_with_all(api, 'milk')}")

    assert sql.execute("SELECT user_id, title FROM tasks").fetchall() == [("alice", "milk")]


def test_other_sessions_stay_as_they_are(api: Api, sql: psycopg.Connection, tmp_path: Path) -> None:
    session_with_all(api, "milk")
    before = rows_of(sql, "alice"), memory_of(tmp_path / "memory.db", "alice")
    session_id = session_with_all(api, "bread")

    api("DELETE", f"/sessions/{session_id}")

    after = rows_of(sql, "alice")
    for table in ("sessions", "turns", "messages", "tool_calls"):
        assert after[table] == before[0][table]
    assert memory_of(tmp_path / "memory.db", "alice") == before[1]


def test_it_is_gone_for_every_route(api: Api) -> None:
    session_id = session_with_all(api, "milk")
    api("DELETE", f"/sessions/{session_id}")

    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {"name": "n"}), ("DELETE", "", None),
        ("GET", "/messages", None), ("GET", "/turns", None), ("GET", "/memory", None),
        ("DELETE", "/memory", None), ("POST", "/memory/prune", None),
        ("POST", "/messages", {"text": "help"}),
    ):  # fmt: skip
        problem(api(method, f"/sessions/{session_id}{path}", body), 404, "not_found")
    assert api("GET", "/sessions").json["items"] == []


def test_the_outbox_keeps_the_conversation_for_a_second_removal(
    api: Api, sql: psycopg.Connection
) -> None:
    session_id = session_with_all(api, "milk")

    api("DELETE", f"/sessions/{session_id}")

    rows = sql.execute(
        "SELECT conversation, not_before > now() + interval '15 minutes' FROM memory_deletions"
    )
    assert rows.fetchall() == [(f"user_alice_conv_{session_id}", True)]


def test_its_keys_are_kept_for_their_day(api: Api, sql: psycopg.Connection) -> None:
    session_id = session_with_all(api, "milk")
    session_with_all(api, "bread")

    api("DELETE", f"/sessions/{session_id}")

    rows = sql.execute(
        "SELECT kind, idempotency_key,"
        " expires_at BETWEEN now() + interval '23 hours' AND now() + interval '24 hours'"
        " FROM idempotency_tombstones ORDER BY kind"
    )
    assert rows.fetchall() == [("session", "s-milk", True), ("turn", "t-milk", True)]


def test_keys_past_their_day_are_not_kept(api: Api, sql: psycopg.Connection) -> None:
    session_id = session_with_all(api, "milk")
    sql.execute("UPDATE sessions SET created_at = created_at - interval '1 day'")
    sql.execute("UPDATE turns SET created_at = created_at - interval '1 day'")

    api("DELETE", f"/sessions/{session_id}")

    assert rows_of(sql, "alice")["idempotency_tombstones"] == []


def test_the_key_of_a_deleted_first_message_makes_no_other_session(
    api: Api, sql: psycopg.Connection
) -> None:
    first = api("POST", "/messages", {"text": "help"}, headers={"Idempotency-Key": "k"})
    api("DELETE", f"/sessions/{first.json['turn']['session_id']}")

    again = api("POST", "/messages", {"text": "help"}, headers={"Idempotency-Key": "k"})

    problem(again, 404, "not_found")
    assert rows_of(sql, "alice")["sessions"] == []


def test_it_is_deleted_though_memory_cannot_be_reached(
    api: Api, environment: pytest.MonkeyPatch, tmp_path: Path, sql: psycopg.Connection
) -> None:
    environment.setenv("AGENT_SESSION_DB_PATH", str(tmp_path))  # a folder is no database
    session_id = api.new_session()
    problem(api("GET", f"/sessions/{session_id}/memory"), 503, "store_unavailable")

    assert api("DELETE", f"/sessions/{session_id}").status == 204

    left = rows_of(sql, "alice")
    assert left["sessions"] == []
    assert len(left["memory_deletions"]) == 1
