"""What turns came to, hour by hour and day by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.ids import first_id
from parley.repository import turn_series
from parley.repository.database import Database
from parley.repository.turn_series import read_series
from parley.repository.turns import Ending, TurnRepository, Usage
from parley_testing.api.handlers import Api
from parley_testing.api.problems import wrong_fields
from parley_testing.stores.talk import begin, request, say

NOON = datetime(2026, 3, 14, 12, 30, tzinfo=UTC)


def at(back: timedelta, number: int = 0) -> UUID:
    """An id of so long before NOON."""
    return UUID(int=first_id(NOON - back).int + number)


def test_each_hour_has_the_turns_that_were_begun_in_it(
    api: Api, turns: TurnRepository, database: Database, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    for back in (timedelta(minutes=1), timedelta(minutes=29), timedelta(minutes=31)):
        say(turns, request("alice", session_id, turn_id=at(back)))
    failing = begin(turns, request("alice", session_id, turn_id=at(timedelta(minutes=2))))
    turns.stop(failing, Ending("failed", "model_failed", "no", remembered=False), Usage(), None)
    say(turns, request("alice", session_id, turn_id=at(timedelta(hours=3))))
    sql.execute(
        "UPDATE turns SET started_at = created_at, ended_at = created_at + interval '2 seconds'"
        " WHERE status = 'completed'"
    )

    first, second, third = read_series(database, "hour", 3, now=NOON)

    assert third.start == NOON.replace(minute=0)
    assert first.start == third.start - timedelta(hours=2)
    assert third.turns == {"completed": 2, "failed": 1}
    assert (third.input_tokens, third.output_tokens) == (4, 6)
    assert (third.median_seconds, third.p95_seconds) == (2.0, 2.0)
    assert second.turns == {"completed": 1}
    assert (first.turns, first.median_seconds, first.input_tokens) == ({}, None, 0)
    assert not any(span.estimated for span in (first, second, third))


def test_days_are_those_of_utc(api: Api, turns: TurnRepository, database: Database) -> None:
    session_id = api.new_session()
    for hours in (12, 13):
        say(turns, request("alice", session_id, turn_id=at(timedelta(hours=hours))))

    yesterday, today = read_series(database, "day", 2, now=NOON)

    assert (yesterday.start, today.start) == (
        datetime(2026, 3, 13, tzinfo=UTC),
        NOON.replace(hour=0, minute=0),
    )
    assert (yesterday.turns, today.turns) == ({"completed": 1}, {"completed": 1})


def test_of_very_many_the_newest_stand_for_all(
    api: Api, turns: TurnRepository, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = api.new_session()
    for minutes in range(20):
        say(turns, request("alice", session_id, turn_id=at(timedelta(minutes=minutes))))
    monkeypatch.setattr(turn_series, "LOOKED_AT", 11)

    (now,) = read_series(database, "hour", 1, now=NOON)

    # Eleven in the last ten minutes of thirty.
    assert now.estimated is True
    assert (now.turns, now.input_tokens) == ({"completed": 33}, 66)


def test_a_note_of_an_administrators_took_no_time(
    api: Api, admin: Any, turns: TurnRepository
) -> None:
    session_id = api.new_session()
    say(turns, request("alice", session_id))
    admin("PATCH", f"/admin/sessions/{session_id}", {"status": "active", "note": "hello"})

    *_, now = admin("GET", "/admin/stats/turns", query={"last": "2"}).json["items"]

    assert now["median_seconds"] == now["p95_seconds"]


@pytest.mark.parametrize(("by", "width"), [("hour", 3600), ("day", 86_400)])
def test_the_oldest_comes_first_and_the_last_is_now(admin: Any, by: str, width: int) -> None:
    before = datetime.now(UTC)
    answer = admin("GET", "/admin/stats/turns", query={"by": by, "last": "100"})
    after = datetime.now(UTC)

    assert answer.json["by"] == by
    starts = [datetime.fromisoformat(each["start"]) for each in answer.json["items"]]
    assert len(starts) == 100
    assert {later - each for each, later in pairwise(starts)} == {timedelta(seconds=width)}
    assert starts[-1] <= after
    assert before < starts[-1] + timedelta(seconds=width)


def test_hours_are_shown_where_nothing_is_said(admin: Any) -> None:
    shown = admin("GET", "/admin/stats/turns").json

    assert (shown["by"], len(shown["items"])) == ("hour", 24)
    assert set(shown["items"][0]["turns"].values()) == {0}


@pytest.mark.parametrize(
    ("field", "value"),
    [("by", "week"), ("by", ""), ("last", "0"), ("last", "101"), ("last", "1.0"), ("last", "x")],
)
def test_what_cannot_be_taken_is_named(admin: Any, field: str, value: str) -> None:
    assert wrong_fields(admin("GET", "/admin/stats/turns", query={field: value})) == [field]


def test_ranges_of_the_primary_key_are_read_and_no_whole_table(
    sql: psycopg.Connection, database: Database
) -> None:
    sql.execute("SET enable_seqscan = off")
    statement = str(turn_series._SERIES)
    for name, value in {
        "firsts": "ARRAY[]::uuid[]",
        "behinds": "ARRAY[]::uuid[]",
        "most": "5",
    }.items():
        statement = statement.replace(f":{name}", value)

    plan = "\n".join(row[0] for row in sql.execute(f"EXPLAIN {statement}").fetchall())

    assert "Index Scan Backward using pk_turns on turns" in plan
