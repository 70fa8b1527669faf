"""Renaming a user: all that was theirs is the other's, in both stores, whatever happens."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from parley.errors import StoreUnavailable
from parley.ids import conversation_key
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.repository.approvals import Asked
from parley.repository.ownership import owned_sessions
from parley.repository.turns import Usage
from parley.users import renaming
from parley_testing.account.moto import memory_table
from parley_testing.api.handlers import Api
from parley_testing.stores.aged import Aged
from parley_testing.stores.asking import asking
from parley_testing.stores.talk import request

pytestmark = pytest.mark.in_turns


@pytest.fixture(params=["sqlite", "dynamodb"])
def environment(
    environment: pytest.MonkeyPatch, sqs: str, request: pytest.FixtureRequest
) -> pytest.MonkeyPatch:
    """The settings of a deployment with memory in each of the stores in turn."""
    if request.param == "dynamodb":
        environment.setenv("AGENT_SESSION_STORE", "dynamodb")
        environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", sqs)  # moto serves there what it can
        with closing(boto3.client("dynamodb")) as client:
            environment.setenv("AGENT_SESSION_TABLE", memory_table(client))
    return environment


@pytest.fixture
def memory(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AgentSessionStore]:
    """The functions' memory, past their own code."""
    if os.environ["AGENT_SESSION_STORE"] == "dynamodb":
        with closing(boto3.client("dynamodb")) as client:
            yield DynamoDbStore(client, os.environ["AGENT_SESSION_TABLE"])
    else:
        with closing(SqliteStore(tmp_path / "memory.db")) as store:
            yield store


def rename(admin: Any, old: str, new: str) -> Any:
    answer = admin("POST", f"/admin/users/{old}/rename", {"new_user_id": new})
    assert answer.status == 200, answer
    return answer.json


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def belong(api: Api, aged: Aged) -> Any:
    """Have ada own something of every kind; gives her session."""
    session_id = aged.session(days=0, turns=3, user="ada", name="groceries", key="k")
    aged.sql.execute("INSERT INTO user_limits VALUES ('ada', ARRAY[now()])")
    aged.sql.execute("INSERT INTO user_budgets VALUES ('ada', 5000000, NULL)")
    deleted = aged.session(days=0, turns=1, user="ada", key="deleted")
    assert api("DELETE", f"/sessions/{deleted}", user="ada").status == 204
    made = api("POST", "/tasks", {"title": "milk"}, user="ada", headers=keyed("task"))
    assert made.status == 201
    return session_id


def test_all_that_was_theirs_is_the_others(
    api: Api, admin: Any, aged: Aged, sql: psycopg.Connection
) -> None:
    session_id = belong(api, aged)
    (before,) = aged.memory().values()

    renamed = rename(admin, "ada", "anna")

    assert renamed == {
        "sessions": 1, "items": 3, "project": {"tasks": 1, "deleted_task_keys": 0},
        "waiting": 0, "done": True,
    }  # fmt: skip
    for table in (
        "sessions",
        "turns",
        "tasks",
        "idempotency_tombstones",
        "user_limits",
        "user_budgets",
    ):
        users = sql.execute(f"SELECT DISTINCT user_id FROM {table}").fetchall()
        assert users == [("anna",)], table
    assert api("GET", f"/sessions/{session_id}", user="ada").status == 404
    said = api("GET", f"/sessions/{session_id}/messages", user="anna").json["items"]
    assert len(said) == 6
    assert aged.memory() == {conversation_key("anna", session_id): before}
    assert (
        api("POST", "/tasks", {"title": "milk"}, user="anna", headers=keyed("task")).json["title"]
        == "milk"
    )
    assert len(api("GET", "/tasks", user="anna").json["items"]) == 1


def test_turns_that_both_began_count_together(
    admin: Any, aged: Aged, sql: psycopg.Connection
) -> None:
    for user, ago in (("ada", 3), ("anna", 2), ("ada", 1)):
        sql.execute(
            "INSERT INTO user_limits AS u VALUES (%s, ARRAY[now() - make_interval(secs => %s)])"
            " ON CONFLICT (user_id) DO UPDATE SET begun_at = excluded.begun_at || u.begun_at",
            (user, ago),
        )

    rename(admin, "ada", "anna")

    ((user, begun),) = sql.execute("SELECT user_id, begun_at FROM user_limits").fetchall()
    assert user == "anna"
    assert len(begun) == 3
    assert begun == sorted(begun, reverse=True)


def test_it_is_safe_to_repeat(api: Api, admin: Any, aged: Aged) -> None:
    belong(api, aged)
    rename(admin, "ada", "anna")
    rows, memory = aged.rows(), aged.memory()

    assert rename(admin, "ada", "anna") == {
        "sessions": 0, "items": 0, "project": {"tasks": 0, "deleted_task_keys": 0},
        "waiting": 0, "done": True,
    }  # fmt: skip

    assert (aged.rows(), aged.memory()) == (rows, memory)


@pytest.mark.parametrize("point", ["_copy", "move_session", "forget", "move_rows", "move_keys"])
@pytest.mark.parametrize("after", [False, True])
def test_whoever_died_on_the_way_is_gone_on_from(
    api: Api,
    admin: Any,
    aged: Aged,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    after: bool,
) -> None:
    session_id = belong(api, aged)
    (before,) = aged.memory().values()
    store = api.function("sessions").parts.store
    place: Any = {"_copy": renaming.Renamer, "forget": store}.get(point, renaming)
    method = getattr(place, point)

    def dies(*arguments: Any, **named: Any) -> None:
        if after:
            method(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place, point, dies)
        with pytest.raises(KeyboardInterrupt):
            rename(admin, "ada", "anna")

    assert rename(admin, "ada", "anna")["done"]

    aged.sql.execute("UPDATE memory_deletions SET not_before = now()")
    assert api.function("sessions").parts.outbox.drain(10) == 2
    assert aged.memory() == {conversation_key("anna", session_id): before}
    assert len(api("GET", "/sessions", user="anna").json["items"]) == 1
    assert len(api("GET", "/tasks", user="anna").json["items"]) == 1


@pytest.mark.parametrize("calls", [1, 2, 3])
@pytest.mark.parametrize("step", ["finish", "forget"])
def test_whoever_died_in_the_middle_of_its_memory_is_gone_on_from(
    api: Api, admin: Any, aged: Aged, monkeypatch: pytest.MonkeyPatch, step: str, calls: int
) -> None:
    """Of three sessions and nine turns so many were copied, or so many sessions moved whole."""
    made = [aged.session(days=0, turns=3, user="ada") for _ in range(3)]
    large = TurnMemory([{"role": "user", "content": os.urandom(400_000).hex()}], "large")
    turn = aged.say(made[0], user="ada")
    aged.store.finish(conversation_key("ada", made[0]), turn.key, turn.attempt, large)
    before = {key.partition("_conv_")[2]: turns for key, turns in aged.memory().items()}
    store, left = api.function("sessions").parts.store, [calls]
    method = getattr(store, step)

    def dies(*arguments: Any) -> Any:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return method(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(store, step, dies)
        with suppress(KeyboardInterrupt):
            rename(admin, "ada", "anna")

    assert rename(admin, "ada", "anna")["done"]

    aged.sql.execute("UPDATE memory_deletions SET not_before = now()")
    assert api.function("sessions").parts.outbox.drain(10) == 3
    assert aged.memory() == {
        f"user_anna_conv_{session_id}": turns for session_id, turns in before.items()
    }


def test_a_session_with_an_open_turn_waits(api: Api, admin: Any, aged: Aged) -> None:
    session_id = aged.session(days=0, user="ada")
    turn = aged.begin(session_id, user="ada")

    assert rename(admin, "ada", "anna")["waiting"] == 1
    assert api("GET", f"/sessions/{session_id}", user="ada").status == 200
    assert aged.turns.release(turn)
    answer = api("POST", f"/sessions/{session_id}/messages", {"text": "list"}, user="ada")
    assert answer.status == 201, answer

    assert rename(admin, "ada", "anna")["sessions"] == 1
    assert api("GET", f"/sessions/{session_id}", user="anna").status == 200


def test_what_a_turn_that_waits_may_still_need_stays_with_it(
    api: Api, admin: Any, aged: Aged, sql: psycopg.Connection
) -> None:
    belong(api, aged)
    asking_session = aged.session(days=0, user="ada")
    database = api.function("sessions").parts.database
    asked = asking(database, str(asking_session), Asked("c", "todo", "pay", "{}"), user="ada")

    renamed = rename(admin, "ada", "anna")

    assert (renamed["sessions"], renamed["waiting"], renamed["done"]) == (1, 1, False)
    assert renamed["project"] == {}
    assert sql.execute("SELECT DISTINCT user_id FROM tasks").fetchall() == [("ada",)]
    decided = api("POST", f"/approvals/{asked.id}", {"decision": "reject"}, user="ada")
    assert decided.status == 200
    going_on = aged.turns.claim_head(asked.session_id).turn
    assert going_on is not None
    assert aged.turns.complete(going_on, "done", Usage(), None)
    renamed = rename(admin, "ada", "anna")
    assert (renamed["sessions"], renamed["waiting"], renamed["done"]) == (1, 0, True)
    for table in ("sessions", "approvals", "tasks", "user_limits"):
        users = sql.execute(f"SELECT DISTINCT user_id FROM {table}").fetchall()
        assert users == [("anna",)], table


def test_a_turn_begun_meanwhile_keeps_its_session(
    api: Api, admin: Any, aged: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = aged.session(days=0, user="ada")
    copy = renaming.Renamer._copy

    def begins(*arguments: Any) -> int:
        aged.begin(session_id, user="ada")
        return copy(*arguments)

    monkeypatch.setattr(renaming.Renamer, "_copy", begins)

    renamed = rename(admin, "ada", "anna")

    assert (renamed["sessions"], renamed["waiting"]) == (0, 1)
    assert api("GET", f"/sessions/{session_id}", user="ada").status == 200


def test_what_the_other_has_stays_theirs(api: Api, admin: Any, aged: Aged) -> None:
    session_id = belong(api, aged)
    other = aged.session(days=0, user="anna", name="groceries", key="k")
    made = api("POST", "/tasks", {"title": "eggs"}, user="anna", headers=keyed("task"))

    assert rename(admin, "ada", "anna")["sessions"] == 1

    names = {
        item["id"]: item["name"] for item in api("GET", "/sessions", user="anna").json["items"]
    }
    assert names == {
        str(other): "groceries",
        str(session_id): f"groceries ({str(session_id)[-8:]})",
    }
    again = api("POST", "/tasks", {"title": "eggs"}, user="anna", headers=keyed("task"))
    assert again.json["id"] == made.json["id"]


def test_a_store_that_is_down_loses_nothing(
    api: Api, admin: Any, aged: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = belong(api, aged)
    store = api.function("sessions").parts.store

    def down(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("agent-session store", "down")

    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", down)
        answer = admin("POST", "/admin/users/ada/rename", {"new_user_id": "anna"})
    assert answer.status == 503
    assert api("GET", f"/sessions/{session_id}", user="ada").status == 200

    assert rename(admin, "ada", "anna")["items"] == 3


def test_the_same_id_is_refused(admin: Any) -> None:
    answer = admin("POST", "/admin/users/ada/rename", {"new_user_id": "ada"})

    assert (answer.status, answer.json["code"]) == (422, "invalid_field")


def test_a_begin_that_waits_for_the_renaming_does_not_find_the_session(
    aged: Aged, sql: psycopg.Connection
) -> None:
    """It had seen the session as the old user's, and would have made a turn of theirs in it."""
    session_id = aged.session(days=0, user="ada")
    with ThreadPoolExecutor(1) as threads:
        with sql.transaction():
            (owned,) = owned_sessions(aged.database, "ada", after=None, limit=10)
            sql.execute("UPDATE sessions SET user_id = 'anna' WHERE id = %s", (owned.id,))
            asked = request("ada", str(session_id))
            begun = threads.submit(aged.turns.begin, asked)
            until_waiting(sql)

        assert begun.result().outcome == "not_found"


def until_waiting(sql: psycopg.Connection) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while not sql.execute(waiting).fetchall()[0][0]:
        time.sleep(0.01)
