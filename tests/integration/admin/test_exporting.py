"""Exporting a user: all that is kept of them, each record once, as JSON lines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from parley.events.sqlite import SqliteEventLog
from parley.ids import TurnKey, conversation_key
from parley.memory.store import TurnMemory
from parley.repository.paging import encode
from parley.timing import PAGE_MARGIN_SECONDS
from parley.users import export
from parley_testing.api.handlers import Api
from parley_testing.stores.aged import Aged
from parley_testing.stores.turn_keys import numbered
from parley_testing.stores.user_data import memory_of, rows_of

TABLES = {
    "session": "sessions",
    "turn": "turns",
    "message": "messages",
    "tool_call": "tool_calls",
    "approval": "approvals",
    "row": "tasks",
    "limits": "user_limits",
    "budget": "user_budgets",
    "usage": "daily_usage",
}


@pytest.fixture
def alice(api: Api, aged: Aged) -> Aged:
    """A user who owns some of everything, beside another."""
    for user in ("bob", "alice"):
        aged.sql.execute("INSERT INTO user_limits VALUES (%s, ARRAY[now()])", (user,))
        aged.sql.execute("INSERT INTO user_budgets VALUES (%s, 5000000, NULL)", (user,))
        aged.sql.execute(
            "INSERT INTO daily_usage SELECT %s, date '2026-10-01' + n, 'todo', 'gpt-5',"
            " 1, 5, 2, 3, 1, 40, 0, 0 FROM generate_series(0, 2) n",
            (user,),
        )
        for number in range(3):
            session_id = aged.session(days=number, turns=2, user=user, key=f"key {number}")
            aged.sql.execute(
                "INSERT INTO tool_calls (turn_id, call_id, name, arguments, output, effect)"
                " SELECT id, 'call ' || n, 'add_task', '{}', '{\"value\": 1.5}', true"
                " FROM turns, generate_series(1, 2) n WHERE session_id = %s",
                (session_id,),
            )
            aged.sql.execute(
                "INSERT INTO approvals (id, turn_id, user_id, attempt, call_id, agent, tool,"
                " arguments, digest, decider, editable, expires_at)"
                " SELECT gen_random_uuid(), id, user_id, 1, 'call 1', 'todo', 'add_task', '{}', '',"
                " 'user', false, now() FROM turns WHERE session_id = %s",
                (session_id,),
            )
        aged.session(days=0, turns=0, user=user)
        for title in ("milk", 'Grüße 🦜\u2028\n"'):
            assert api("POST", "/tasks", {"title": title}, user=user).status == 201
    return aged


def identity(record: dict[str, Any]) -> tuple[Any, ...]:
    match record["type"]:
        case "tool_call":
            return ("tool_call", record["turn_id"], record["call_id"])
        case "memory":
            return ("memory", record["session_id"], record["turn_number"])
        case "row":
            return ("row", record["table"], record["row"]["id"])
        case "limits" | "budget" as kind:
            return (kind, record["user_id"])
        case "usage":
            return ("usage", record["day"], record["agent"], record["model"])
        case kind:
            return (kind, record["id"])


def without_type(record: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in record.items() if k != "type"}


def test_each_record_is_there_once_and_nobody_elses(
    admin: Any, alice: Aged, sql: psycopg.Connection
) -> None:
    (records,) = admin.exported("alice")

    assert set(Counter(map(identity, records)).values()) == {1}
    kept = rows_of(sql, "alice")
    for kind, table in TABLES.items():
        own = [record for record in records if record["type"] == kind]
        expected = [json.loads(row) for row in kept[table]]
        for row in expected:
            row.pop("fingerprint", None)
            row.pop("arguments_schema", None)  # the tool's, and nothing of the user's
        shown = [record.get("row") or without_type(record) for record in own]
        assert sorted(shown, key=str) == sorted(expected, key=str), kind
        assert own
    remembered = [record for record in records if record["type"] == "memory"]
    assert len(remembered) == 6
    contents = [item["content"] for record in remembered for item in record["items"]]
    assert {"question 1", "answer: question 2"} <= set(contents)
    assert {record["type"] for record in records} == {*TABLES, "memory"}


def test_what_only_parley_can_use_is_left_out(admin: Any, alice: Aged) -> None:
    assert "fingerprint" not in admin.export("alice").body


def test_it_is_json_lines(admin: Any, alice: Aged) -> None:
    answer = admin.export("alice")

    assert answer.headers["content-type"] == "application/jsonl"
    lines = answer.body.split("\n")
    assert lines.pop() == ""
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert 'Grüße 🦜\u2028\n"' in [json.loads(line).get("row", {}).get("title") for line in lines]
    assert len(answer.body.splitlines()) == len(lines), "nor do other ends of lines stand in it"


def test_over_many_pages_it_is_the_same(
    admin: Any, alice: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = admin.exported("alice")
    monkeypatch.setattr(export, "PAGE_BYTES", 700)
    monkeypatch.setattr(export, "_ROWS_AT_ONCE", 2)

    pages = admin.exported("alice")

    assert len(pages) > 8
    assert [record for page in pages for record in page] == whole
    longest = max(len(json.dumps(record)) for record in whole)
    assert all(sum(len(json.dumps(r)) for r in page) < 700 + 5 * longest for page in pages)


def test_without_time_a_page_ends_early_and_the_next_goes_on(admin: Any, alice: Aged) -> None:
    """A session of which nothing is remembered costs a read as well."""
    (whole,) = admin.exported("alice")

    pages = admin.exported("alice", seconds=PAGE_MARGIN_SECONDS - 1)

    assert [record for page in pages for record in page] == whole
    assert len(pages) > len([r for r in whole if r["type"] in ("session", "turn", "row")])


def test_what_is_made_meanwhile_harms_nothing(
    admin: Any, alice: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = admin.exported("alice")
    monkeypatch.setattr(export, "PAGE_BYTES", 1)
    answer = admin.export("alice")
    records = [json.loads(line) for line in answer.body.splitlines()]
    alice.session(days=0, turns=1)

    while (cursor := answer.headers.get("next-cursor")) is not None:
        answer = admin.export("alice", cursor)
        records += [json.loads(line) for line in answer.body.splitlines()]

    assert set(Counter(map(identity, records)).values()) == {1}
    assert set(map(identity, before)) < set(map(identity, records))


def test_memory_that_cannot_be_read_is_named(admin: Any, aged: Aged) -> None:
    session_id = aged.session(days=0)
    with aged.store._file.writing() as connection:  # type: ignore[attr-defined]
        connection.execute("UPDATE turns SET payload = x'00'")

    (records,) = admin.exported("alice")

    (memory,) = [record for record in records if record["type"] == "memory"]
    assert memory == {
        "type": "memory",
        "session_id": str(session_id),
        "turn_number": 1,
        "items": None,
    }


def test_numbers_stay_numbers_of_json(api: Api, admin: Any, aged: Aged) -> None:
    odd = {"large": 10**30, "small": 1e-300, "exact": 0.1}
    api.new_session("alice", metadata=odd)

    (records,) = admin.exported("alice")

    assert records[0]["metadata"] == odd


def test_of_a_session_with_much_memory_every_turn_is_told(admin: Any, aged: Aged) -> None:
    session_id = aged.session(days=0, turns=1)
    key = conversation_key("alice", session_id)
    for number in range(2, 46):
        aged.store.finish(
            key, numbered(number), 1, TurnMemory([{"role": "user", "content": str(number)}])
        )

    (records,) = admin.exported("alice")

    told = [record["turn_number"] for record in records if record["type"] == "memory"]
    assert told == list(range(45, 0, -1))


def test_who_is_not_known_has_an_empty_export(admin: Any) -> None:
    answer = admin.export("nobody")

    assert (answer.body, answer.headers.get("next-cursor")) == ("", None)


def test_it_changes_nothing(
    admin: Any, alice: Aged, sql: psycopg.Connection, tmp_path: Path
) -> None:
    before = rows_of(sql, "alice"), memory_of(tmp_path / "memory.db", "alice")

    admin.exported("alice")

    assert (rows_of(sql, "alice"), memory_of(tmp_path / "memory.db", "alice")) == before


@pytest.fixture
def cut_off(api: Api, alice: Aged, tmp_path: Path) -> str:
    """A turn of alice's that was cancelled while the agent spoke; gives its id."""
    streamed = api("POST", "/messages/stream", {"text": "hello", "session_name": "n"}, user="alice")
    assert "turn.completed" in streamed.body
    row = alice.sql.execute(
        "UPDATE turns SET status = 'cancelled' WHERE id = (SELECT max(id::text)::uuid FROM turns"
        " WHERE user_id = 'alice') RETURNING id, session_id, number"
    ).fetchone()
    assert row is not None
    alice.sql.execute("DELETE FROM messages WHERE turn_id = %s AND role = 'assistant'", (row[0],))
    log = SqliteEventLog(tmp_path / "memory.db")
    conversation, turn = conversation_key("alice", row[1]), TurnKey(row[2], row[0])
    said = [event for event in log.read(conversation, turn) if event.type == "message.delta"]
    log.remove(conversation, turn)
    text = "".join(event.data["text"] for event in said)
    for number, piece in enumerate((text[:5], text[5:9], text[9:]), start=1):
        event = replace(said[0], sequence=number, data={**said[0].data, "text": piece})
        log.append(conversation, turn, "w", [event])
    log.close()
    return str(row[0])


def spoken(records: list[dict[str, Any]], turn_id: str) -> str:
    return "".join(
        record["data"]["text"]
        for record in records
        if record["type"] == "event"
        and record["turn_id"] == turn_id
        and record["event"] == "message.delta"
    )


def test_what_was_streamed_of_a_cancelled_turn_is_in_it(admin: Any, cut_off: str) -> None:
    (records,) = admin.exported("alice")

    assert spoken(records, cut_off).startswith("[offline model]")
    assert not any(r["type"] == "message" and r["role"] == "assistant" and r["turn_id"] == cut_off
                   for r in records)  # fmt: skip


def test_events_are_told_once_over_many_pages(
    admin: Any, cut_off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = admin.exported("alice")
    monkeypatch.setattr(export, "PAGE_BYTES", 1)
    monkeypatch.setattr(export, "_ROWS_AT_ONCE", 2)

    pages = admin.exported("alice")

    assert [record for page in pages for record in page] == whole
    assert len([record for record in whole if record["type"] == "event"]) > 1


def test_nobody_elses_events_are_told(admin: Any, cut_off: str) -> None:
    (records,) = admin.exported("bob")
    guessed = admin.export("bob", encode(["events", cut_off, 0]))

    assert not any(record["type"] == "event" for record in records)
    assert guessed.body == ""


SOME = "018f0000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "ü",
        encode(["session", None, None]),
        encode(["sessions"]),
        encode(["turns", "nonsense", None]),
        encode(["memory", SOME, 10**30]),
        encode(["memory", SOME, -1]),
        encode(["events", SOME, -1]),
    ],
)
def test_a_cursor_that_none_gave_is_refused(admin: Any, cursor: str) -> None:
    answer = admin("GET", "/admin/users/alice/export", query={"cursor": cursor})

    assert answer.status == 422, answer
    assert [error["field"] for error in answer.json["errors"]] == ["cursor"]


def test_another_users_cursor_shows_nothing_of_theirs(
    admin: Any, alice: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_BYTES", 1)
    cursor = admin.export("bob").headers["next-cursor"]
    bobs = {str(row[0]) for row in alice.sql.execute("SELECT id FROM sessions WHERE user_id='bob'")}

    answer = admin.export("alice", cursor)

    assert not any(session_id in answer.body for session_id in bobs)
    bob = next(iter(bobs))
    memory = admin.export("alice", encode(["memory", bob, 100]))
    assert bob not in memory.body


def test_outputs_of_tools_of_any_length_are_told_in_pages_that_can_be_carried(
    admin: Any, alice: Aged, sql: psycopg.Connection
) -> None:
    """One message whose model listed all tasks 20 times, and one whose tool gave a whole book."""
    sql.execute(
        "INSERT INTO tool_calls (turn_id, call_id, name, arguments, output, effect)"
        " SELECT id, 'list ' || n, 'list_tasks', '{}',"
        "  jsonb_build_object('value', repeat('a\"', CASE n WHEN 7 THEN %s ELSE %s END)), false"
        " FROM (SELECT id FROM turns WHERE user_id = 'alice' ORDER BY id LIMIT 1) t,"
        "  generate_series(1, 20) n",
        [BOOK, LIST],
    )

    pages = []
    cursor = None
    while True:
        answer = admin.export("alice", cursor)
        assert len(json.dumps({"body": answer.body})) < LAMBDA_BYTES
        pages.append(answer.body)
        if (cursor := answer.headers.get("next-cursor")) is None:
            break

    records = list(whole("".join(pages)))
    assert set(Counter(map(identity, records)).values()) == {1}
    told = {r["call_id"]: r["output"]["value"] for r in records if r["type"] == "tool_call"}
    lengths = [len(told[f"list {n}"]) / 2 for n in range(1, 21)]
    assert lengths == [BOOK if n == 7 else LIST for n in range(1, 21)]
    kinds = Counter(record["type"] for record in records)
    assert {kind: kinds[kind] for kind in TABLES} == {
        kind: len(rows_of(sql, "alice")[table]) for kind, table in TABLES.items()
    }


LAMBDA_BYTES = 6 * 1024 * 1024
LIST, BOOK = 100_000, 1_500_000


def whole(body: str) -> Iterator[dict[str, Any]]:
    """Read records, putting those together that stand in parts."""
    parts: list[dict[str, Any]] = []
    for line in body.splitlines():
        record = json.loads(line)
        if record["type"] != "part":
            assert not parts
            yield record
            continue
        parts.append(record)
        assert record["number"] == len(parts)
        if len(parts) == record["parts"]:
            yield json.loads("".join(part["text"] for part in parts))
            parts = []


def test_of_a_turn_that_is_gone_meanwhile_nothing_else_is_left_out(
    admin: Any, alice: Aged, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (all_of_them,) = admin.exported("alice")
    monkeypatch.setattr(export, "PAGE_BYTES", 1)
    sessions = [r for r in all_of_them if r["type"] == "session"]
    ((gone,),) = sql.execute(
        "SELECT session_id::text FROM turns WHERE user_id = 'alice' ORDER BY id LIMIT 1"
    ).fetchall()
    read, cursor = [], None
    for _ in range(len(sessions) + 2):  # into the first turn
        answer = admin.export("alice", cursor)
        read += [json.loads(line) for line in answer.body.splitlines()]
        cursor = answer.headers["next-cursor"]
    assert [record["type"] for record in read[-2:]] == ["turn", "message"]

    sql.execute("DELETE FROM sessions WHERE id = %s", (gone,))
    while cursor is not None:
        answer = admin.export("alice", cursor)
        read += [json.loads(line) for line in answer.body.splitlines()]
        cursor = answer.headers.get("next-cursor")

    left = {identity(r) for r in all_of_them if r.get("session_id") != gone and r["type"] == "turn"}
    assert left <= set(map(identity, read))
    assert set(Counter(map(identity, read)).values()) == {1}
