"""Erasing a user: nothing is left of them in either store, and nothing of others goes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from parley.cleanup.outbox import Outbox
from parley.errors import NotFound, StoreUnavailable
from parley.memory.sqlite import SqliteStore
from parley.repository.user_data import delete_sessions
from parley.users import erasure, project_rows
from parley.users.erasure import Erased, Eraser
from parley_testing.api.handlers import Api
from parley_testing.models.scripted import call, say
from parley_testing.stores.aged import Aged
from parley_testing.stores.user_data import memory_of, rows_of
from parley_testing.workbench import Workbench


def belong(api: Api, aged: Aged, user: str, *, sessions: int = 2) -> None:
    """Have a user own something in every table."""
    for number in range(sessions):
        session_id = aged.session(days=0, turns=1, user=user, key=f"session {number}")
        aged.say(session_id, user=user, key=f"turn {number}")
        aged.sql.execute(
            "INSERT INTO tool_calls (turn_id, call_id, name, arguments, output, effect)"
            " SELECT id, 'call', 'add_task', '{}', '{}', true FROM turns WHERE session_id = %s",
            (session_id,),
        )
        aged.sql.execute(
            "INSERT INTO approvals (id, turn_id, user_id, attempt, call_id, agent, tool, arguments,"
            " digest, decider, editable, expires_at)"
            " SELECT gen_random_uuid(), id, user_id, 1, 'call', 'todo', 'add_task', '{}', '',"
            " 'user', false, now() FROM turns WHERE session_id = %s",
            (session_id,),
        )
    for status in ("escalated", "active"):  # somebody is to be told of it
        aged.sql.execute("UPDATE sessions SET status = %s WHERE id = %s", (status, session_id))
    for title in ("milk", "bread"):
        made = api("POST", "/tasks", {"title": title}, user=user, headers=keyed(f"task-{title}"))
        assert made.status == 201, made
    aged.sql.execute("INSERT INTO user_limits VALUES (%s, ARRAY[now()])", (user,))
    aged.sql.execute("INSERT INTO user_budgets VALUES (%s, 5000000, NULL)", (user,))
    gone = api("POST", "/tasks", {"title": "eggs"}, user=user, headers=keyed("task-eggs")).json
    assert api("DELETE", f"/tasks/{gone['id']}", user=user).status == 204
    deleted = aged.session(days=0, turns=1, user=user, key="deleted")
    assert api("DELETE", f"/sessions/{deleted}", user=user).status == 204


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def drain(aged: Aged) -> None:
    """Let the outbox's time come."""
    aged.sql.execute("UPDATE memory_deletions SET not_before = now()")
    Outbox(aged.database, aged.store).drain(100)


def test_all_that_is_kept_of_a_user_goes(
    api: Api, admin: Any, aged: Aged, sql: psycopg.Connection, tmp_path: Path
) -> None:
    belong(api, aged, "alice")
    there = rows_of(sql, "alice")
    of_nobody = {"cleanup_progress", "audit_records", "deployment_spending", "summary_places"}
    assert all(rows for table, rows in there.items() if table not in of_nobody)
    held = sum(len(turns) for turns in aged.memory().values())

    erased = admin.erase("alice")

    assert (erased["sessions"], erased["items"]) == (2, held)
    assert erased["project"] == {"tasks": 2, "deleted_task_keys": 1}
    assert erased["bytes"] > 0
    assert (erased["waiting"], erased["done"]) == (0, True)
    left = rows_of(sql, "alice")
    waiting = left.pop("memory_deletions")
    assert len(waiting) == 3, "a process may write late"
    assert not any(left.values())
    assert not any(memory_of(tmp_path / "memory.db", "alice").values())
    drain(aged)
    assert not any(rows_of(sql, "alice").values())


def test_of_other_users_nothing_goes(api: Api, admin: Any, aged: Aged) -> None:
    others = ["bob", "alic", "alice2", "ALICE", "alice%", "alic_"]
    for user in ("alice", *others):
        belong(api, aged, user, sessions=1)
    before = {user: kept_of(aged, user) for user in others}

    admin.erase("alice")

    assert {user: kept_of(aged, user) for user in others} == before


def kept_of(aged: Aged, user: str) -> tuple[Any, ...]:
    """Return what both stores hold of a user, whatever is in the name."""
    rows = {
        table: [row for row in rows if f'"user_id": "{user}"' in row or f"user_{user}_conv" in row]
        for table, rows in aged.rows().items()
    }
    assert all(rows[table] for table in ("sessions", "turns", "tasks", "memory_deletions"))
    memory = {k: v for k, v in aged.memory().items() if k.startswith(f"user_{user}_conv_")}
    return rows, memory


def test_a_session_is_deleted_as_its_users_only(aged: Aged) -> None:
    session_id = aged.session(days=0, user="bob")

    assert delete_sessions(aged.database, "alice", [session_id]) == set()

    assert aged.sessions() == {session_id}


def test_erasing_again_finds_nothing(api: Api, admin: Any, aged: Aged) -> None:
    belong(api, aged, "alice")
    admin.erase("alice")

    again = admin.erase("alice")

    nothing = {"tasks": 0, "deleted_task_keys": 0}
    assert again == {**dict.fromkeys(again, 0), "project": nothing, "done": True}


def test_who_is_not_known_has_nothing_to_erase(admin: Any) -> None:
    assert admin.erase("nobody")["done"]


def test_over_several_calls_it_goes_on(
    api: Api, admin: Any, aged: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "SESSIONS_A_PAGE", 2)
    monkeypatch.setattr(project_rows, "ROWS_A_PAGE", 1)
    belong(api, aged, "alice", sessions=5)
    eraser = Eraser(aged.database, lambda: aged.store)
    nothing = {**admin.erase("nobody"), "project": {}}
    assert admin.erase("alice", seconds=5) == {**nothing, "done": False}
    steps: list[Erased] = []

    while not steps or not steps[-1].done:
        pages = iter([60.0, 60.0, 60.0, 0.0])  # the project keeps two tables of users
        steps.append(eraser.erase("alice", left=lambda pages=pages: next(pages)))  # type: ignore[misc]

    assert len(steps) > 3
    assert sum(step.sessions for step in steps) == 5
    assert sum(step.project.get("tasks", 0) for step in steps) == 2
    assert not any(
        rows for table, rows in rows_of(aged.sql, "alice").items() if table != "memory_deletions"
    )


@pytest.mark.parametrize("error", [StoreUnavailable("agent-session store", "down"), RuntimeError()])
def test_memory_that_cannot_be_removed_is_left_to_the_outbox(
    api: Api, admin: Any, aged: Aged, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for _ in range(2):
        aged.session(days=0)

    def down(*_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "forget", down)
        erased = admin.erase("alice")

    assert (erased["sessions"], erased["waiting"], erased["done"]) == (2, 2, True)
    assert len(aged.memory()) == 2
    drain(aged)
    assert (aged.memory(), aged.counts()) == ({}, {})


@pytest.mark.parametrize("step", ["before its reply", "before its tool"])
async def test_a_running_turn_ends_quietly_and_leaves_nothing(aged: Aged, step: str) -> None:
    eraser = Eraser(aged.database, lambda: aged.store)
    asked = 0

    def script(_: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            return call("add_task", "call_1", title="milk")
        if asked == 2:
            assert eraser.erase("alice", left=lambda: 60.0).project["tasks"] == 1
            return (
                say("done") if step == "before its reply" else call("add_task", "call_2", title="x")
            )
        return say("more")

    bench = Workbench(aged.database, aged.store, script)
    session_id = bench.new_session()
    aged.say(session_id)

    with pytest.raises(NotFound):
        await bench.send(session_id, "add milk", key="key")

    assert len(asyncio.all_tasks()) == 1
    left = rows_of(aged.sql, "alice")
    assert len(left.pop("memory_deletions")) == 1
    assert not any(left.values())
    drain(aged)
    assert (aged.counts(), aged.memory()) == ({}, {})


@pytest.mark.parametrize(
    "user",
    [
        "auth0|x y",
        "a/b",
        "ü",
        "100%",
        "%2F",
        "https://issuer/?q=1#me",
        '"quoted" \\ back',
        "..",
        "🦜" * 100,
        "x" * 1000,
    ],
)
def test_a_user_is_erased_whatever_the_name(admin: Any, aged: Aged, user: str) -> None:
    """A REST API passes the path on as it was sent."""
    kept = aged.session(days=0, user=user.replace("%2F", "/") + "!")
    aged.session(days=0, user=user)

    exported = admin.exported(user)
    erased = admin.erase(user)

    assert [
        record["user_id"] for page in exported for record in page if record["type"] == "session"
    ] == [user]
    assert (erased["sessions"], erased["items"]) == (1, 1)
    assert aged.sessions() == aged.remembered() == {kept}


@pytest.mark.parametrize("user", ["x" * 1001, "ü" * 1001])
def test_a_name_that_no_user_has_is_refused(admin: Any, user: str) -> None:
    answer = admin("DELETE", f"/admin/users/{user}")

    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == ["user_id"]


@pytest.mark.parametrize("path", ["%00alice", "alice%ED%A0%80", "%FF"])
def test_what_cannot_be_stored_is_nobodys_name(admin: Any, path: str) -> None:
    answer = admin("DELETE", f"/admin/users/{path}")

    assert (answer.status, answer.json["done"]) == (200, True)
