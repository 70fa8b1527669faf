"""A model that never ends: no more of an answer is read, or kept, than may be."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from parley.agents import bounds
from parley.agents.bounds import DEEPEST
from parley_testing.models.dialects import (
    alike,
    called,
    chunks,
    completion,
    either,
    events,
    responding,
    response,
    said,
)
from parley_testing.models.server import Asked, Raw, Said

from .conftest import Conversation

LIMIT = 10_000
"""The least that may be set: to read a stream to its end costs the more, the more that may be."""

STREAMED = pytest.mark.parametrize("streamed", [True])


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"model_answer_max_chars": LIMIT}


def answer(which: str, text: str) -> Any:
    return alike({"content": text}) if which == "chat_completions" else responding(
        response(said(text))
    )  # fmt: skip


def thinking(which: str, text: str) -> Any:
    if which == "chat_completions":
        return alike({"content": "Hi", "reasoning_content": text})
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text"}]}
    thought["summary"][0]["text"] = text  # type: ignore[index]
    return responding(response(thought, said("Hi")))


def calling(which: str, arguments: str) -> Any:
    if which == "chat_completions":
        function = {"name": "add_task", "arguments": arguments}
        call = {"id": "call_0", "type": "function", "index": 0, "function": function}
        return alike({"content": None, "tool_calls": [call]}, "tool_calls")
    return responding(response(called("add_task", arguments)))


LONG = pytest.mark.parametrize("kind", [answer, thinking, calling])


@LONG
async def test_an_answer_that_is_too_long_fails_the_turn_and_says_so(
    conversation: Conversation, which: str, kind: Any
) -> None:
    conversation.script(kind(which, "x" * (LIMIT + 1)))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"longer than {LIMIT} characters" in (view.turn.error_detail or "")
    assert len(conversation.server.asked) == 1


async def test_one_that_is_not_is_read_whole(conversation: Conversation, which: str) -> None:
    conversation.script(answer(which, "\u725b" * LIMIT), Said("And on."))

    view = await conversation.say()
    again = await conversation.say()

    assert view.reply is not None
    assert (len(view.reply.content), again.turn.status) == (LIMIT, "completed")


def pieces(which: str, told: list[str]) -> Callable[[Asked], Raw]:
    if which == "chat_completions":
        return lambda asked: chunks(*({"content": piece} for piece in told))
    at = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
    deltas = ({"type": "response.output_text.delta", "delta": piece, **at} for piece in told)
    return responding(response(said("".join(told))), *deltas)


@STREAMED
@pytest.mark.parametrize("gzipped", [False, True])
async def test_what_frames_the_tokens_of_a_stream_is_not_kept(
    conversation: Conversation, which: str, gzipped: bool
) -> None:
    """A compressed one comes in reads of up to 1 MiB, each of which is many events."""
    told = [f"{number:>4}" for number in range(LIMIT // 4)]
    conversation.script(
        lambda asked: replace(pieces(which, told)(asked), gzipped=gzipped), Said("And on.")
    )

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "".join(told)
    deltas = [event.data["text"] for event in conversation.events if event.type == "message.delta"]
    assert "".join(deltas) == view.reply.content


@STREAMED
async def test_a_stream_of_texts_is_kept_to_the_same_limit(
    conversation: Conversation, which: str
) -> None:
    endless = itertools.repeat(pieces_of(which))
    conversation.script(lambda asked: Raw(200, iter(endless)))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"longer than {LIMIT} characters" in (view.turn.error_detail or "")


def pieces_of(which: str) -> bytes:
    if which == "chat_completions":
        delta: Any = {"choices": [{"index": 0, "delta": {"content": "word" * 25}}]}
    else:
        delta = {"type": "response.output_text.delta", "delta": "word" * 25, "output_index": 0}
    return f"data: {json.dumps(delta)}\n\n".encode()


NOTHING = [
    b": still thinking\n\n",
    b"\n",
    b"data: {}\n\n",
    b'data: {"choices": [{"index": 0, "delta": {"content": ""}}]}\n\n',
    b'data: {"type": "response.in_progress"}\n\n',
]


@STREAMED
@pytest.mark.parametrize("piece", NOTHING)
async def test_one_that_tells_nothing_for_ever_ends_there(
    conversation: Conversation, which: str, piece: bytes
) -> None:
    def endless() -> Iterator[bytes]:
        yield from itertools.repeat(piece * 64)

    conversation.script(lambda asked: Raw(200, endless()))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"longer than {64 * LIMIT} bytes" in (view.turn.error_detail or "")


@STREAMED
@pytest.mark.parametrize("piece", [b"x", b"data: x\n"])
async def test_an_event_that_never_ends_is_not_held(
    conversation: Conversation, which: str, piece: bytes
) -> None:
    conversation.script(lambda asked: Raw(200, itertools.repeat(piece * 64)))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"longer than {8 * LIMIT} bytes in one event" in (view.turn.error_detail or "")


@STREAMED
async def test_it_is_told_so_if_it_comes_in_one_read(
    conversation: Conversation, which: str
) -> None:
    """Otherwise the size of a read decided whether the event or the stream is too long."""
    conversation.script(lambda asked: Raw(200, b"data: x\n" * 20_000, gzipped=True))

    view = await conversation.say()

    assert f"longer than {8 * LIMIT} bytes in one event" in (view.turn.error_detail or "")


@pytest.mark.parametrize("streamed", [False])
async def test_a_whole_one_that_never_ends_is_not_held_either(
    conversation: Conversation, which: str
) -> None:
    conversation.script(lambda asked: Raw(200, itertools.repeat(b" " * 640)))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"longer than {8 * LIMIT} bytes" in (view.turn.error_detail or "")


async def test_one_that_calls_without_end_is_none(
    conversation: Conversation, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_CALLS", 100)
    many = range(101)
    if which == "chat_completions":
        calls = [
            {"index": each, "id": f"c{each}", "function": {"name": "x", "arguments": ""}}
            for each in many
        ]
        whole = completion({"tool_calls": calls}, "tool_calls")
        conversation.script(either(whole, chunks(*({"tool_calls": [each]} for each in calls))))
    else:
        items = [called("x", "", f"c{each}") for each in many]
        conversation.script(responding(response(*items)))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert "more than 100 tool calls" in (view.turn.error_detail or "")


@pytest.mark.parametrize("which", ["responses"])
async def test_an_error_that_is_too_long_is_not_read_either(conversation: Conversation) -> None:
    def step(asked: Asked) -> Raw:
        return Raw(400, b'{"error": {"message": "%s"}}' % (b"x" * 8 * LIMIT))

    conversation.script(step)

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert len(view.turn.error_detail or "") < 1_000


@pytest.mark.parametrize("which", ["chat_completions"])
@STREAMED
@pytest.mark.parametrize("end", ["a finish reason", "[DONE] alone"])
async def test_nothing_that_was_held_back_is_lost(conversation: Conversation, end: str) -> None:
    """What the SDK is given grows with the text, so that it does not copy all of it each time."""
    function = {"name": "add_task", "arguments": '{"title": "' + "x" * 2_000}
    deltas: list[dict[str, Any]] = [
        {"reasoning_content": "Hm. " * 300},
        {"reasoning_content": "!"},
        {"content": "The one half, " * 300},
        {"content": "?"},
        {"tool_calls": [{"index": 0, "id": "c", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"}'}}]},
    ]
    reason = "tool_calls" if end == "a finish reason" else None
    conversation.script(chunks(*deltas, finish_reason=reason), Said("Done."))

    await conversation.say()

    asked = conversation.last_input[-2]
    assert asked["content"] == "The one half, " * 300 + "?"
    assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == {"title": "x" * 2_000}


MOST_VALUES = 20_000
"""What is bounded here to fewer values than in a deployment, as the client makes them all."""


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds in bytes that leave the bound on values to decide."""
    for name in ("whole_bytes", "stream_bytes"):
        monkeypatch.setattr(bounds.Bounds, name, 100_000_000)
    monkeypatch.setattr(bounds, "MOST_VALUES", MOST_VALUES)


def unknown(which: str, value: Any) -> Any:
    if which == "chat_completions":
        return alike({"content": "Hi", "unknown": value})
    return responding(response(said("Hi") | {"unknown": value}))


@pytest.mark.usefixtures("roomy")
async def test_one_of_too_many_values_is_not_read(conversation: Conversation, which: str) -> None:
    conversation.script(unknown(which, [{}] * (MOST_VALUES + 1)))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"more than {MOST_VALUES} values" in (view.turn.error_detail or "")
    assert len(conversation.server.asked) == 1


@pytest.mark.usefixtures("roomy")
async def test_one_that_nests_without_end_is_not_read(
    conversation: Conversation, which: str
) -> None:
    value: Any = {}
    for _ in range(DEEPEST):
        value = [value]
    conversation.script(unknown(which, value))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"more than {DEEPEST} levels" in (view.turn.error_detail or "")


@pytest.mark.usefixtures("roomy")
@STREAMED
@pytest.mark.parametrize("which", ["responses"])
async def test_what_a_stream_s_items_hold_together_is_bounded(conversation: Conversation) -> None:
    item = said("Hi") | {"unknown": [{}] * (MOST_VALUES // 3)}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    conversation.script(responding(response(said("Hi")), done, done, done))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"more than {MOST_VALUES} values" in (view.turn.error_detail or "")


@pytest.mark.usefixtures("roomy")
@STREAMED
@pytest.mark.parametrize("which", ["chat_completions"])
async def test_so_are_the_probabilities_of_a_stream_s_tokens(conversation: Conversation) -> None:
    """Four values a token, and some for each chunk: all chunks together come to too many."""
    told = {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": []}] * 1_000}
    choice = {"index": 0, "delta": {"content": "a"}, "logprobs": told, "finish_reason": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    chunk = {**head, "choices": [choice]}
    conversation.script(events(*[chunk] * 6))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert f"more than {MOST_VALUES} values" in (view.turn.error_detail or "")


async def test_brackets_and_commas_in_a_text_are_no_values(
    conversation: Conversation, which: str
) -> None:
    told = '[{,\\"' * (LIMIT // 5)
    conversation.script(answer(which, told))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == told
