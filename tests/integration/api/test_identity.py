"""Who nobody vouches for, or not any more, gets 401 on every route but the open ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from parley_testing.api.handlers import Answer, Api, Context, rest_event
from parley_testing.api.operations import NOTHINGS, Operation, operations
from parley_testing.api.problems import problem
from parley_testing.stores.user_data import rows_of

IN_AN_HOUR = str(int(time.time()) + 3600)


def contexts() -> Iterator[Any]:
    """What an event's request context may be where there is no good identity."""
    past = str(int(time.time()) - 60)
    yield None
    yield {}
    for authorizer in (
        None, {}, {"principalId": "alice"}, {"user_id": "alice"},
        {"user_id": "", "exp": IN_AN_HOUR}, {"user_id": None, "exp": IN_AN_HOUR},
        {"user_id": 1, "exp": IN_AN_HOUR}, {"exp": IN_AN_HOUR}, {"user_id": "alice", "exp": past},
        {"user_id": "alice", "exp": ""}, {"user_id": "alice", "exp": None},
        {"user_id": "alice", "exp": "soon"}, {"user_id": "alice", "exp": "nan"},
        {"user_id": "alice", "exp": "0"}, {"claims": {"sub": "alice"}},
    ):  # fmt: skip
        yield {"authorizer": authorizer}


def send(api: Api, operation: Operation, context: Any, body: Any) -> Answer:
    event = rest_event(operation.method, operation.path_of(NOTHINGS), body)
    event["requestContext"] = context
    handler = api.handler(operation.method, operation.path)
    return Answer(handler(event, Context()))


def test_without_a_good_identity_no_route_answers_and_nothing_happens(
    api: Api, sql: psycopg.Connection
) -> None:
    guarded = [operation for operation in operations() if not operation.is_open]
    assert len(guarded) > 10

    for operation in guarded:
        for context in contexts():
            answer = send(api, operation, context, operation.body)
            assert (answer.status, answer.json["code"]) == (401, "unauthorized"), (
                operation, context, answer
            )  # fmt: skip
    assert not any(rows_of(sql, "alice").values())


@pytest.mark.parametrize("body", ["{", '{"unknown": 1}', "x" * 1_000_001])
def test_who_calls_is_asked_before_what(api: Api, body: str) -> None:
    for operation in operations():
        if not operation.is_open:
            event = send(api, operation, {"requestId": "r"}, body)
            assert problem(event, 401, "unauthorized")["request_id"] == "r"


def test_a_route_that_is_not_there_is_no_secret_and_no_answer(api: Api) -> None:
    problem(api("GET", "/secrets", user=None), 401, "unauthorized")
    problem(api("GET", "/secrets"), 404, "not_found")


def test_the_open_routes_answer_nobody(api: Api) -> None:
    for path in ("/health", "/openapi.json", "/docs", "/chat", "/console", "/web/config.json"):
        assert api("GET", path, user=None).status == 200
    assert [operation.path for operation in operations() if operation.is_open] == ["/health"]


def test_a_token_is_good_for_half_a_minute_more_as_for_the_authorizer(api: Api) -> None:
    (listing,) = (operation for operation in operations() if operation.id == "listSessions")

    def status(seconds_ago: float) -> int:
        exp = str(int(time.time() - seconds_ago))
        return send(api, listing, {"authorizer": {"user_id": "a", "exp": exp}}, None).status

    assert (status(20), status(32)) == (200, 401)
