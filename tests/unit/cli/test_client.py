"""The client sends a message so that it arrives once, and explains what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from parley_cli.address import Target
from parley_cli.client import Client, retry_after
from parley_cli.errors import CommandFailed

REPLY = httpx.Response(201, json={"reply": {"content": "done"}})
Step = httpx.Response | Exception


class Server:
    """Answers each request with the next step, and keeps what it was sent."""

    def __init__(self, *steps: Step) -> None:
        self.requests: list[httpx.Request] = []
        self.waits: list[float] = []
        self._steps: Iterator[Step] = iter(steps)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = next(self._steps)
        if isinstance(step, Exception):
            raise step
        return step

    def client(self, clock: Callable[[], float] | None = None, patience: float = 300) -> Client:
        return Client(
            Target("http://127.0.0.1:3000", "t"),
            transport=httpx.MockTransport(self),
            sleep=self.waits.append,
            clock=clock or (lambda: sum(self.waits)),
            patience=patience,
        )

    def keys(self) -> set[str]:
        return {request.headers["Idempotency-Key"] for request in self.requests}


def test_a_message_is_sent_with_its_session_and_a_key() -> None:
    server = Server(REPLY)

    answer = server.client().send_message("hi", session="groceries", agent="todo")

    (request,) = server.requests
    assert answer["reply"]["content"] == "done"
    assert (request.method, request.url.path) == ("POST", "/messages")
    assert request.headers["Authorization"] == "Bearer t"
    assert json.loads(request.content) == {
        "text": "hi",
        "session_name": "groceries",
        "platform": "cli",
        "agent": "todo",
    }
    assert server.keys() != {""}


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("no answer"),
        httpx.RemoteProtocolError("hung up"),
        httpx.Response(503, headers={"Retry-After": "1"}),
        httpx.Response(504),
        httpx.Response(429),
    ],
)
def test_trouble_on_the_way_is_tried_again_with_the_same_key(trouble: Step) -> None:
    server = Server(trouble, trouble, REPLY)

    server.client().send_message("hi", session="s")

    assert len(server.requests) == 3
    assert len(server.keys()) == 1


def test_two_messages_have_two_keys() -> None:
    server = Server(REPLY, REPLY)
    client = server.client()

    client.send_message("hi", session="s")
    client.send_message("hi", session="s")

    assert len(server.keys()) == 2


def test_a_server_that_is_down_is_waited_for_as_long_as_it_asks() -> None:
    server = Server(httpx.Response(503, headers={"Retry-After": "7"}), REPLY)

    server.client().send_message("hi", session="s")

    assert server.waits == [7.0]


def test_who_cannot_be_reached_is_given_up_soon() -> None:
    server = Server(*[httpx.ConnectError("refused")] * 9)

    with pytest.raises(CommandFailed, match=r"cannot be reached: refused\. Is make dev running\?"):
        server.client().send_message("hi", session="s")

    assert len(server.requests) == 4


def test_when_patience_ends_the_last_answer_is_explained() -> None:
    problem = {"title": "Service Unavailable", "detail": "Postgres is down", "request_id": "r-1"}
    down = httpx.Response(503, json=problem, headers={"Retry-After": "5"})
    server = Server(*[down] * 9)

    with pytest.raises(CommandFailed, match=r"Postgres is down\. Request r-1\."):
        server.client(patience=12).send_message("hi", session="s")

    assert server.waits == [5.0, 5.0]


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (
            httpx.Response(
                422,
                json={
                    "title": "Unprocessable Content",
                    "detail": "A field cannot be taken.",
                    "errors": [{"field": "text", "reason": "at most 32000 characters"}],
                },
            ),
            "Unprocessable Content. A field cannot be taken. text: at most 32000 characters.",
        ),
        (
            httpx.Response(409, json={"title": "Conflict", "detail": "Busy.", "turn_id": "t-1"}),
            "Conflict. Busy. Turn t-1.",
        ),
        (httpx.Response(403, json={"message": "Forbidden"}), "The server answered 403: Forbidden."),
        (httpx.Response(500, text="<html>"), "The server answered 500: Internal Server Error."),
        (
            httpx.Response(200, text="<html>"),
            "http://127.0.0.1:3000 does not answer as Parley does.",
        ),
    ],
)
def test_a_refusal_is_a_sentence_and_not_tried_again(
    response: httpx.Response, sentence: str
) -> None:
    server = Server(response)

    with pytest.raises(CommandFailed) as caught:
        server.client().send_message("hi", session="s")

    assert str(caught.value) == sentence
    assert len(server.requests) == 1


def test_a_date_is_understood_as_a_time_to_wait() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    wait = retry_after(httpx.Response(503, headers={"Retry-After": date}))

    assert wait == pytest.approx(30, abs=3)
    assert retry_after(httpx.Response(503, headers={"Retry-After": "soon"})) is None
    assert retry_after(httpx.Response(503)) is None
