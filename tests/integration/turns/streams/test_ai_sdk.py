"""The AI SDK's routes: chats that are sessions, and the message that is being written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote
from uuid import UUID

import psycopg
import pytest

from parley.repository.approvals import Asked
from parley_testing.models.scripted import Streamed, call, in_order, say
from parley_testing.models.steps import Gate
from parley_testing.stores.asking import asking
from parley_testing.streams.ai_sdk import message_of, parts_in
from parley_testing.streams.streaming import Reading, Streams

NewStreams = Callable[..., Awaitable[Streams]]

CHAT = "V1StGXR8_Z5jdHi6B-myT"


def said(text: str, message_id: str = "m-1") -> dict[str, Any]:
    return {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}


def send(streams: Streams, *messages: dict[str, Any], chat: str = CHAT, **parts: Any) -> Any:
    body = {"id": chat, "messages": list(messages), "trigger": "submit-message"}
    return streams.ask("POST", "/ai-sdk/chat", body | parts.pop("fields", {}), **parts)


def resume(streams: Streams, chat: str = CHAT, **parts: Any) -> Any:
    return streams.ask("GET", f"/ai-sdk/chat/{quote(chat, safe='')}/stream", **parts)


async def whole(reading: Reading) -> list[dict[str, Any]]:
    assert reading.status == 200, await reading.response.aread()
    assert reading.response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    await reading.rest()
    return parts_in(reading.raw)


def started(reading: Reading) -> dict[str, str]:
    first: dict[str, Any] = json.loads(reading.raw.split(b"\n\n")[0].removeprefix(b"data: "))
    metadata: dict[str, str] = first["messageMetadata"]
    return metadata


def transcript(streams: Streams, session_id: str) -> list[str]:
    page = streams.bench.transcript.messages(
        "alice", UUID(session_id), order="asc", limit=100, cursor=None
    )
    return [message.content for message in page.items]


async def test_a_chat_is_a_session(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello"), say("Again")))

    async with send(streams, said("hi")) as reading:
        assert message_of(await whole(reading)) == ["Hello"]
    first = started(reading)
    history = [said("hi"), {"id": "r", "role": "assistant", "parts": []}, said("more", "m-2")]
    async with send(streams, *history) as reading:
        await whole(reading)

    assert started(reading)["sessionId"] == first["sessionId"]
    assert transcript(streams, first["sessionId"]) == ["hi", "Hello", "more", "Again"]
    session = streams.bench.sessions.get("alice", UUID(first["sessionId"]))
    assert (session.agent, session.platform) == ("todo", "ai-sdk")
    assert reading.response.headers["location"].startswith(f"../sessions/{session.id}/turns/")


async def test_the_same_message_is_the_same_turn_and_an_edited_one_is_not(
    new_streams: NewStreams,
) -> None:
    streams = await new_streams(in_order(say("Hello"), say("Other")))

    replies = []
    for text in ("hi", "hi", "ho"):
        async with send(streams, said(text)) as reading:
            replies.append(message_of(await whole(reading)))

    assert replies == [["Hello"], ["Hello"], ["Other"]]
    assert transcript(streams, started(reading)["sessionId"]) == ["hi", "Hello", "ho", "Other"]


@pytest.mark.parametrize("message_id", ["of-the-reply", None])
async def test_a_reply_is_made_anew_once_for_each_that_is_not_wanted(
    new_streams: NewStreams, message_id: str | None
) -> None:
    streams = await new_streams(in_order(say("One"), say("Two"), say("Three")))
    anew = {"trigger": "regenerate-message", "messageId": message_id}

    replies = []
    for fields in ({}, anew, anew):
        async with send(streams, said("hi"), fields=fields) as reading:
            replies += message_of(await whole(reading))

    assert replies == ["One", "Two", "Two" if message_id else "Three"]


async def test_tools_are_told(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(call("add_task", title="milk"), say("Done.")))

    async with send(streams, said("add milk")) as reading:
        (tool, given, output), text = message_of(await whole(reading))

    assert (tool, given, text) == ("add_task", {"title": "milk"}, "Done.")
    assert "milk" in str(output)


async def test_who_loads_the_page_gets_the_whole_message(
    new_streams: NewStreams, gate: Gate
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))

    async with send(streams, said("hi")) as reading:
        await reading.until_raw(b"Hel")
        async with resume(streams) as resumed:
            await resumed.until_raw(b"Hel")
            gate.open()
            parts = await whole(resumed)
    session_id = started(reading)["sessionId"]

    assert message_of(parts) == ["Hello"]
    assert resumed.response.headers["location"].startswith(f"../../../sessions/{session_id}/")
    async with resume(streams) as after:
        assert (after.status, await after.response.aread()) == (204, b"")


async def test_a_reply_whose_process_died_is_resumed_elsewhere_without_what_is_void(
    new_streams: NewStreams, gate: Gate
) -> None:
    dying = await new_streams(in_order(Streamed("Hel", gate)))
    end = Gate()
    other = await new_streams(in_order(Streamed("Hi", end, " there")))

    async with send(dying, said("hi")) as reading:
        await reading.until_raw(b"Hel")
        async with resume(other) as watching:
            await watching.until_raw(b"Hel")
            await dying.stop()
            cut = await whole(reading)
            session_id = UUID(started(reading)["sessionId"])
            carried_on = other.bench.session_worker.run_next(session_id, seconds=60)
            work = asyncio.ensure_future(carried_on)
            seen = await whole(watching)
    async with resume(other) as resumed:
        await resumed.until_raw(b"Hi")
        end.open()
        parts = await whole(resumed)
    await work

    assert json.loads(cut[-1]["errorText"])["code"] == "stream_interrupted"
    assert json.loads(seen[-1]["errorText"])["code"] == "message_reset"
    assert message_of(parts) == ["Hi there"]


async def test_a_turn_that_waits_is_resumed_behind_the_one_that_runs(
    new_streams: NewStreams, gate: Gate
) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))

    async with send(streams, said("hi")) as first:
        await first.until_raw(b"Hel")
        async with send(streams, said("more", "m-2")) as second:
            await second.until_raw(b"start")
            async with resume(streams) as resumed:
                await resumed.until_raw(b"Hel")
                assert started(resumed) == started(first)
                gate.open()
                await whole(resumed)


async def test_another_user_s_chat_is_nothing_of_mine(new_streams: NewStreams, gate: Gate) -> None:
    streams = await new_streams(in_order(Streamed("secret", gate), say("Hello Bob")))

    async with send(streams, said("hi")) as reading:
        await reading.until_raw(b"secret")
        session_id = started(reading)["sessionId"]
        for chat in (CHAT, session_id):
            async with resume(streams, chat, user="bob") as resumed:
                assert resumed.status == 204
        async with resume(streams, session_id) as own:
            await own.until_raw(b"secret")
        async with send(streams, said("hi"), user="bob") as bobs:
            assert message_of(await whole(bobs)) == ["Hello Bob"]
        gate.open()

    assert started(bobs)["sessionId"] != session_id


@pytest.mark.parametrize("chat", ["a/b c?d#é", "..x", "%2F", "x" * 255])
async def test_a_chat_is_named_by_any_text(new_streams: NewStreams, gate: Gate, chat: str) -> None:
    streams = await new_streams(in_order(Streamed("Hel", gate, "lo")))

    async with send(streams, said("hi"), chat=chat) as reading:
        await reading.until_raw(b"Hel")
        async with resume(streams, chat) as resumed:
            await resumed.until_raw(b"Hel")
            gate.open()
            assert message_of(await whole(resumed)) == ["Hello"]


async def test_the_agent_is_for_a_session_that_is_made(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(say("Hello"), say("Again")))

    for text, agent in (("hi", "assistant"), ("more", "todo")):
        async with send(streams, said(text), fields={"agent": agent}) as reading:
            await whole(reading)
        session = streams.bench.sessions.get("alice", UUID(started(reading)["sessionId"]))
        assert session.agent == "assistant"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"messages": []}, "messages"),
        ({"messages": [said(" ")]}, "messages"),
        ({"messages": [said("x" * 1001)]}, "messages"),
        ({"messages": [{"role": "user", "parts": [{"type": "file", "url": "data:"}]}]}, "messages"),
        ({"trigger": "again"}, "trigger"),
        ({"agent": "nobody"}, "agent"),
    ],
)
async def test_a_field_that_cannot_be_taken_is_named(
    new_streams: NewStreams, fields: dict[str, Any], field: str
) -> None:
    streams = await new_streams()

    async with send(streams, said("hi"), fields=fields) as reading:
        document = await reading.json()

    assert (reading.status, document["errors"][0]["field"]) == (422, field)


async def test_a_turn_that_fails_is_an_error_with_our_code(new_streams: NewStreams) -> None:
    streams = await new_streams(in_order(RuntimeError("no")))

    async with send(streams, said("hi")) as reading:
        parts = await whole(reading)

    turn = streams.turns(UUID(started(reading)["sessionId"]))[0]
    assert json.loads(parts[-1]["errorText"])["code"] == turn.error_code


async def test_an_answer_that_comes_too_late_is_told_so_and_decides_nothing(
    new_streams: NewStreams, sql: psycopg.Connection
) -> None:
    streams = await new_streams(in_order(say("Hello")))
    async with send(streams, said("hi")) as reading:
        await whole(reading)
    session_id = started(reading)["sessionId"]
    asked = asking(streams.bench.database, session_id, Asked("c", "todo", "refund", "{}"))
    sql.execute("UPDATE approvals SET expires_at = now() - interval '1 second'")
    approval = {"id": str(asked.id), "approved": True}
    part = {"type": "tool-refund", "state": "approval-responded", "approval": approval}
    message = {"id": str(asked.turn_id), "role": "assistant", "parts": [part]}

    async with send(streams, said("hi"), message) as reading:
        document = await reading.json()

    assert (reading.status, document["code"]) == (409, "already_decided")
    assert sql.execute("SELECT status, decided_by FROM approvals").fetchone() == ("expired", None)
