"""A call is tried again where that is safe, with one key, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from parley_client import ApiError, Call, Unreachable
from parley_client.call import nothing
from parley_client.endpoints import memory, messages, project, sessions
from parley_client.models import TurnWithMessages
from parley_client.retry import retry_after

ID = "01a1f952-ed49-7452-bbaa-574abf0779c2"
OK = httpx.Response(204)
PROBLEM = {"Content-Type": "application/problem+json"}


def post() -> Call[None]:
    return Call("POST", "/messages", nothing, body={"text": "hi"}, key="k-1")


NOT_DONE = [
    httpx.ConnectError("refused"),
    httpx.ConnectTimeout("nobody"),
    httpx.ProxyError("407"),
    httpx.Response(503, headers={"Retry-After": "1"}),
    httpx.Response(429),
]
PERHAPS_DONE = [
    httpx.ReadTimeout("no answer"),
    httpx.ReadError("cut"),
    httpx.RemoteProtocolError("hung up"),
    httpx.Response(504),
    httpx.Response(502, text="<html>"),
    httpx.Response(500),
]


def told(trouble: httpx.Response | Exception) -> str:
    return str(getattr(trouble, "status_code", type(trouble).__name__))


@pytest.mark.parametrize("trouble", [*NOT_DONE, *PERHAPS_DONE], ids=told)
def test_trouble_on_the_way_is_tried_again_with_the_same_key(
    client: Any, server_of: Any, trouble: Any
) -> None:
    server = server_of(trouble, trouble, OK)

    client.do(server, post())

    assert len(server.requests) == 3
    assert server.keys == {"k-1"}


@pytest.mark.parametrize("call", [
    sessions.change_session(ID, status="ended"),
    project.request("PATCH", f"/notes/{ID}", body={"words": "x"}),
    memory.clear_memory(ID),
], ids=["session", "route of a project", "memory"])  # fmt: skip
@pytest.mark.parametrize("trouble", PERHAPS_DONE, ids=told)
def test_what_may_have_been_done_is_not_done_over_what_came_meanwhile(
    client: Any, server_of: Any, call: Call[Any], trouble: Any
) -> None:
    server = server_of(trouble)

    with pytest.raises((ApiError, Unreachable)) as caught:
        client.do(server, call)

    assert len(server.requests) == 1
    assert getattr(caught.value, "perhaps_done", True)


@pytest.mark.parametrize("trouble", NOT_DONE, ids=told)
def test_what_was_not_done_is_sent_again_whatever_it_is(
    client: Any, server_of: Any, trouble: Any
) -> None:
    server = server_of(trouble, OK)

    client.do(server, memory.clear_memory(ID))

    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422])
def test_a_refusal_is_not_tried_again(client: Any, server_of: Any, status: int) -> None:
    server = server_of(httpx.Response(status))

    with pytest.raises(ApiError):
        client.do(server, post())


def test_a_turn_that_failed_is_not_tried_again(client: Any, server_of: Any) -> None:
    server = server_of(httpx.Response(502, json={"code": "model_failed"}, headers=PROBLEM))

    with pytest.raises(ApiError) as caught:
        client.do(server, post())

    assert caught.value.code == "model_failed"


def test_a_defect_of_the_server_is_believed_at_last(client: Any, server_of: Any) -> None:
    server = server_of(*[httpx.Response(500)] * 9)

    with pytest.raises(ApiError):
        client.do(server, post())

    assert len(server.requests) == 3


def test_a_deletion_whose_answer_was_lost_is_done_when_nothing_is_there(
    client: Any, server_of: Any
) -> None:
    server = server_of(httpx.ReadError("cut"), httpx.Response(404))

    client.do(server, sessions.delete_session(ID))


def test_a_deletion_of_what_was_never_there_is_refused(client: Any, server_of: Any) -> None:
    server = server_of(httpx.Response(429), httpx.Response(404))

    with pytest.raises(ApiError, match="404"):
        client.do(server, sessions.delete_session(ID))


def test_a_server_that_is_down_is_waited_for_as_long_as_it_asks(
    client: Any, server_of: Any
) -> None:
    server = server_of(httpx.Response(503, headers={"Retry-After": "7"}), OK)

    client.do(server, post())

    assert server.waits == [7.0]


def test_waits_grow(client: Any, server_of: Any) -> None:
    server = server_of(*[httpx.ReadError("cut")] * 6, OK)

    client.do(server, post())

    assert server.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_who_cannot_be_reached_is_given_up_soon(client: Any, server_of: Any) -> None:
    server = server_of(*[httpx.ConnectError("refused")] * 9)

    with pytest.raises(Unreachable) as caught:
        client.do(server, post())

    assert len(server.requests) == 4
    assert (caught.value.reason, caught.value.perhaps_done) == ("refused", False)


def test_when_patience_ends_the_last_answer_counts(client: Any, server_of: Any) -> None:
    down = httpx.Response(503, json={"code": "store_unavailable"}, headers={"Retry-After": "5"})
    server = server_of(*[down] * 9)

    with pytest.raises(ApiError) as caught:
        client.do(server, post(), patience=12)

    assert caught.value.code == "store_unavailable"
    assert server.waits == [5.0, 5.0]


def test_no_try_waits_longer_for_its_answer_than_patience_is_left(
    client: Any, server_of: Any
) -> None:
    server = server_of(httpx.Response(503, headers={"Retry-After": "50"}), OK)

    client.do(server, post(), patience=60)

    read = [request.extensions["timeout"]["read"] for request in server.requests]
    assert read == [40, 10]


WAITING = httpx.Response(202, json={"turn": {}}, headers={"Retry-After": "20"})


@pytest.mark.parametrize("send", [
    lambda: messages.send_message(ID, "hi", on_conflict="enqueue"),
    lambda: messages.send_first_message("hi", on_conflict="enqueue"),
], ids=["message", "first-message"])  # fmt: skip
def test_a_message_that_waits_behind_others_is_asked_for_until_it_is_answered(
    client: Any,
    server_of: Any,
    answered: Callable[[str | None], dict[str, Any]],
    send: Callable[[], Call[TurnWithMessages]],
) -> None:
    server = server_of(*[WAITING] * 40, httpx.Response(201, json=answered("done")))

    reply = client.do(server, send()).reply

    assert reply.content == "done"
    assert len(server.keys) == 1
    assert server.waits == [20.0] * 40  # more than patience: each says that the server is at it


def test_a_message_that_waits_behind_others_is_given_up_if_nothing_more_is_heard_of_it(
    client: Any, server_of: Any
) -> None:
    server = server_of(WAITING, *[httpx.ReadError("cut")] * 9)

    with pytest.raises(Unreachable) as caught:
        client.do(server, messages.send_message(ID, "hi"), patience=10)

    assert caught.value.perhaps_done
    assert server.waits == [20.0, 1.0, 2.0, 4.0]


def test_a_message_behind_a_turn_that_waits_for_somebody_comes_back_at_once(
    client: Any, server_of: Any, answered: Callable[[str | None], dict[str, Any]]
) -> None:
    left = answered(None)
    left["turn"]["status"] = "queued"
    server = server_of(httpx.Response(202, json=left))  # which says nothing of asking again

    queued = client.do(server, messages.send_message(ID, "hi", on_conflict="enqueue"))

    assert (queued.turn.status, queued.reply, server.waits) == ("queued", None, [])


def test_a_message_for_the_background_is_accepted_at_once(
    client: Any, server_of: Any, answered: Callable[[str | None], dict[str, Any]]
) -> None:
    server = server_of(httpx.Response(202, json=answered(None)))

    accepted = client.do(server, messages.queue_message(ID, "hi"))

    assert (accepted.user_message.content, server.waits) == ("hi", [])


def test_each_try_asks_for_the_token_anew(client: Any, server_of: Any) -> None:
    server = server_of(httpx.Response(503), OK)
    tokens = iter(["old", "new"])

    client.do(server, post(), token=lambda: next(tokens))

    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Bearer old", "Bearer new"]


def test_two_calls_have_two_keys(client: Any, server_of: Any) -> None:
    server = server_of(*[httpx.Response(422)] * 2)

    for _ in range(2):
        with pytest.raises(ApiError):
            client.do(server, sessions.create_session())

    assert len(server.keys) == 2


def test_a_date_is_understood_as_a_time_to_wait() -> None:
    asked = datetime.now(UTC)
    date = format_datetime(asked + timedelta(seconds=30), usegmt=True)

    wait = retry_after(httpx.Response(503, headers={"Retry-After": date}))

    gone = (datetime.now(UTC) - asked).total_seconds()
    assert wait is not None
    assert 29 - gone <= wait <= 30  # a date has no part of a second
    assert retry_after(httpx.Response(503, headers={"Retry-After": "soon"})) is None
    assert retry_after(httpx.Response(503)) is None
