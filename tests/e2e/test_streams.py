"""The packaged `stream` function under its real start command, with what its adapter forwards."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from itertools import count
from os import kill
from typing import Any

import psycopg
import pytest

from parley_client.sse import Frame
from parley_testing.api.handlers import rest_event
from parley_testing.models.server import Called, Gate, ModelServer, Said, Streamed, in_order
from parley_testing.packaged.adapter import Stream
from parley_testing.packaged.deployment import Deploy, Deployment

MESSAGES = "/sessions/{session_id}/messages"
TURN = "/sessions/{session_id}/turns/{turn_id}"


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Until it is open, a model that has come to it says no more."""
    gate = Gate()
    yield gate
    gate.open()  # or its server would not end


def sending(session: str, text: str = "hello", **parts: Any) -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **parts.pop("headers", {})}
    path = f"/sessions/{session}/messages/stream"
    return rest_event("POST", path, {"text": text}, headers=headers, **parts)


def following(session: str, turn: str, *, after: str | None = None) -> dict[str, Any]:
    headers = {} if after is None else {"Last-Event-ID": after}
    path = f"/sessions/{session}/turns/{turn}/events"
    return rest_event("GET", path, headers=headers)


def new_session(deployment: Deployment, user: str = "alice") -> str:
    found: str = deployment.send("POST", "/sessions", {}, user=user).json["id"]
    return found


def turns_of(deployment: Deployment, session: str) -> Any:
    path = "/sessions/{session_id}/turns"
    return deployment.send("GET", path, session=session).json["items"]


def kinds(frames: Sequence[Frame]) -> list[str]:
    """The types of events, with deltas that follow on each other as one."""
    found: list[str] = []
    for frame in frames:
        if frame.event != "message.delta" or found[-1] != "message.delta":
            found.append(frame.event)
    return found


def said(frames: Sequence[Frame]) -> str:
    deltas = (json.loads(frame.data) for frame in frames if frame.event == "message.delta")
    return "".join(delta["text"] for delta in deltas)


def numbers(frames: Sequence[Frame]) -> list[int]:
    return [int(frame.id or 0) for frame in frames]


def until(stream: Iterator[Frame], text: str) -> list[Frame]:
    """Read until so much was said."""
    frames = []
    for frame in stream:
        frames.append(frame)
        if said(frames) == text:
            return frames
    raise AssertionError(f"The stream ended: {frames}")


def test_a_message_is_streamed_and_stands_in_the_transcript(
    deployment: Deployment, model: ModelServer, sql: psycopg.Connection
) -> None:
    model.script = in_order(
        Called("add_task", {"title": "buy milk"}), Streamed("I have ", "added ", "it.")
    )
    session = new_session(deployment)

    with deployment.stream.forward(sending(session, "add buy milk")) as answer:
        frames = list(answer)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert kinds(frames) == [
        "turn.started", "tool.called", "tool.returned",
        "message.delta", "message.completed", "turn.completed",
    ]  # fmt: skip
    assert numbers(frames) == list(range(1, len(frames) + 1))
    assert said(frames) == "I have added it."
    transcript = deployment.send("GET", MESSAGES, session=session).json["items"]
    assert {message["content"] for message in transcript} == {"add buy milk", "I have added it."}
    assert sql.execute("SELECT user_id, title FROM tasks").fetchall() == [("alice", "buy milk")]


def test_what_the_model_says_goes_out_before_it_has_ended(
    deployment: Deployment, model: ModelServer, gate: Gate
) -> None:
    model.script = in_order(Streamed("so far ", gate, "so good"))

    with deployment.stream.forward(sending(new_session(deployment))) as answer:
        frames = iter(answer)
        first = until(frames, "so far ")
        gate.open()
        rest = list(frames)

    assert said([*first, *rest]) == "so far so good"
    assert kinds([*first, *rest])[-1] == "turn.completed"


@pytest.mark.at_length("integration/turns/streams/test_following.py replays so")
def test_another_process_replays_from_where_a_reader_was(
    deployment: Deployment, elsewhere: Deployment, model: ModelServer
) -> None:
    model.script = in_order(Streamed("one ", "two"))
    session = new_session(deployment)
    with deployment.stream.forward(sending(session)) as answer:
        frames = list(answer)
    (turn,) = turns_of(deployment, session)

    with elsewhere.stream.forward(following(session, turn["id"])) as answer:
        everything = list(answer)
    with elsewhere.stream.forward(following(session, turn["id"], after="1")) as answer:
        rest = list(answer)

    assert everything == frames
    assert rest == frames[1:]


@pytest.mark.at_length("integration/turns/streams/test_following.py has a process follow another's")
def test_a_reader_elsewhere_sees_what_is_being_said(
    deployment: Deployment, elsewhere: Deployment, model: ModelServer, gate: Gate
) -> None:
    model.script = in_order(Streamed("so far ", gate, "so good"))
    session = new_session(deployment)

    with deployment.stream.forward(sending(session)) as told:
        sender = iter(told)
        until(sender, "so far ")
        (turn,) = turns_of(deployment, session)
        with elsewhere.stream.forward(following(session, turn["id"])) as answer:
            reader = iter(answer)
            frames = until(reader, "so far ")
            gate.open()
            frames += reader

    assert said(frames) == "so far so good"
    assert numbers(frames) == list(range(1, len(frames) + 1))


def test_a_cancel_ends_the_stream_in_the_middle_of_the_reply(
    deployment: Deployment, model: ModelServer, gate: Gate
) -> None:
    model.script = in_order(Streamed("so far ", gate, "so good"))
    session = new_session(deployment)

    with deployment.stream.forward(sending(session)) as answer:
        frames = iter(answer)
        before = until(frames, "so far ")
        turn_id = json.loads(before[0].data)["turn_id"]
        path = f"/sessions/{session}/turns/{turn_id}/cancel"
        event = rest_event("POST", path)
        cancelled = deployment["Sessions"].invoke(event).answer
        rest = list(frames)  # the model still stands at the gate

    assert cancelled.status == 200, cancelled
    last = json.loads(rest[-1].data)
    assert (rest[-1].event, last["interrupted"]) == ("turn.cancelled", True)
    assert said([*before, *rest]) == "so far "
    (turn,) = turns_of(deployment, session)
    assert turn["status"] == "cancelled"


def test_a_client_that_goes_away_does_not_stop_its_turn(
    deployment: Deployment, model: ModelServer, gate: Gate
) -> None:
    model.script = in_order(Streamed("so far ", gate, "so good"))
    session = new_session(deployment)
    with deployment.stream.forward(sending(session)) as answer:
        turn_id = json.loads(until(iter(answer), "so far ")[0].data)["turn_id"]

    gate.open()
    with deployment.stream.forward(following(session, turn_id)) as answer:
        frames = list(answer)

    assert said(frames) == "so far so good"
    assert kinds(frames)[-1] == "turn.completed"


@pytest.mark.at_length(
    "faults/test_killed_streaming.py kills it; test_failures.py has one started anew"
)
def test_a_client_whose_process_is_killed_finds_the_rest_in_another(
    deploy: Deploy,
    deployment: Deployment,
    model: ModelServer,
    gate: Gate,
    sql: psycopg.Connection,
) -> None:
    texts = count(1)

    def script(asked: object) -> Streamed:
        # Whoever asks second does not meet the gate.
        stops = [gate] if next(texts) == 1 else []
        return Streamed("so far ", *stops, "so good")

    model.script = script
    first = deploy()
    session = new_session(deployment)
    send = sending(session, headers={"Idempotency-Key": "k"})
    with first.stream.forward(send) as answer:
        before = until(iter(answer), "so far ")
        kill(first.stream.pid, signal.SIGKILL)
    sql.execute("UPDATE turns SET lease_expires_at = now() - interval '1 second'")

    with deployment.stream.forward(send) as answer:
        frames = list(answer)

    # The same key joins the turn: its events so far, and then how it was carried on.
    assert frames[: len(before)] == before
    assert numbers(frames) == list(range(1, len(frames) + 1))
    assert {"turn.resumed", "message.reset"} <= {frame.event for frame in frames}
    reset = next(place for place, one in enumerate(frames) if one.event == "message.reset")
    assert said(frames[reset:]) == "so far so good"
    assert frames[-1].event == "turn.completed"


def test_users_are_told_apart_whatever_their_names(
    deployment: Deployment, model: ModelServer
) -> None:
    # The adapter writes the user's name into a header as UTF-8.
    model.script = lambda asked: Said("hello")
    session = new_session(deployment, "zoë")

    with deployment.stream.forward(sending(session, user="zoë")) as answer:
        assert kinds(list(answer))[-1] == "turn.completed"
    with deployment.stream.forward(sending(session, user="alice")) as answer:
        refusal = problem(answer)

    assert refusal["status"] == 404


def test_a_refusal_is_an_ordinary_problem_document(
    deployment: Deployment, model: ModelServer, gate: Gate
) -> None:
    model.script = in_order(Streamed("so far ", gate, "so good"))
    session = new_session(deployment)

    with deployment.stream.forward(sending(session)) as answer:
        frames = iter(answer)
        turn_id = json.loads(until(frames, "so far ")[0].data)["turn_id"]
        with deployment.stream.forward(sending(session, "me too")) as other:
            busy = problem(other)
        gate.open()
        list(frames)

    assert (busy["status"], busy["code"], busy["turn_id"]) == (409, "turn_in_progress", turn_id)


def problem(answer: Stream) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json
    assert found["status"] == answer.status
    return found
