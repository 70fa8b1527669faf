"""What the Responses API takes as a model's input, as far as the input alone can tell.

A server refuses a conversation that breaks one of these rules, and goes on refusing it: the same
items come with every later turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_ROLES = frozenset({"user", "assistant", "system", "developer"})
_OUTPUT_OF = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
_CALL_OF = {output: call for call, output in _OUTPUT_OF.items()}
_NAME = re.compile("[a-zA-Z0-9_-]{1,64}")
_PARTS = frozenset({"input_text", "input_image", "input_file", "output_text", "refusal"})


class RefusedInput(AssertionError):
    """A model would refuse what it is asked; the message says which items break which rule."""


def check(items: str | Iterable[Any]) -> None:
    """See that a model would take this input.

    Raises:
        RefusedInput: It would not.
    """
    if wrong := faults(items):
        raise RefusedInput("; ".join(wrong))


def faults(items: str | Iterable[Any]) -> list[str]:
    """Return a sentence for each rule that the input breaks; none if a model would take it."""
    if isinstance(items, str):
        return [] if items else ["the input is empty"]
    given: list[Any] = list(items)
    if not given:
        return ["the input is empty"]
    wrong = [
        f"item {place} {sentence}"
        for place, item in enumerate(given)
        for sentence in _in_itself(item)
    ]
    return wrong + _unpaired(given) + _thoughts_alone(given)


def name_faults(items: str | Iterable[Any]) -> list[str]:
    """Return a sentence for each call in what is sent whose tool has a name that OpenAI refuses."""
    return [
        f"item {place} is a call with a name that OpenAI's servers refuse"
        for place, item in enumerate(items)
        if isinstance(item, Mapping) and item.get("type") in _OUTPUT_OF
        if not _NAME.fullmatch(item["name"])
    ]


def chat_faults(messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each rule that messages of Chat Completions break.

    A call's outputs stand directly behind the message that makes it, and its arguments are a JSON
    object: many servers read them again to write the conversation down for their model.
    """
    wrong: list[str] = []
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                wrong.append(f"message {place} is an output that no call before it waits for")
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            wrong.append(f"message {place} stands between a call and its output")
        calls = message.get("tool_calls") or []
        waiting = {call["id"] for call in calls}
        if len(waiting) < len(calls):
            wrong.append(f"message {place} has calls with one id")
        wrong += [
            f"message {place} has a call whose arguments are no JSON object"
            for call in calls
            if not _is_object(call["function"]["arguments"])
        ]
        wrong += [
            f"message {place} has a call with a name that OpenAI's servers refuse"
            for call in calls
            if not _NAME.fullmatch(call["function"]["name"])
        ]
        if not calls and not message.get("content") and not message.get("refusal"):
            wrong.append(f"message {place} says nothing")
    return wrong + [f"the call {call_id} has no output" for call_id in waiting]


def _is_object(arguments: Any) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except (TypeError, ValueError):
        return False


def _in_itself(item: Mapping[str, Any]) -> Iterable[str]:
    kind = item.get("type", "message")
    if kind == "message":
        yield from _message(item)
    elif kind in _OUTPUT_OF:
        if not item.get("call_id"):
            yield "is a call without an id"
        if not item.get("name"):
            yield "is a call of a tool without a name"
        if not isinstance(item.get("arguments", item.get("input")), str):
            yield "is a call without arguments"
    elif kind in _CALL_OF:
        if not item.get("call_id"):
            yield "is an output that names no call"
        if not isinstance(item.get("output"), str | list):
            yield "is an output without text"
    elif kind != "reasoning":
        yield f"is of the unknown type {kind!r}"


def _message(item: Mapping[str, Any]) -> Iterable[str]:
    role, content = item.get("role"), item.get("content")
    if role not in _ROLES:
        yield f"has the unknown role {role!r}"
    if isinstance(content, str):
        # A user may send blanks and a model may answer nothing; only no text at all is refused.
        if not content and role != "assistant":
            yield "has no content"
    elif not isinstance(content, list) or not content:
        yield "has no content"
    else:
        yield from (
            f"has content of the unknown type {part.get('type')!r}"
            for part in content
            if part.get("type") not in _PARTS
        )


def _unpaired(given: list[Mapping[str, Any]]) -> list[str]:
    wrong = []
    open_calls: dict[str, str] = {}
    seen: set[str] = set()
    for place, item in enumerate(given):
        kind, call_id = item.get("type", "message"), item.get("call_id", "")
        if kind in _OUTPUT_OF:
            if call_id in seen:
                wrong.append(f"item {place} repeats the call id {call_id}")
            seen.add(call_id)
            open_calls[call_id] = kind
        elif kind in _CALL_OF and open_calls.pop(call_id, None) != _CALL_OF[kind]:
            wrong.append(f"item {place} is an output of {call_id}, which no call before it has")
    return wrong + [f"the call {call_id} has no output" for call_id in open_calls]


def _thoughts_alone(given: list[Mapping[str, Any]]) -> list[str]:
    """Find reasoning that is not followed by what the model thought it for."""
    wrong = []
    for place, item in enumerate(given):
        if item.get("type") != "reasoning":
            continue
        followers = (next for next in given[place + 1 :] if next.get("type") != "reasoning")
        follower = next(followers, {})
        said = follower.get("type", "message") == "message" and follower.get("role") == "assistant"
        if not said and follower.get("type") not in _OUTPUT_OF:
            wrong.append(f"item {place} is reasoning without what follows from it")
    return wrong
