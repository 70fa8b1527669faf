"""Answers from public reports, as compatible servers gave them, in every combination."""

from __future__ import annotations

import json
from typing import Any

import pytest

from parley_testing.models.dialects import (
    alike,
    called,
    chunks,
    completion,
    either,
    refusing,
    responding,
    response,
    said,
)
from parley_testing.models.server import Asked, Raw, Said

from .conftest import Conversation

CHAT = pytest.mark.parametrize("which", ["chat_completions"])
STREAMED = pytest.mark.parametrize("streamed", [True])


def lines(*told: str) -> Raw:
    """Make a stream of these lines, each ending an event."""
    return Raw(200, "".join(f"{line}\n\n" for line in told).encode())


def event(data: Any, name: str | None = None) -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(data)}"


def failing(which: str, error: Any, *, stream: Raw | None = None) -> Any:
    """Make an answer with status 200 that is an error, whole and as a stream."""
    whole = Raw(200, json.dumps({"error": error}).encode())
    return either(whole, stream or lines(event({"error": error}, "error")))


def hello(which: str) -> Any:
    if which == "chat_completions":
        return {"choices": [{"index": 0, "delta": {"content": "Half a"}}]}
    return {"type": "response.output_text.delta", "delta": "Half a", "output_index": 0}


def hi(which: str, *, streamed: bool) -> bytes:
    if which == "chat_completions":
        step = chunks({"content": "Hi"}) if streamed else completion({"content": "Hi"})
    else:
        asked = Asked("/responses", {"stream": streamed}, 0, "")
        step = responding(response(said("Hi")))(asked)
    assert isinstance(step.body, bytes)
    return step.body


TOOL_USE_FAILED = {
    "message": "Failed to call a function. Please adjust your prompt. See 'failed_generation'.",
    "type": "invalid_request_error",
    "code": "tool_use_failed",
    "failed_generation": 'web_search{"query": "What is a context window?"}</function>',
}


@pytest.mark.parametrize("by_status", [True, False])
async def test_a_call_that_the_server_could_not_read_is_made_again(
    conversation: Conversation, which: str, by_status: bool
) -> None:
    """Groq."""
    first = (
        refusing(400, {"error": TOOL_USE_FAILED})
        if by_status
        else failing(which, {**TOOL_USE_FAILED, "status_code": 400})
    )
    conversation.script(first, Said("Now."))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Now."


@CHAT
@pytest.mark.parametrize(
    "reason", ["MALFORMED_FUNCTION_CALL", "function_call_filter: UNEXPECTED_TOOL_CALL"]
)
async def test_a_call_that_was_malformed_is_made_again(
    conversation: Conversation, reason: str
) -> None:
    """Gemini."""
    conversation.script(alike({"content": "Half a"}, reason), Said("Now."))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Now."


ERRORS: dict[str, dict[str, Any]] = {
    "OpenRouter": {"code": 502, "message": "Provider disconnected unexpectedly"},
    "LM Studio": {"message": "Compute error."},
    "Ollama": {"message": "an error was encountered while running the model", "type": "api_error"},
    "Anthropic": {"type": "overloaded_error", "message": "Overloaded"},
    "Bedrock": {
        "message": "An error occurred (ThrottlingException) when calling the ConverseStream"
        " operation: Too many tokens, please wait before trying again."
    },
}


@STREAMED
@pytest.mark.parametrize("server", ERRORS)
async def test_an_error_in_the_middle_is_asked_again(
    conversation: Conversation, which: str, server: str
) -> None:
    error = ERRORS[server]
    conversation.script(
        lines(event(hello(which)), event({"error": error}, "error"), "data: [DONE]"), Said("Now.")
    )

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Now."


@CHAT
@pytest.mark.parametrize("server", ["OpenRouter", "Anthropic", "Bedrock"])
async def test_an_error_beside_half_an_answer_is_one(
    conversation: Conversation, which: str, server: str
) -> None:
    error = ERRORS[server]
    whole = completion({"content": "Half a"}, error=error)
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    told = {"error": error, "choices": [last]}
    conversation.script(either(whole, lines(event(hello(which)), event(told))), Said("Now."))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Now."


@pytest.mark.parametrize("status", [400, 424, 429, 500, 503, 529])
async def test_throttling_passes_by_any_status(conversation: Conversation, status: int) -> None:
    conversation.script(refusing(status, {"detail": ERRORS["Bedrock"]["message"]}), Said("Now."))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail


@STREAMED
@pytest.mark.parametrize("kind", [{"object": "error"}, {"type": "error"}])
async def test_an_error_that_is_the_event_itself(
    conversation: Conversation, which: str, kind: dict[str, str]
) -> None:
    """vLLM, older, and gateways."""
    error = {"message": "Died", "code": 500, **kind}
    conversation.script(lines(event(hello(which)), event(error), "data: [DONE]"), Said("Now."))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Now."


BLANKS = [
    "retry: 3000",
    "id: 1",
    "event: ping",
    "data:",
    "data: null",
    ": ping",
    'event: ping\ndata: {"type": "ping"}',
    'data: "ping"',
    "data: []",
    'data: {"type": "keepalive", "sequence_number": 3}',
    "data: ping",
]


@STREAMED
@pytest.mark.parametrize("blank", BLANKS)
async def test_what_says_nothing_is_passed_over(
    conversation: Conversation, which: str, blank: str
) -> None:
    step = hi(which, streamed=True)
    conversation.script(Raw(200, f"{blank}\n\n".encode() + step))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Hi"


@CHAT
async def test_what_a_filter_notes_is_no_answer(conversation: Conversation) -> None:
    """Azure."""
    safe = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
    deltas: list[dict[str, Any]] = [
        {"delta": {"role": "assistant"}},
        {"delta": {"content": "Hi"}},
        {**safe, "content_filter_offsets": {"check_offset": 44}},
        {"delta": None, "finish_reason": "stop"},
        safe,
    ]
    told = [event({"choices": [{"index": 0, "finish_reason": None, **each}]}) for each in deltas]
    begun = event({"choices": [], "id": "", "prompt_filter_results": [{"prompt_index": 0, **safe}]})
    whole = completion({"content": "Hi"}, prompt_filter_results=[safe])
    conversation.script(either(whole, lines(begun, *told, "data: [DONE]")))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Hi"


@CHAT
@STREAMED
@pytest.mark.parametrize("delta", [{}, None, {"content": ""}])
async def test_a_message_at_the_end_is_not_said_twice(
    conversation: Conversation, delta: Any
) -> None:
    message = {"role": "assistant", "content": "Hi there"}
    last = {"index": 0, "delta": delta, "message": message, "finish_reason": "stop"}
    said = event({"choices": [{"index": 0, "delta": {"content": "Hi there"}}]})
    conversation.script(lines(said, event({"choices": [last]}), "data: [DONE]"))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Hi there"


async def test_one_that_does_not_stream_is_understood(
    conversation: Conversation, which: str
) -> None:
    body = hi(which, streamed=False)
    pretty = json.dumps(json.loads(body), indent=2).encode()
    conversation.script(Raw(200, body), Raw(200, pretty))

    view = await conversation.say()
    again = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Hi"
    assert again.reply is not None, again.turn.error_detail


NONE = [b"", b"<html>502 Bad Gateway</html>", b"null", b"[]", b'"no"', b"{}", b'{"choices": null}']


@pytest.mark.parametrize("body", NONE)
async def test_what_is_no_answer_at_all_is_asked_for_again(
    conversation: Conversation, which: str, body: bytes
) -> None:
    conversation.script(Raw(200, body), Said("Now."))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Now."


ARGUMENTS = '{"title":  "mil\\u006b",\\n "notes": "\u725b\u4e73"}'.replace("\\n", "\n")


async def test_what_was_sent_is_sent_again_in_the_same_bytes(
    conversation: Conversation, which: str
) -> None:
    """A server's cache of prompts holds what begins as it began before."""
    if which == "chat_completions":
        function = {"name": "add_task", "arguments": ARGUMENTS}
        call = {"id": "call_0", "type": "function", "index": 0, "function": function}
        first: Any = alike({"content": "One  moment.\n", "tool_calls": [call]}, "tool_calls")
    else:
        item = called("add_task", ARGUMENTS)
        first = responding(response(said("One  moment.\n"), item))
    conversation.script(first, Said("Done."), Said("Two."), Said("Three."))

    for text in ("1", "2", "3"):
        await conversation.say(text)

    second, third = (json.dumps(asked.input) for asked in conversation.server.asked[-2:])
    assert third.startswith(second[:-1])
    assert json.dumps(ARGUMENTS) in third
    assert json.dumps("One  moment.\n") in third
