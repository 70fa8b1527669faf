"""A model's answer as it is recorded, whoever gave it and however it was asked for.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, get_args
from uuid import uuid4

from agents import ModelResponse
from openai.types.responses import ResponseOutputItem
from pydantic_core import from_json, to_json

from parley.memory.shape import settled
from parley.runner.model_faults import no_answer
from parley.runner.model_stream import text_of
from parley.text import not_too_deep, storable_in_json, storable_json

CALLS = ("function_call", "custom_tool_call")

_KINDS = {
    kind
    for item in get_args(get_args(ResponseOutputItem)[0])
    for kind in get_args(item.model_fields["type"].annotation)
}
"""What the SDK knows; it takes any other item for a message, and fails over it."""

_UNNAMED = "unnamed"
_REFUSED_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_NAME_CHARS = 64


def recorded(response: ModelResponse, taken: set[str]) -> dict[str, Any]:
    """Make the record of an answer: its raw output as dictionaries, and its tokens.

    A round trip through the typed response would refuse what lenient servers send, and add
    fields to what good ones do.

    Args:
        response: The answer.
        taken: The ids of the turn's tool calls so far; the calls get others.

    Raises:
        BadAnswer: It holds nothing.
    """
    given = storable_json([_dictionary(item) for item in response.output])
    output = [_as_function(item) for item in given if _is_known(item)]
    usage = _tokens(response)
    if not _says_something(output):
        raise no_answer(usage)
    for item in output:
        if item.get("type") in CALLS:
            if not item.get("call_id") or item["call_id"] in taken:
                item["call_id"] = f"call_{uuid4().hex}"  # some servers start at call_0 every time
            taken = taken | {item["call_id"]}
        if item.get("type") == "function_call":
            item["name"] = item.get("name") or _UNNAMED
            item["arguments"] = storable_in_json(not_too_deep(item.get("arguments") or "{}"))
    return {"output": output, "usage": usage, "response_id": response.response_id}


def call_ids(items: Iterable[Any]) -> set[str]:
    """Return the ids of the tool calls among some items."""
    return {item["call_id"] for item in items if item.get("type") in CALLS}


def sendable(items: str | list[Any], offered: Collection[str]) -> str | list[Any]:
    """Make what a model is asked such that any server can read it.

    A call whose arguments are no JSON object was answered with what is wrong with them, and one of
    a tool that does not exist with those that do. Many servers read the arguments in a conversation
    again, and refuse all of it for such a call; and OpenAI's refuse it for a name such as
    `functions.add`, which models make up.

    It is sent in the form that lasts, so that the next turn's request begins with the same bytes.

    Args:
        items: What it is asked.
        offered: Names of tools that it may call; a server that takes them takes them here too.
    """
    if isinstance(items, str):
        return items
    return [
        _sendable_call(item, offered) if item.get("type") == "function_call" else item
        for item in settled(items)
    ]


def _sendable_call(call: dict[str, Any], offered: Collection[str]) -> dict[str, Any]:
    name = call.get("name") or ""
    if name not in offered:
        name = _REFUSED_IN_NAMES.sub("_", name)[:_NAME_CHARS] or _UNNAMED
    arguments = call.get("arguments")
    return {**call, "name": name, "arguments": arguments if _is_object(arguments) else "{}"}


def _is_known(item: dict[str, Any]) -> bool:
    """Return whether an item is one that the SDK knows; an empty message is refused later."""
    kind = item.get("type")
    return kind in _KINDS and (kind != "message" or bool(item.get("content")))


def _as_function(item: dict[str, Any]) -> dict[str, Any]:
    """Take a call of a custom tool for one of a function.

    Agents with such tools are refused, so it is of a tool that is not there, or of a function that
    the model called wrongly. The SDK would end the run; so the model is told, and may try again.
    """
    if item.get("type") != "custom_tool_call":
        return item
    arguments = to_json({"input": item.get("input") or ""}).decode()
    return {
        "type": "function_call",
        "call_id": item.get("call_id"),
        "name": item.get("name") or "",
        "arguments": arguments,
    }


def _dictionary(item: Any) -> dict[str, Any]:
    if isinstance(item, dict):
        return dict(item)
    dumped: dict[str, Any] = item.model_dump(mode="json", exclude_unset=True, warnings=False)
    return dumped


def _tokens(response: ModelResponse) -> dict[str, int]:
    usage = response.usage
    return {
        "input_tokens": max(0, int(usage.input_tokens or 0)),
        "output_tokens": max(0, int(usage.output_tokens or 0)),
    }


def _says_something(output: list[dict[str, Any]]) -> bool:
    silent = ("message", "reasoning")
    return any(item.get("type") not in silent for item in output) or bool(text_of(output).strip())


def _is_object(arguments: Any) -> bool:
    try:
        return isinstance(from_json(arguments, allow_inf_nan=False), dict)
    except (TypeError, ValueError):
        return False
