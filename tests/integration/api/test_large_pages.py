"""Lists of what is large: a page is what Lambda lets an answer be, and the next goes on."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from parley.repository.turns import TurnRepository
from parley_local.pool import PAYLOAD_LIMIT, payload_size
from parley_testing.api.handlers import Api, Context, rest_event
from parley_testing.stores.talk import request, say

CHINESE = "\u8bf4"
CONTROL = "\x01"
ROWS = 120


def read(api: Api, path: str, **query: str) -> list[list[dict[str, Any]]]:
    """Read all pages of a list, after seeing that each is one that Lambda takes."""
    pages: list[list[dict[str, Any]]] = []
    cursor: str | None = None
    while cursor is not None or not pages:
        asked = {"limit": "100", **query} | ({"cursor": cursor} if cursor else {})
        event = rest_event("GET", path, query=asked, scopes="parley:admin")
        answer = api.handler("GET", path)(event, Context())
        assert answer["statusCode"] == 200, answer["body"][:300]
        assert payload_size(answer) <= PAYLOAD_LIMIT
        page = json.loads(answer["body"])
        pages.append(page["items"])
        cursor = page["next_cursor"]
    return pages


def ids(pages: list[list[dict[str, Any]]]) -> list[str]:
    return [item["id"] for page in pages for item in page]


@pytest.mark.parametrize(
    ("character", "order"),
    [(CHINESE, "asc"), (CONTROL, "desc"), ('"', "asc"), ("\U0001f600", "desc")],
)
def test_a_transcript(
    api: Api, turns: TurnRepository, sql: psycopg.Connection, character: str, order: str
) -> None:
    session_id = api.new_session()
    for _ in range(ROWS // 2):
        say(turns, request("alice", session_id))
    sql.execute("UPDATE messages SET content = repeat(%s, 31900)", [character])

    for path in (f"/sessions/{session_id}/messages", f"/admin/sessions/{session_id}/messages"):
        pages = read(api, path, order=order)

        assert len(set(ids(pages))) == len(ids(pages)) == ROWS
        assert all(len(page) > 20 for page in pages[:-1])
        assert {message["content"] for message in pages[0]} == {character * 31900}


@pytest.mark.parametrize("query", [{}, {"text": CONTROL}])
def test_tasks(api: Api, sql: psycopg.Connection, query: dict[str, str]) -> None:
    sql.execute(
        "INSERT INTO tasks (id, user_id, title, notes) SELECT gen_random_uuid(), 'alice',"
        " repeat(chr(1), 500), repeat(chr(1), 10000) FROM generate_series(1, %s)",
        [ROWS],
    )

    pages = read(api, "/tasks", **query)

    assert ids(pages) == sorted(ids(pages))
    assert len(ids(pages)) == ROWS
    assert all(len(page) > 50 for page in pages[:-1])


@pytest.mark.parametrize("path", ["/sessions", "/admin/sessions"])
def test_sessions(api: Api, sql: psycopg.Connection, path: str) -> None:
    sql.execute(
        "INSERT INTO sessions"
        " (id, user_id, agent, platform, name, status, status_reason, metadata)"
        " SELECT gen_random_uuid(), 'alice', 'todo', 'api', n || repeat(chr(1), 190),"
        "  'escalated', repeat(chr(1), 1000), jsonb_build_object('m', repeat(%s, 8180))"
        " FROM generate_series(1, %s) n",
        ['"', ROWS],
    )

    pages = read(api, path)

    assert len(set(ids(pages))) == len(ids(pages)) == ROWS


def test_turns(api: Api, turns: TurnRepository, sql: psycopg.Connection) -> None:
    session_id = api.new_session()
    for _ in range(ROWS):
        say(turns, request("alice", session_id))
    sql.execute(
        "UPDATE turns SET status = 'failed', error_code = 'x', error_detail = repeat(%s, 31900)",
        [CHINESE],
    )

    pages = read(api, f"/sessions/{session_id}/turns")

    assert [turn["number"] for page in pages for turn in page] == list(range(ROWS, 0, -1))
    assert len(pages) > 2


def test_one_row_that_is_larger_than_a_page_is_a_page(
    api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    say(turns, request("alice", session_id))
    sql.execute("UPDATE messages SET content = repeat(%s, 720000)", [CONTROL])

    pages = read(api, f"/sessions/{session_id}/messages")

    assert [len(page) for page in pages] == [1, 1]
