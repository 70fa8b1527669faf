"""AG-UI's route: threads that are sessions, runs that are turns, and a run again from its log."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent

from parley import Effect, effect_tool
from parley.events import reader
from parley.http.streaming import Limits
from parley.repository.approvals import Asked
from parley_testing.models.scripted import Streamed, call, in_order, say
from parley_testing.models.steps import Called, Gate
from parley_testing.stores.asking import asking
from parley_testing.streams.ag_ui import applied, events_in, frames_in, kinds
from parley_testing.streams.streaming import Reading, Streams
from parley_testing.waiting import until

NewStreams = Callable[..., Awaitable[Streams]]


@effect_tool(needs_approval=True)
def pay(effect: Effect, title: str) -> str:
    """Pay for something."""
    return f"paid {title}"


def said(text: str, message_id: str = "m-1") -> dict[str, str]:
    return {"id": message_id, "role": "user", "content": text}


def run(
    streams: Streams,
    *messages: dict[str, Any],
    thread: str = "V1StGXR8_Z5jdHi6B-myT",
    run_id: str = "run-1",
    agent: str = "todo",
    **parts: Any,
) -> Any:
    body = {"threadId": thread, "runId": run_id, "messages": list(messages), "tools": []}
    fields = parts.pop("fields", {})
    return streams.ask("POST", f"/ag-ui/{agent}", body | fields, **parts)


async def whole(reading: Reading) -> list[dict[str, Any]]:
    assert reading.status == 200, await reading.response.aread()
    await reading.rest()
    return events_in(reading.raw)


def session_of(events: Sequence[dict[str, Any]]) -> UUID:
    return UUID(events[0]["metadata"]["sessionId"])


def contents(messages: Sequence[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages if "content" in message]


def transcript(streams: Streams, session_id: UUID, user: str = "alice") -> list[str]:
    page = streams.bench.transcript.messages(user, session_id, order="asc", limit=100, cursor=None)
    return [message.content for message in page.items]


async def test_a_thread_is_a_session_and_the_transcript_is_ours(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello"), say("Again")))

    async with run(streams, said("hi")) as reading:
        first = await whole(reading)
    # microsoft/agent-framework#8140: clients send the whole history, which is not said again.
    history = [said("hi"), *applied(first), said("more", "m-2")]
    async with run(streams, *history, run_id="run-2") as reading:
        second = await whole(reading)

    session_id = session_of(first)
    assert session_of(second) == session_id
    assert transcript(streams, session_id) == ["hi", "Hello", "more", "Again"]
    session = streams.bench.sessions.get("alice", session_id)
    assert (session.agent, session.platform, session.name) == ("todo", "ag-ui", None)


async def test_the_location_is_the_turn_s(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello")))

    async with run(streams, said("hi")) as reading:
        events = await whole(reading)

    turn = events[0]["metadata"]
    where = reading.response.headers["location"]
    assert where == f"../sessions/{turn['sessionId']}/turns/{turn['turnId']}"


async def test_a_session_is_known_by_the_key_that_made_it(
    new_streams: NewStreams, sql: psycopg.Connection
) -> None:
    streams = await new_streams(in_order(say("Hello")))

    async with run(streams, said("hi")) as reading:
        events = await whole(reading)

    row = sql.execute("SELECT idempotency_key FROM sessions WHERE id = %s", [session_of(events)])
    assert row.fetchone()[0].startswith("ag-ui-")  # type: ignore[index]


async def test_tools_are_told_with_arguments_and_results(new_streams: NewStreams) -> None:
    script = in_order(call("add_task", "call_0", title="milk"), say("Done."))
    streams = await new_streams(script)

    async with run(streams, said("add milk")) as reading:
        events = await whole(reading)

    made, result, reply = applied(events)
    assert made["toolCall"]["name"] == "add_task"
    assert json.loads(made["toolCall"]["arguments"]) == {"title": "milk"}
    assert "milk" in result["content"]
    assert reply["content"] == "Done."


async def test_the_same_run_is_told_again_and_not_done_again(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello")))

    async with run(streams, said("hi")) as reading:
        first = await whole(reading)
    async with run(streams, said("hi")) as reading:
        again = await whole(reading)
        assert reading.response.headers["idempotent-replayed"] == "true"

    assert applied(again) == applied(first)
    assert transcript(streams, session_of(first)) == ["hi", "Hello"]


async def test_a_client_that_was_dropped_holds_the_text_once(
    new_streams: NewStreams, gate: Gate
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))

    async with run(streams, said("hi")) as reading:
        await reading.until_raw(b"Hel")
        part = [json.loads(frame[6:]) for frame in frames_in(reading.whole)]
    held = applied(part, [said("hi")])
    assert contents(held) == ["hi", "Hel"]
    async with run(streams, *held) as reading:
        await reading.until_raw(b"Hel")
        gate.open()
        again = await whole(reading)

    assert contents(applied(again, held)) == ["hi", "Hello"]


async def test_a_run_whose_process_died_goes_on_elsewhere_and_is_told_whole(
    new_streams: NewStreams, gate: Gate
) -> None:
    dying = await new_streams(in_order(Streamed("Hel", gate)))
    other = await new_streams(in_order(say("Hi there")))

    async with run(dying, said("hi")) as reading:
        await reading.until_raw(b"Hel")
        await dying.stop()
        cut = await whole(reading)
    assert cut[-1] == {
        "type": "RUN_ERROR",
        "code": "stream_interrupted",
        "message": cut[-1]["message"],
    }
    assert await other.bench.session_worker.run_next(session_of(cut), seconds=60)
    held = applied(cut, [said("hi")])
    async with run(other, *held) as reading:
        events = await whole(reading)

    assert contents(applied(events, held)) == ["hi", "Hi there"]
    assert transcript(other, session_of(cut)) == ["hi", "Hi there"]


async def test_a_reader_sees_text_taken_back_that_is_written_anew(
    new_streams: NewStreams, gate: Gate
) -> None:
    dying = await new_streams(in_order(Streamed("Hel", gate)))
    other = await new_streams(in_order(say("Hi there")))

    async with run(dying, said("hi")) as reading:
        await reading.until_raw(b"Hel")
        async with run(other, said("hi")) as following:
            await following.until_raw(b"Hel")
            await dying.stop()
            started = json.loads(following.raw.split(b"\n\n")[0][6:])
            await other.bench.session_worker.run_next(session_of([started]), seconds=60)
            events = await whole(following)

    assert "MESSAGES_SNAPSHOT" in kinds(events)
    assert contents(applied(events, [said("hi")])) == ["hi", "Hi there"]


async def test_a_turn_elsewhere_is_followed_to_its_end_however_long_it_takes(
    new_streams: NewStreams, gate: Gate
) -> None:
    working = await new_streams(in_order(Streamed("Hel", gate, "lo")))
    # Whose readers of numbered events would have to come back at once.
    other = await new_streams(limits=Limits(follow=0.0, patience=0.0))

    async with run(working, said("hi")) as reading:
        await reading.until_raw(b"Hel")
        async with run(other, said("hi")) as following:
            await following.until_raw(b"Hel")
            gate.open()
            events = await whole(following)

    assert contents(applied(events)) == ["Hello"]


async def test_a_turn_that_fails_is_an_error_with_our_code(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(RuntimeError("no")))

    async with run(streams, said("hi")) as reading:
        events = await whole(reading)

    assert events[-1]["type"] == "RUN_ERROR"
    assert events[-1]["code"] == streams.turns(session_of(events))[0].error_code


async def test_a_cancelled_turn_is_a_cancelled_run(new_streams: NewStreams, gate: Gate) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate)))

    async with run(streams, said("hi")) as reading:
        await reading.until_raw(b"Hel")
        session_id = session_of([json.loads(reading.raw.split(b"\n\n")[0][6:])])
        turn = streams.turns(session_id)[0]
        await streams.bench.canceller.cancel("alice", session_id, turn.id)
        events = await whole(reading)

    assert events[-1]["outcome"] == {"type": "cancelled"}


async def test_another_user_s_thread_is_another_session(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("secret"), say("Hello Bob"), say("Nothing")))

    async with run(streams, said("hi")) as reading:
        alices = await whole(reading)
    async with run(streams, said("hi"), user="bob") as reading:
        bobs = await whole(reading)
    async with run(streams, said("hi"), thread=str(session_of(alices)), user="bob") as reading:
        by_id = await whole(reading)

    assert len({session_of(events) for events in (alices, bobs, by_id)}) == 3
    assert "secret" not in str([bobs, by_id])
    assert transcript(streams, session_of(alices)) == ["hi", "secret"]


async def test_a_session_that_is_there_is_gone_on_with_by_its_id(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello"), say("I too")))
    session_id = streams.bench.new_session()

    async with run(streams, said("hi"), thread=str(session_id)) as reading:
        assert session_of(await whole(reading)) == session_id
    # Each agent has threads of its own.
    other = {"thread": str(session_id), "agent": "assistant", "run_id": "run-2"}
    async with run(streams, said("hi"), **other) as reading:
        assert session_of(await whole(reading)) != session_id


async def test_a_thread_outlives_the_session_s_name(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello"), say("Again"), say("Anew")))

    async with run(streams, said("hi")) as reading:
        session_id = session_of(await whole(reading))
    streams.bench.sessions.change("alice", session_id, {"name": "groceries"})
    async with run(streams, said("more", "m-2"), run_id="run-2") as reading:
        assert session_of(await whole(reading)) == session_id
    # One that is deleted is gone; its thread begins anew, and its runs do not come back.
    streams.bench.sessions.delete("alice", session_id)
    async with run(streams, said("more", "m-2"), run_id="run-2") as reading:
        assert reading.status == 404
    async with run(streams, said("hi", "m-3"), run_id="run-3") as reading:
        assert session_of(await whole(reading)) != session_id


async def test_messages_wait_their_turn(new_streams: NewStreams, gate: Gate) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo"), say("Second")))

    async with run(streams, said("hi")) as first:
        await first.until_raw(b"Hel")
        session_id = session_of([json.loads(first.raw.split(b"\n\n")[0][6:])])
        async with run(streams, said("more", "m-2"), run_id="run-2") as second:
            await second.until_raw(b"RUN_STARTED")
            gate.open()
            await whole(first)
            await until(lambda: streams.turns(session_id)[-1].ended_at is not None)
            assert await streams.bench.session_worker.run_next(session_id, seconds=60)
            events = await whole(second)

    assert contents(applied(events)) == ["Second"]


async def test_a_message_behind_a_turn_that_begins_to_wait_is_told_so_and_kept(
    new_streams: NewStreams, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "QUIET_SECONDS", 0.05)
    monkeypatch.setattr(reader, "ASK_SECONDS", 0.05)
    asks = Streamed("May I?", gate, calls=[Called("pay", {"title": "milk"}, "call_p")])
    streams = await new_streams(in_order(asks))
    streams.bench.agent = Agent("till", tools=[pay])

    async with run(streams, said("hi")) as first:
        await first.until_raw(b"May I?")
        session_id = session_of([json.loads(first.raw.split(b"\n\n")[0][6:])])
        async with run(streams, said("more", "m-2"), run_id="run-2") as second:
            await second.until_raw(b"RUN_STARTED")
            gate.open()
            assert (await whole(first))[-1]["outcome"]["type"] == "interrupt"
            events = await whole(second)
    async with run(streams, said("more", "m-2"), run_id="run-2") as again:
        assert (await whole(again))[-1]["code"] == "turn_waiting"

    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "turn_waiting")
    assert transcript(streams, session_id) == ["hi", "more"]


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ({"agent": "nobody"}, 404, "not_found"),
        ({"agent": "to%20do"}, 404, "not_found"),
        ({"thread": ""}, 422, "invalid_field"),
        ({"thread": "t" * 256}, 422, "invalid_field"),
        ({"run_id": 7}, 422, "invalid_field"),
        ({"fields": {"messages": "hi"}}, 422, "invalid_field"),
        ({"fields": {"messages": [{"role": "user"}]}}, 422, "invalid_field"),
        ({"fields": {"messages": [said("x" * 1001)]}}, 422, "invalid_field"),
        ({"fields": {"messages": [said(" ")]}}, 422, "invalid_field"),
        ({"fields": {"resume": [{"interruptId": "i", "status": "resolved"}]}}, 422, None),
    ],
)
async def test_what_cannot_be_taken_is_a_problem(
    new_streams: NewStreams, parts: dict[str, Any], status: int, code: str | None
) -> None:
    streams = await new_streams()

    async with run(streams, said("hi"), **parts) as reading:
        document = await reading.json()

    assert reading.status == status, document
    assert document["code"] == code or code is None
    assert streams.log.appended == 0


async def test_what_is_no_text_is_refused_by_name(new_streams: NewStreams) -> None:
    streams = await new_streams()
    image = {"type": "image", "source": {"type": "url", "value": "https://x.example/y.png"}}

    async with run(streams, {"role": "user", "content": [image]}) as reading:
        document = await reading.json()

    assert (reading.status, "image" in document["detail"]) == (422, True), document


async def test_parts_of_text_are_one_text(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello")))
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]

    async with run(streams, {"role": "user", "content": parts}) as reading:
        events = await whole(reading)

    assert transcript(streams, session_of(events))[0] == "Hello"


async def test_the_same_run_with_another_message_is_refused(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello")))

    async with run(streams, said("hi")) as reading:
        await whole(reading)
    async with run(streams, said("other")) as reading:
        assert (reading.status, (await reading.json())["code"]) == (422, "idempotency_key_reused")


async def test_who_says_nothing_makes_no_session(
    new_streams: NewStreams, sql: psycopg.Connection
) -> None:
    streams = await new_streams()

    async with run(streams, {"id": "s", "role": "system", "content": "be nice"}) as reading:
        events = await whole(reading)

    assert kinds(events) == ["RUN_STARTED", "RUN_FINISHED"]
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


async def test_a_long_history_is_taken(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello")))
    history = [{"id": str(n), "role": "assistant", "content": "x" * 3000} for n in range(1000)]

    async with run(streams, *history, said("hi")) as reading:
        events = await whole(reading)
    async with run(streams, *history, *history, said("hi")) as reading:
        assert (reading.status, (await reading.json())["code"]) == (413, "content_too_large")

    assert transcript(streams, session_of(events)) == ["hi", "Hello"]


async def test_hostile_and_huge_text_arrives_as_it_is(new_streams: NewStreams) -> None:
    hostile = "\u202e<script>\n\ndata: x\n\n\u2028\x1b[2J" + "word " * 8_000
    streams = await new_streams(in_order(say(hostile)))

    async with run(streams, said("hi")) as reading:
        events = await whole(reading)

    assert contents(applied(events)) == [hostile]


async def asked_by(streams: Streams) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Send a message whose turn waits; gives what the client holds then, and its answer."""
    streams.bench.agent = Agent("till", tools=[pay])
    async with run(streams, said("hi")) as reading:
        events = await whole(reading)
    (interrupt,) = events[-1]["outcome"]["interrupts"]
    (snapshot,) = [each for each in events if each["type"] == "MESSAGES_SNAPSHOT"]
    return snapshot["messages"], {"interruptId": interrupt["id"], "status": "cancelled"}


async def steered(streams: Streams, *messages: dict[str, Any], **parts: Any) -> Any:
    """Answer with a message beside, while a worker carries out what that leads to."""
    async with run(streams, *messages, **parts) as reading:
        assert reading.status == 200, await reading.json()
        while await streams.bench.session_worker.run_next(
            UUID(reading.response.headers["location"].split("/")[-3]), seconds=60
        ):
            pass
        await reading.rest()
        return events_in(reading.raw, messages)


# assistant-ui's useAgUiSteerAway: who types instead of answering cancels what was asked.
@pytest.mark.parametrize("times", [1, 2])
async def test_a_message_beside_answers_is_answered_after_the_turn_that_asked(
    new_streams: NewStreams, sql: psycopg.Connection, times: int
) -> None:
    asks = Streamed("May I?", calls=[Called("pay", {"title": "milk"}, "call_p")])
    streams = await new_streams(in_order(asks, say("As you like."), say("Eggs, then.")))
    held, answer = await asked_by(streams)
    messages = [*held, said("rather eggs", "m-2")]

    for _ in range(times):  # a client that lost the stream comes again
        fields = {"resume": [answer]}
        events = await steered(streams, *messages, run_id="run-2", fields=fields)

    assert events[-1]["outcome"] == {"type": "success"}
    assert kinds(events).count("RUN_FINISHED") == kinds(events).count("RUN_STARTED") == 1
    session_id = session_of(events)
    assert transcript(streams, session_id) == [
        "hi", "As you like.", "rather eggs", "Eggs, then.",
    ]  # fmt: skip
    shown = [each["content"] for each in applied(events, messages) if each.get("content")]
    assert [text for text in shown if "not made" not in text] == [
        "hi", "May I?", "As you like.", "rather eggs", "Eggs, then.",
    ]  # fmt: skip
    assert sql.execute("SELECT status FROM approvals").fetchone() == ("rejected",)


async def test_a_message_beside_answers_that_cannot_be_taken_leaves_all_open(
    new_streams: NewStreams, sql: psycopg.Connection
) -> None:
    asks = Streamed("May I?", calls=[Called("pay", {"title": "milk"}, "call_p")])
    streams = await new_streams(in_order(asks))
    held, answer = await asked_by(streams)
    image = [{"type": "image", "source": {"type": "url", "value": "https://x.example/y.png"}}]

    for content, code in (("x" * 1001, "invalid_field"), (image, "invalid_field")):
        beside = {"id": "m-2", "role": "user", "content": content}
        async with run(
            streams, *held, beside, run_id="run-2", fields={"resume": [answer]}
        ) as reading:
            assert (reading.status, (await reading.json())["code"]) == (422, code)

    assert sql.execute("SELECT status FROM approvals").fetchone() == ("open",)
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (1,)


@pytest.mark.parametrize("holds", ["all", "its message only"])
async def test_answers_with_the_message_that_is_answered_bring_no_other(
    new_streams: NewStreams, sql: psycopg.Connection, holds: str
) -> None:
    asks = Streamed("May I?", calls=[Called("pay", {"title": "milk"}, "call_p")])
    streams = await new_streams(in_order(asks, say("As you like.")))
    held, answer = await asked_by(streams)
    messages = held if holds == "all" else held[:1]

    events = await steered(streams, *messages, run_id="run-2", fields={"resume": [answer]})

    assert transcript(streams, session_of(events)) == ["hi", "As you like."]


async def test_a_message_beside_answers_waits_when_the_turn_asks_again(
    new_streams: NewStreams, sql: psycopg.Connection
) -> None:
    first, second = (
        Streamed(f"May I {n}?", calls=[Called("pay", {"title": "milk"}, f"call_{n}")]) for n in "12"
    )
    streams = await new_streams(in_order(first, second, say("Well."), say("Eggs, then.")))
    held, answer = await asked_by(streams)
    messages = [*held, said("rather eggs", "m-2")]

    events = await steered(streams, *messages, run_id="run-2", fields={"resume": [answer]})
    assert events[-1]["outcome"]["type"] == "interrupt"
    messages = applied(events, messages)
    (again,) = events[-1]["outcome"]["interrupts"]
    answer = {"interruptId": again["id"], "status": "cancelled"}
    events = await steered(streams, *messages, run_id="run-3", fields={"resume": [answer]})

    assert events[-1]["outcome"] == {"type": "success"}
    assert transcript(streams, session_of(events)) == [
        "hi", "Well.", "rather eggs", "Eggs, then.",
    ]  # fmt: skip


async def test_a_turn_that_fails_before_the_message_beside_its_answers_says_so_on_the_way(
    new_streams: NewStreams,
) -> None:
    asks = Streamed("May I?", calls=[Called("pay", {"title": "milk"}, "call_p")])
    streams = await new_streams(in_order(asks, RuntimeError("no"), say("Eggs, then.")))
    held, answer = await asked_by(streams)

    events = await steered(
        streams, *held, said("rather eggs", "m-2"), run_id="run-2", fields={"resume": [answer]}
    )

    (told,) = [each for each in events if each["type"] == "CUSTOM"]
    assert (told["name"], told["value"]["code"]) == ("turn.failed", "model_failed")
    assert events[-1]["outcome"] == {"type": "success"}
    assert "Eggs, then." in contents(applied(events))


async def test_an_answer_that_comes_too_late_is_told_so_and_decides_nothing(
    new_streams: NewStreams, sql: psycopg.Connection
) -> None:
    streams = await new_streams(in_order(say("Hello")))
    async with run(streams, said("hi")) as reading:
        session_id = session_of(await whole(reading))
    asked = asking(streams.bench.database, str(session_id), Asked("c", "todo", "refund", "{}"))
    sql.execute("UPDATE approvals SET expires_at = now() - interval '1 second'")
    answer = {"interruptId": str(asked.id), "status": "resolved", "payload": {"approved": True}}

    async with run(streams, said("hi"), fields={"resume": [answer]}) as reading:
        document = await reading.json()

    assert (reading.status, document["code"]) == (409, "already_decided")
    assert sql.execute("SELECT status, decided_by FROM approvals").fetchone() == ("expired", None)
