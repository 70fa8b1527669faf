"""A turn's events come each once and in order, over as many connections as that takes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from parley_client import (
    ApiError,
    MessageDelta,
    ToolReturned,
    TurnCancelled,
    TurnEvent,
    TurnStarted,
    UnexpectedAnswer,
    Unreachable,
)
from parley_client.endpoints.streams import follow_turn, stream_first_message, stream_message
from parley_testing.streams.event_stream import (
    SESSION_ID,
    TURN_ID,
    Stream,
    answer,
    delta,
    ended,
    frame,
    numbered,
    replied,
    started,
    wire,
)

EVENTS = replied("Hel", "lo", ".")
EVENTS_PATH = f"/sessions/{SESSION_ID}/turns/{TURN_ID}/events"
COMMENT = b": keep-alive\n\n"
HUNG_UP = httpx.RemoteProtocolError("hung up")


def broken(content: bytes, trouble: Exception | None = HUNG_UP) -> httpx.Response:
    response: httpx.Response = answer(Stream(content, trouble))
    return response


def whole(after: int = 0) -> httpx.Response:
    response: httpx.Response = answer(wire(EVENTS[after:]))
    return response


def places(events: list[TurnEvent]) -> list[int]:
    return [event.sequence for event in events]


def asked(request: httpx.Request) -> tuple[str, str, str | None]:
    return request.method, request.url.path, request.headers.get("Last-Event-ID")


ALL = [event["sequence"] for event in EVENTS]
SENT = ("POST", f"/sessions/{SESSION_ID}/messages/stream", None)


def test_events_are_typed(client: Any, server_of: Any) -> None:
    happened = numbered(
        started(),
        ("tool.returned", {"call_id": "c", "name": "n", "output": {"a": 1}, "within": None}),
        ("turn.paused", {"newer": "than this client"}),
        ended("cancelled", "It was cancelled.", interrupted=True),
    )

    found = client.follow(server_of(answer(wire(happened))), stream_message(SESSION_ID, "hi"))

    assert [type(event) for event in found] == [TurnStarted, ToolReturned, TurnEvent, TurnCancelled]
    assert found[0].session_id == SESSION_ID
    assert found[1].output == {"a": 1}
    assert (found[2].type, found[2].turn_id) == ("turn.paused", TURN_ID)
    assert (found[3].detail, found[3].interrupted) == ("It was cancelled.", True)


def test_events_that_are_lost_are_passed_over_and_those_behind_them_given(
    client: Any, server_of: Any
) -> None:
    """As the first ones of a turn that waited for days are, whose log is kept for one."""
    first, *_, lost, last = numbered(
        started(), delta("a"), delta("b"), ("events.lost", {"count": 2}), ended("cancelled", "So.")
    )
    server = server_of(answer(wire([first, lost, last])))

    found = client.follow(server, stream_message(SESSION_ID, "hi"))

    assert places(found) == [1, 4, 5]


def test_a_message_that_is_streamed_is_sent_as_any_other(client: Any, server_of: Any) -> None:
    server = server_of(whole())

    client.follow(server, stream_message(SESSION_ID, "hi", on_conflict="enqueue"))

    (request,) = server.requests
    assert asked(request) == SENT
    assert request.content == b'{"text": "hi", "on_conflict": "enqueue"}'
    assert request.headers["Accept"] == "text/event-stream"


@pytest.mark.parametrize("trouble", [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("no answer"),
    httpx.Response(503, headers={"Retry-After": "1"}),
    httpx.Response(504),
    httpx.Response(502, text="<html>"),
    httpx.Response(500),
    b"",
    b"retry: 1000\n\n",
    wire(EVENTS[:1])[:-1],
], ids=repr)  # fmt: skip
def test_what_broke_before_the_first_event_is_sent_again_with_the_same_key(
    client: Any, server_of: Any, trouble: Any
) -> None:
    first = broken(trouble) if isinstance(trouble, bytes) else trouble
    server = server_of(first, whole())

    found = client.follow(server, stream_message(SESSION_ID, "hi"))

    assert places(found) == ALL
    assert [asked(request) for request in server.requests] == [SENT, SENT]
    assert len(server.keys) == 1


@pytest.mark.parametrize("first", [
    stream_message(SESSION_ID, "hi"), stream_first_message("hi", session_name="groceries")
], ids=["to a session", "the first"])  # fmt: skip
@pytest.mark.parametrize("trouble", [HUNG_UP, httpx.ReadError("reset"), None], ids=repr)
def test_what_broke_later_goes_on_after_the_last_event(
    client: Any, server_of: Any, first: Any, trouble: Any
) -> None:
    server = server_of(broken(wire(EVENTS[:3]), trouble), whole(3))

    found = client.follow(server, first)

    assert places(found) == ALL
    assert "".join(e.text for e in found if isinstance(e, MessageDelta)) == "Hello."
    assert asked(server.requests[1]) == ("GET", EVENTS_PATH, "3")
    assert "Idempotency-Key" not in server.requests[1].headers


def test_a_turn_in_which_nothing_happens_is_taken_up_with_its_key(
    client: Any, server_of: Any
) -> None:
    server = server_of(broken(wire(EVENTS[:2])), broken(COMMENT * 3, None), whole())

    found = client.follow(server, stream_message(SESSION_ID, "hi"))

    assert places(found) == ALL
    assert [asked(each) for each in server.requests] == [SENT, ("GET", EVENTS_PATH, "2"), SENT]
    first, last = server.requests[0].headers, server.requests[2].headers
    assert first["Idempotency-Key"] == last["Idempotency-Key"]


def test_what_comes_twice_is_given_once(client: Any, server_of: Any) -> None:
    twice = b"".join(frame(event) * 2 for event in EVENTS[:4])
    server = server_of(broken(twice), whole(1))

    assert places(client.follow(server, stream_message(SESSION_ID, "hi"))) == ALL


def test_what_is_missing_is_asked_for(client: Any, server_of: Any) -> None:
    gap = answer(wire([*EVENTS[:2], *EVENTS[3:]]))
    server = server_of(gap, whole(2))

    found = client.follow(server, stream_message(SESSION_ID, "hi"))

    assert places(found) == ALL
    assert asked(server.requests[1]) == ("GET", EVENTS_PATH, "2")


def test_what_stays_missing_is_an_error_at_last(client: Any, server_of: Any) -> None:
    gap = wire([*EVENTS[:2], *EVENTS[3:]])
    server = server_of(*[answer(gap) for _ in range(99)])

    with pytest.raises(Unreachable, match="event 4 came after event 2"):
        client.follow(server, stream_message(SESSION_ID, "hi"))

    assert len(server.requests) < 99


def test_nothing_is_read_after_the_final_event(client: Any, server_of: Any) -> None:
    server = server_of(answer(wire(EVENTS) + b"\xff\n" + frame(EVENTS[0])))

    assert places(client.follow(server, stream_message(SESSION_ID, "hi"))) == ALL


def test_a_turn_is_followed_from_where_it_is_known(client: Any, server_of: Any) -> None:
    server = server_of(broken(COMMENT), broken(wire(EVENTS[2:4])), whole(4))

    found = client.follow(server, follow_turn(SESSION_ID, TURN_ID, after=2))

    assert places(found) == ALL[2:]
    assert server.requests[0].url.query == b"after=2"
    assert [asked(request)[2] for request in server.requests] == [None, "2", "4"]
    assert {request.url.path for request in server.requests} == {EVENTS_PATH}


def test_there_may_be_nothing_more_to_come(client: Any, server_of: Any) -> None:
    server = server_of(httpx.Response(204))

    assert client.follow(server, follow_turn(SESSION_ID, TURN_ID, after=99)) == []


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422])
def test_a_refusal_is_the_ordinary_error(client: Any, server_of: Any, status: int) -> None:
    server = server_of(httpx.Response(status, json={"code": "some_code", "turn_id": str(TURN_ID)}))

    with pytest.raises(ApiError) as caught:
        client.follow(server, stream_message(SESSION_ID, "hi"))

    assert (caught.value.status, caught.value.code) == (status, "some_code")
    assert caught.value.turn_id == TURN_ID


def test_a_refusal_in_the_middle_is_one_too(client: Any, server_of: Any) -> None:
    server = server_of(broken(wire(EVENTS[:3])), httpx.Response(404, json={"code": "not_found"}))

    with pytest.raises(ApiError, match="not_found"):
        client.follow(server, stream_message(SESSION_ID, "hi"))


OTHER_TURN = frame(EVENTS[0]) + frame(EVENTS[1] | {"turn_id": str(UUID(int=1))})


@pytest.mark.parametrize("content", [
    b"id: 1\nevent: turn.started\ndata: {\n\n",
    b"id: 1\nevent: turn.started\ndata: []\n\n",
    frame(EVENTS[0]).replace(b"id: 1", b"id: 2"),
    frame(EVENTS[0]).replace(b"id: 1\n", b""),
    frame(EVENTS[0]).replace(b"event: turn.started", b"event: turn.failed"),
    b"data: \xff\n",
    b"data: " + b"[" * 100_000 + b"\n\n",
    OTHER_TURN,
], ids=["no json", "a list", "other id", "no id", "other type", "not utf-8", "deep", "other turn"],
)  # fmt: skip
def test_what_is_no_event_of_the_turn_is_named_as_such(
    client: Any, server_of: Any, content: bytes
) -> None:
    with pytest.raises(UnexpectedAnswer):
        client.follow(server_of(answer(content)), stream_message(SESSION_ID, "hi"))


@pytest.mark.parametrize("answered", [
    httpx.Response(200, json={"turn": {}}),
    httpx.Response(302, headers={"Location": "/elsewhere"}),
])  # fmt: skip
def test_what_is_no_stream_is_named_as_such(
    client: Any, server_of: Any, answered: httpx.Response
) -> None:
    with pytest.raises(UnexpectedAnswer):
        client.follow(server_of(answered), stream_message(SESSION_ID, "hi"))


def test_a_server_is_asked_again_after_as_long_as_it_wishes(client: Any, server_of: Any) -> None:
    server = server_of(
        broken(wire(EVENTS[:2], retry=2500)),
        broken(wire(EVENTS[2:3], retry=0)),
        broken(frame(EVENTS[3])),
        broken(wire(EVENTS[4:5], retry=10**9)),
        whole(5),
    )

    client.follow(server, stream_message(SESSION_ID, "hi"))

    # What it has said once it goes on wishing, within reason.
    assert server.waits == [2.5, 60.0]


def test_tries_without_an_event_are_spaced_and_bounded(client: Any, server_of: Any) -> None:
    server = server_of(*[broken(wire([], retry=1000)) for _ in range(99)])

    with pytest.raises(Unreachable) as caught:
        client.follow(server, stream_message(SESSION_ID, "hi"))

    assert server.waits[:5] == [1.0, 1.0, 2.0, 4.0, 8.0]
    assert len(server.requests) < 50
    assert caught.value.perhaps_done


@pytest.mark.parametrize("sign", [wire(EVENTS[:1]), COMMENT], ids=["event", "comment"])
def test_a_server_that_is_at_it_is_not_given_up(client: Any, server_of: Any, sign: bytes) -> None:
    silent = [broken(b"") for _ in range(30)]
    server = server_of(*silent, broken(sign), *[broken(b"") for _ in range(30)], whole())

    found = client.follow(server, stream_message(SESSION_ID, "hi"))

    assert places(found) == ALL


def test_a_turn_that_waits_is_waited_for(client: Any, server_of: Any) -> None:
    server = server_of(*[broken(COMMENT * 4, None) for _ in range(500)], whole())

    assert places(client.follow(server, follow_turn(SESSION_ID, TURN_ID))) == ALL


def test_behind_a_turn_that_waits_for_somebody_the_server_is_asked_as_seldom_as_it_says(
    client: Any, server_of: Any
) -> None:
    stands_still = b"retry: 1000\n\nretry: 30000\n\n" + COMMENT
    server = server_of(*[broken(stands_still, None) for _ in range(20)], whole())

    found = client.follow(server, stream_message(SESSION_ID, "hi"))

    assert places(found) == ALL
    assert server.waits == [30.0] * 20


def test_who_was_there_is_waited_for(client: Any, server_of: Any) -> None:
    nobody = [httpx.ConnectError("refused")] * 9
    server = server_of(broken(wire(EVENTS[:2])), *nobody, whole(2))

    assert places(client.follow(server, stream_message(SESSION_ID, "hi"))) == ALL


def test_who_never_was_is_given_up_soon(client: Any, server_of: Any) -> None:
    server = server_of(*[httpx.ConnectError("refused")] * 9)

    with pytest.raises(Unreachable):
        client.follow(server, stream_message(SESSION_ID, "hi"))

    assert len(server.requests) == 4


def test_who_stops_early_lets_go_of_the_connection(client: Any, server_of: Any) -> None:
    stream = Stream(wire(EVENTS))

    found = client.follow(server_of(answer(stream)), stream_message(SESSION_ID, "hi"), stop_after=2)

    assert places(found) == [1, 2]
    assert stream.closed


def test_every_connection_is_let_go_of(client: Any, server_of: Any) -> None:
    streams = [
        Stream(wire(EVENTS[:2]), HUNG_UP),
        Stream(wire(EVENTS[3:])),
        Stream(b""),
        Stream(wire(EVENTS[2:])),
    ]

    client.follow(server_of(*map(answer, streams)), stream_message(SESSION_ID, "hi"))

    assert all(stream.closed for stream in streams)


def test_deltas_of_a_message_that_is_written_anew_come_in_their_order(
    client: Any, server_of: Any
) -> None:
    happened = numbered(
        started(),
        delta("Helo"),
        ("message.reset", {"step": 1}),
        delta("Hello."),
        ended("failed", ""),
    )

    found = client.follow(server_of(answer(wire(happened))), follow_turn(SESSION_ID, TURN_ID))

    assert [event.type for event in found] == [event["type"] for event in happened]
