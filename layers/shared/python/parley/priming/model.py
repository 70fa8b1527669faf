"""What stands in for the model's server while a function is primed. Importing this imports the SDK.

It speaks both of OpenAI's APIs, whole and in streams, and says two things: that tools are to be
called, and, when they were, a few words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2

_CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("priming_1", "look", {"number": 1}),
    ("priming_2", "change", {}),
)
_WORDS = "Primed."
_THOUGHT = {"type": "summary_text", "text": _WORDS}
_USAGE = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
_DETAILS = {
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}
_COMPLETION_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def transport() -> httpx2.AsyncBaseTransport:
    """Return what answers a client's requests, without a connection."""
    return httpx2.MockTransport(_answer)


def _answer(request: httpx2.Request) -> httpx2.Response:
    asked = json.loads(request.content)
    if "input" in asked:
        called = any(item.get("type") == "function_call_output" for item in asked["input"])
        if asked.get("stream"):
            return _stream(_events(called=called), named=True)
        return httpx2.Response(200, json=_response(_output(called=called)))
    called = any(message["role"] == "tool" for message in asked["messages"])
    if asked.get("stream"):
        return _stream(_chunks(called=called), named=False)
    return httpx2.Response(200, json=_completion(called=called))


def _stream(events: Iterator[dict[str, Any]], *, named: bool) -> httpx2.Response:
    lines = []
    for event in events:
        if named:
            lines.append(f"event: {event['type']}")
        lines.append(f"data: {json.dumps(event)}\n")
    if not named:
        lines.append("data: [DONE]\n")
    body = "".join(f"{line}\n" for line in lines)
    return httpx2.Response(200, text=body, headers={"content-type": "text/event-stream"})


def _output(*, called: bool) -> list[dict[str, Any]]:
    if not called:
        return [
            {
                "type": "function_call",
                "id": f"fc_{call_id}",
                "status": "completed",
                "call_id": call_id,
                "name": name,
                "arguments": json.dumps(arguments),
            }
            for call_id, name, arguments in _CALLS
        ]
    text = {"type": "output_text", "text": _WORDS, "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    thought = {"type": "reasoning", "id": "rs_1", "summary": [_THOUGHT]}
    return [thought, {**message, "content": [text]}]


def _response(output: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    return {
        **{"id": "resp_1", "object": "response", "created_at": 0, "model": "priming"},
        **{"status": status, "output": output, "parallel_tool_calls": True},
        **{"tool_choice": "auto", "tools": [], "usage": {**_USAGE, **_DETAILS}},
    }


def _events(*, called: bool) -> Iterator[dict[str, Any]]:
    output = _output(called=called)
    told = [
        {"type": "response.created", "response": _response([], "in_progress")},
        {"type": "response.in_progress", "response": _response([], "in_progress")},
        *(event for place, item in enumerate(output) for event in _of_item(place, item)),
        {"type": "response.completed", "response": _response(output)},
    ]
    for number, event in enumerate(told):
        yield {**event, "sequence_number": number}


def _of_item(place: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"output_index": place, "item_id": item["id"]}
    empty: dict[str, Any] = {}
    inner: list[dict[str, Any]] = []
    match item["type"]:
        case "function_call":
            empty = {"arguments": ""}
            kind = "response.function_call_arguments"
            named = {"name": item["name"]}
            inner = [
                {**at, "type": f"{kind}.delta", "delta": item["arguments"]},
                {**at, "type": f"{kind}.done", "arguments": item["arguments"]} | named,
            ]
        case "reasoning":
            empty = {"summary": []}
            kind = "response.reasoning_summary"
            inner = _of_part({**at, "summary_index": 0}, f"{kind}_part", f"{kind}_text", _THOUGHT)
        case "message":
            empty = {"content": []}
            (part,) = item["content"]
            at = {**at, "content_index": 0}
            inner = _of_part(at, "response.content_part", "response.output_text", part)
    begun = {**item, "status": "in_progress", **empty}
    yield {"type": "response.output_item.added", "output_index": place, "item": begun}
    yield from inner
    yield {"type": "response.output_item.done", "output_index": place, "item": item}


def _of_part(
    at: dict[str, Any], whole: str, text: str, part: dict[str, Any]
) -> list[dict[str, Any]]:
    logged: dict[str, Any] = {"logprobs": []} if "logprobs" in part else {}
    return [
        {**at, "type": f"{whole}.added", "part": {**part, "text": ""}},
        {**at, "type": f"{text}.delta", "delta": part["text"], **logged},
        {**at, "type": f"{text}.done", "text": part["text"], **logged},
        {**at, "type": f"{whole}.done", "part": part},
    ]


def _message(*, called: bool) -> dict[str, Any]:
    if called:
        return {"role": "assistant", "content": _WORDS}
    calls = [
        {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for call_id, name, arguments in _CALLS
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _completion(*, called: bool) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop" if called else "tool_calls"}
    return {
        **{"id": "chat_1", "object": "chat.completion", "created": 0, "model": "priming"},
        "choices": [{**choice, "message": _message(called=called)}],
        "usage": _COMPLETION_USAGE,
    }


def _chunks(*, called: bool) -> Iterator[dict[str, Any]]:
    about = {"id": "chat_1", "object": "chat.completion.chunk", "created": 0, "model": "priming"}
    delta = _message(called=called)
    for place, call in enumerate(delta.get("tool_calls", ())):
        call["index"] = place
    end = "stop" if called else "tool_calls"
    yield {**about, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**about, "choices": [{"index": 0, "delta": {}, "finish_reason": end}]}
    yield {**about, "choices": [], "usage": _COMPLETION_USAGE}
