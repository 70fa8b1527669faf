"""The streaming routes: functions that return what is to be told."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import UUID

import pytest

from parley.errors import InvalidField
from parley.http.api import Api
from parley.http.identity import Caller
from parley.http.schemas import MessageSending
from parley.http.stream_routes import FOLLOW, METHODS, follow_turn, router, stream_message
from parley.http.streamed import Following, Sending
from parley_testing.api.handlers import rest_event

ALICE = Caller("alice", frozenset())
SESSION, TURN = UUID(int=1), UUID(int=2)


def test_a_message_makes_the_turn_that_is_told() -> None:
    body = MessageSending(text="hello", on_conflict="enqueue")

    wanted = stream_message(ALICE, 100, SESSION, body, "key")

    assert wanted.enqueue
    assert wanted.request.user_id == "alice"
    assert (wanted.request.session_id, wanted.request.idempotency_key) == (SESSION, "key")


def test_a_message_that_is_too_long_makes_none() -> None:
    with pytest.raises(InvalidField):
        stream_message(ALICE, 4, SESSION, MessageSending(text="hello"))


@pytest.mark.parametrize(("last_event_id", "after"), [(None, 3), ("7", 7)])
def test_the_header_counts_before_the_parameter(last_event_id: str | None, after: int) -> None:
    wanted = follow_turn(ALICE, SESSION, TURN, 3, last_event_id)

    assert (wanted.user_id, wanted.turn_id, wanted.after) == ("alice", TURN, after)


def test_what_a_route_returns_comes_through_the_resolver_as_it_is() -> None:
    api = Api([router], SimpleNamespace(message_max_chars=100))

    followed = api.answer(rest_event("GET", f"/sessions/{SESSION}/turns/{TURN}/events"), None)
    sent = api.answer(
        rest_event("POST", f"/sessions/{SESSION}/messages/stream", {"text": "hello"}), None
    )

    assert isinstance(followed["body"], Following)
    assert isinstance(sent["body"], Sending)
    assert METHODS[FOLLOW] == "GET"
