"""What compatible servers send: answers put together field by field, whole and as streams."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from parley_testing.models.server import Asked, Raw

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def completion(message: Mapping[str, Any], finish_reason: str = "stop", **fields: Any) -> Raw:
    """Make a whole answer of Chat Completions."""
    choice = {"index": 0, "message": {"role": "assistant", **message}}
    return _json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": "scripted",
            "choices": [{**choice, "finish_reason": finish_reason}],
            "usage": USAGE,
            **fields,
        }
    )


def chunks(*deltas: Mapping[str, Any], finish_reason: str | None = "stop", **fields: Any) -> Raw:
    """Make an answer of Chat Completions as a stream, a chunk for each delta.

    Args:
        deltas: What each chunk adds.
        finish_reason: Of the last chunk, which adds nothing; no such chunk if it is None.
        fields: Of a chunk behind that, such as `usage`.
    """
    choices: list[dict[str, Any]] = [{"delta": delta, "finish_reason": None} for delta in deltas]
    if finish_reason is not None:
        choices.append({"delta": {}, "finish_reason": finish_reason})
    told: list[dict[str, Any]] = [{"choices": [{"index": 0, **choice}]} for choice in choices]
    told.append({"choices": [], "usage": USAGE, **fields})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return events(*({**head, **chunk} for chunk in told), done=True)


def response(*output: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Make a response of the Responses API."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "model": "scripted",
        "status": "completed",
        "output": list(output),
        "usage": {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18},
        **fields,
    }


def said(text: str) -> dict[str, Any]:
    """Make a message of the Responses API."""
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": [part]}


def called(name: str, arguments: Any, call_id: str | None = "call_0") -> dict[str, Any]:
    """Make a tool call of the Responses API."""
    return {
        "type": "function_call",
        "id": "fc_1",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def events(*told: Mapping[str, Any], done: bool = False) -> Raw:
    """Make a stream of server-sent events."""
    lines = [f"data: {json.dumps(event)}\n\n" for event in told]
    return Raw(200, "".join([*lines, *(["data: [DONE]\n\n"] if done else [])]).encode())


def responding(whole: Mapping[str, Any], *before: Mapping[str, Any]) -> Callable[[Asked], Raw]:
    """Make a step that gives a response, whole or as a stream that ends with it.

    Args:
        whole: The response.
        before: The stream's events before its last.
    """
    status = whole["status"]
    begun = {"type": "response.created", "response": {**whole, "output": [], "usage": None}}
    last = {"type": f"response.{status}", "response": whole}
    return either(_json(whole), events(begun, *before, last))


def either(whole: Raw, stream: Raw) -> Callable[[Asked], Raw]:
    """Make a step that is one thing whole and another as a stream."""
    return lambda asked: stream if asked.streamed else whole


def alike(message: Mapping[str, Any], finish_reason: str = "stop") -> Callable[[Asked], Raw]:
    """Make a step that says the same whole and as a stream of one chunk."""
    return either(completion(message, finish_reason), chunks(message, finish_reason=finish_reason))


def refusing(status: int, body: Any) -> Raw:
    """Make an answer with an HTTP status that is an error's."""
    return Raw(status, json.dumps(body).encode())


def _json(body: Mapping[str, Any]) -> Raw:
    return Raw(200, json.dumps(body).encode())
