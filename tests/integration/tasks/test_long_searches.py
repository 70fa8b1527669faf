"""What a search may look at: much text that almost matches is looked at a part a page."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from parley.errors import InvalidField
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley_testing.api.handlers import Api
from parley_testing.api.problems import wrong_fields
from tasks_desk.task_list import (
    SEARCH_BYTES,
    SEARCH_MAX_CHARS,
    SEARCH_ROWS,
    TaskFilter,
    list_tasks,
)

PATTERN = "b" + "a" * (SEARCH_MAX_CHARS - 1)
"""Almost in each of the texts, at each of their characters."""


@pytest.fixture
def long_tasks(sql: psycopg.Connection) -> list[str]:
    """1,500 tasks with the longest notes there are, of which the last has the text."""
    rows = sql.execute(
        "INSERT INTO tasks (id, user_id, title, notes)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, 'alice', n::text, repeat('a', 10000) ||"
        "  CASE WHEN n = 1500 THEN %s ELSE '' END"
        " FROM generate_series(1, 1500) n RETURNING id::text",
        [PATTERN.upper()],
    )
    return sorted(row[0] for row in rows)


@pytest.fixture
def short_tasks(sql: psycopg.Connection) -> None:
    """One task more than a page looks at, and the last has the text."""
    sql.execute(
        "INSERT INTO tasks (id, user_id, title)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, 'alice',"
        "  CASE WHEN n = %s THEN 'milk' ELSE n::text END FROM generate_series(1, %s) n",
        [SEARCH_ROWS + 1, SEARCH_ROWS + 1],
    )


def pages(api: Api, **query: str) -> Iterator[list[str]]:
    """Read the pages of a list, each as the ids that it has."""
    cursor: str | None = ""
    while cursor is not None:
        page = api("GET", "/tasks", query=query | ({"cursor": cursor} if cursor else {}))
        assert page.status == 200, page
        yield [task["id"] for task in page.json["items"]]
        cursor = page.json["next_cursor"]


def test_a_page_looks_at_so_many_bytes_and_the_next_goes_on(
    api: Api, long_tasks: list[str]
) -> None:
    read = list(pages(api, text=PATTERN))

    assert read[-1] == [long_tasks[-1]]
    assert not any(read[:-1])
    each = 10_000 + len("1000")
    assert len(read) == pytest.approx(1500 * each / SEARCH_BYTES, abs=1.5)


def test_a_page_looks_at_so_many_tasks_and_the_next_goes_on(api: Api, short_tasks: None) -> None:
    assert [len(page) for page in pages(api, text="milk")] == [0, 1]


def test_a_page_that_is_full_looks_no_further(api: Api, long_tasks: list[str]) -> None:
    read = list(pages(api, text="aaaa", limit="100", completed="false"))

    assert [task for page in read for task in page] == long_tasks
    assert {len(page) for page in read[:-1]} == {100}


def test_what_is_read_of_the_texts_is_bounded(
    database: Database, sql: psycopg.Connection, long_tasks: list[str]
) -> None:
    """By how many of them are looked into: the statement's own count, not a clock."""
    sql.execute("CREATE SEQUENCE looked_into")
    sql.execute(
        "CREATE FUNCTION strpos(text, text) RETURNS int LANGUAGE sql VOLATILE AS"
        " $$SELECT pg_catalog.strpos($1, $2) + 0 * nextval('looked_into')::int$$"
    )
    with database.transaction(OfUser("alice")) as connection:
        connection.exec_driver_sql("SET LOCAL search_path = public, pg_catalog")
        page = list_tasks(connection, "alice", TaskFilter(containing=PATTERN), limit=100)

    (count,) = sql.execute("SELECT last_value FROM looked_into").fetchone() or (0,)
    assert page.items == []
    assert page.next_cursor is not None
    texts = 2 * (SEARCH_BYTES / 10_000 + 1)  # title and notes
    assert texts / 2 < count <= texts


@pytest.mark.parametrize("length", [SEARCH_MAX_CHARS + 1, 10_000])
def test_a_text_that_is_too_long_is_named(api: Api, database: Database, length: int) -> None:
    matching = TaskFilter(containing="x" * length)
    with (
        pytest.raises(InvalidField, match=f"{SEARCH_MAX_CHARS} characters"),
        database.transaction(OfUser("alice")) as connection,
    ):
        list_tasks(connection, "alice", matching, limit=1)

    assert wrong_fields(api("GET", "/tasks", query={"text": "x" * length})) == ["text"]


def test_the_agent_is_told_that_there_may_be_more(api: Api, long_tasks: list[str]) -> None:
    asked = {"text": "find aaab", "session_name": "tasks"}

    answer = api("POST", "/messages", asked)

    assert answer.status == 201
    assert "There may be more" in answer.json["reply"]["content"]
