"""Exactly one session a first message, whatever is retried and however many come at once."""

from __future__ import annotations

from collections import Counter

import psycopg

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.turns import Begun, NewSession, TurnRepository, TurnRequest
from parley_testing.scenarios.at_once import at_once


def first_message(
    user: str = "alice", *, key: str | None = None, name: str | None = None
) -> TurnRequest:
    return TurnRequest(
        user_id=user,
        session_id=new_id(),
        turn_id=new_id(),
        message_id=new_id(),
        text="hello",
        idempotency_key=key,
        fingerprint=b"the same",
        opens=NewSession("todo", name, "api", {}),
    )


def begin(database: Database, request: TurnRequest) -> Begun:
    return TurnRepository(database, window=100).begin(request)


def counts(sql: psycopg.Connection) -> list[int]:
    """Count sessions, turns and messages."""
    return [
        sql.execute(f"SELECT * FROM {table}").rowcount
        for table in ("sessions", "turns", "messages")
    ]


def test_twenty_at_once_with_one_key_make_one_session_and_one_turn(
    database_url: str, sql: psycopg.Connection
) -> None:
    begun = at_once(database_url, 20, lambda database, _: begin(database, first_message(key="k")))

    assert Counter(one.outcome for one in begun) == {"running": 1, "prior": 19}
    assert len({(one.session_id, one.turn_id) for one in begun}) == 1
    assert counts(sql) == [1, 1, 1]


def test_twenty_at_once_with_one_key_and_name_make_one_session_and_one_turn(
    database_url: str, sql: psycopg.Connection
) -> None:
    begun = at_once(
        database_url, 20, lambda database, _: begin(database, first_message(key="k", name="n"))
    )

    assert Counter(one.outcome for one in begun) == {"running": 1, "prior": 19}
    assert counts(sql) == [1, 1, 1]


def test_of_twenty_at_once_to_one_name_one_runs_and_the_others_learn_which(
    database_url: str, sql: psycopg.Connection
) -> None:
    begun = at_once(database_url, 20, lambda database, _: begin(database, first_message(name="n")))

    assert Counter(one.outcome for one in begun) == {"running": 1, "busy": 19}
    assert len({(one.session_id, one.turn_id) for one in begun}) == 1
    assert counts(sql) == [1, 1, 1]


def test_twenty_users_at_once_with_one_key_and_name_get_a_session_each(
    database_url: str, sql: psycopg.Connection
) -> None:
    begun = at_once(
        database_url,
        20,
        lambda database, number: begin(database, first_message(f"u{number}", key="k", name="n")),
    )

    assert Counter(one.outcome for one in begun) == {"running": 20}
    assert counts(sql) == [20, 20, 20]


def test_without_key_or_name_each_makes_its_own(database_url: str, sql: psycopg.Connection) -> None:
    begun = at_once(database_url, 20, lambda database, _: begin(database, first_message()))

    assert Counter(one.outcome for one in begun) == {"running": 20}
    assert counts(sql) == [20, 20, 20]


def test_a_begin_whose_answer_was_lost_finds_what_it_made(
    database_url: str, sql: psycopg.Connection
) -> None:
    request = first_message(name="n")

    first, again = (
        at_once(database_url, 1, lambda database, _: begin(database, request))[0] for _ in range(2)
    )

    assert (first.outcome, again.outcome) == ("running", "running")
    assert first.turn == again.turn
    assert counts(sql) == [1, 1, 1]
