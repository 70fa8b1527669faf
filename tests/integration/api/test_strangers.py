"""Two users with the same session name: neither sees, changes or deletes what is the other's."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from parley.repository.approvals import Asked
from parley.repository.turns import TurnRepository
from parley_testing.api.handlers import Answer, Api
from parley_testing.api.operations import BODIES, NAME_OF_BOTH, Operation, operations
from parley_testing.stores.asking import asking
from parley_testing.stores.user_data import memory_of, rows_of

SECRET = "surprise party"
KEYS = {
    "createSession": "alices-session-key",
    "sendFirstMessage": "alices-message-key",
    "streamFirstMessage": "alices-stream-key",
    "createTask": "alices-task-key",
}

KEPT = ("sessions", "turns", "messages", "tool_calls", "approvals", "tasks")

# What a stranger is answered. What is an administrator's is a 403, everything else a 404.
STRANGERS_STATUS = {
    "createSession": 201,
    "sendFirstMessage": 201,
    "streamFirstMessage": 200,
    "runAgent": 200,
    "sendToChat": 200,
    "resumeChat": 204,
    "createTask": 201,
    "listSessions": 200,
    "listApprovals": 200,
    "readUsage": 200,
    "listTasks": 200,
    "listAgents": 200,
    "checkHealth": 200,
}


@pytest.fixture
def alices(api: Api, turns: TurnRepository) -> dict[str, str]:
    """The ids of a session of alice's with a transcript and memory, and of its turn and its task.

    In another session of hers a turn waits for an approval.
    """
    made = api(
        "POST",
        "/sessions",
        {"name": NAME_OF_BOTH, "metadata": {"secret": SECRET}},
        headers={"Idempotency-Key": KEYS["createSession"]},
    )
    sent = api(
        "POST",
        "/messages",
        {"text": f"add {SECRET}", "session_name": NAME_OF_BOTH},
        headers={"Idempotency-Key": KEYS["sendFirstMessage"]},
    )
    task = api("POST", "/tasks", {"title": SECRET}, headers={"Idempotency-Key": KEYS["createTask"]})
    assert (made.status, sent.status, task.status) == (201, 201, 201)
    call = Asked("call", "todo", "add_task", f'{{"title": "{SECRET}"}}')
    approval = asking(turns._database, api.new_session(), call)
    return {
        "session_id": made.json["id"],
        "turn_id": sent.json["turn"]["id"],
        "task_id": task.json["id"],
        "user_id": "alice",
        "approval_id": str(approval.id),
    }


def ask(api: Api, operation: Operation, ids: dict[str, str], user: str) -> Answer:
    key = KEYS.get(operation.id)
    return api(
        operation.method,
        operation.path_of(ids),
        operation.body,
        user=user,
        headers={"Idempotency-Key": key} if key else None,
    )


def test_every_operation_is_known_here() -> None:
    assert {operation.id for operation in operations()} == BODIES.keys()


def test_no_operation_lets_a_stranger_at_anything(
    api: Api, alices: dict[str, str], sql: psycopg.Connection, tmp_path: Path
) -> None:
    rows, memory = rows_of(sql, "alice"), memory_of(tmp_path / "memory.db", "alice")
    assert all(rows[table] for table in KEPT)
    assert memory["turns"]

    for operation in operations():
        answer = ask(api, operation, alices, "bob")

        refused = 403 if operation.scopes else 404
        assert answer.status == STRANGERS_STATUS.get(operation.id, refused), (operation, answer)
        for secret in (SECRET, *alices.values()):
            assert secret not in answer.body, (operation, answer)
    assert rows_of(sql, "alice") == rows
    assert memory_of(tmp_path / "memory.db", "alice") == memory


def test_every_operation_lets_the_owner(api: Api, alices: dict[str, str]) -> None:
    last = ("deleteSession", "eraseUser", "renameUser")
    deletions_last = sorted(
        operations(),
        key=lambda one: (
            one.method == "DELETE" or one.id in last,
            *(one.id == name for name in last[::-1]),
        ),
    )

    for operation in deletions_last:
        path, scopes = operation.path_of(alices), operation.scopes
        answer = api(operation.method, path, operation.body, scopes=scopes)

        assert answer.status in (200, 201, 204), (operation, answer)


def test_a_stranger_sees_the_same_as_if_there_were_nothing(
    api: Api, alices: dict[str, str]
) -> None:
    nobodys = {name: "01939d5c-2c00-7000-8000-0000000000ff" for name in alices}

    for operation in operations():
        if operation.id not in STRANGERS_STATUS:
            alices_, nobody = (
                ask(api, operation, ids, "bob").json | {"request_id": ""}
                for ids in (alices, nobodys)
            )
            assert alices_ == nobody


def test_a_first_message_to_a_strangers_session_is_refused(
    api: Api, alices: dict[str, str], sql: psycopg.Connection
) -> None:
    rows = rows_of(sql, "alice")

    answer = api(
        "POST", "/messages", {"text": "help", "session_id": alices["session_id"]}, user="bob"
    )

    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert rows_of(sql, "alice") == rows
    assert rows_of(sql, "bob")["sessions"] == []


def test_a_strangers_turn_is_not_in_ones_own_session(api: Api, alices: dict[str, str]) -> None:
    bobs = api.new_session(user="bob")

    answer = api("GET", f"/sessions/{bobs}/turns/{alices['turn_id']}", user="bob")

    assert answer.status == 404


def test_the_agent_works_on_the_tasks_of_who_speaks(api: Api, alices: dict[str, str]) -> None:
    for text in (f"find {SECRET}", f"delete {SECRET}", "what do I have", f"done {SECRET}"):
        reply = api("POST", "/messages", {"text": text, "session_name": NAME_OF_BOTH}, user="bob")
        assert SECRET not in reply.json["reply"]["content"]

    mine = api("POST", f"/sessions/{alices['session_id']}/messages", {"text": "what do I have"})
    assert SECRET in mine.json["reply"]["content"]


def test_a_user_whose_name_ends_like_a_conversation_key_stays_apart(
    api: Api, alices: dict[str, str], sql: psycopg.Connection, tmp_path: Path
) -> None:
    memory = memory_of(tmp_path / "memory.db", "alice")
    impostor = f"alice_conv_{alices['session_id']}"
    theirs = api.new_session(user=impostor)
    api("POST", f"/sessions/{theirs}/messages", {"text": "add milk"}, user=impostor)

    api("DELETE", f"/sessions/{theirs}", user=impostor)

    assert memory_of(tmp_path / "memory.db", "alice") == memory
