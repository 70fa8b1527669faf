"""Answers of Chat Completions as the SDK takes them, whole and chunk by chunk.

Compatible servers differ in what they leave out, name otherwise or send twice, and the SDK loses or
refuses some of it, and not the same in a stream as in a whole answer. Both pass through here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from parley.agents import fields
from parley.text import Pieces
from parley.turns.model_faults import BadAnswer, cut_off

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")

_FAILED = ("error", "abort", "network_error", "insufficient_system_resource")
_WITHHELD = ("content_filter", "sensitive")
_TOO_LONG = ("model_context_window_exceeded",)


@dataclass
class _Call:
    """A tool call of which chunks may still come; the SDK is told of it by `place` and `id`."""

    place: int
    id: str
    given_id: str
    given_index: Any
    name: str
    arguments: str = ""


class ChatAnswer:
    """One answer on its way in.

    Attributes:
        fault: What is wrong with it, known when it is over: tokens are told last.
    """

    def __init__(self) -> None:
        self.fault: BadAnswer | None = None
        self._calls: list[_Call] = []
        self._pieces: dict[Any, Pieces] = {}

    def whole(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Mend a whole answer.

        Raises:
            BadAnswer: It is none.
        """
        choices = _choices(data)
        if not choices:
            said = data.get("error") or data.get("message")
            raise BadAnswer("it has no choices", said or {"code": "error"})
        usage = _usage(data, choices)
        choice = self._choice(choices[0], "message", apart=True)
        if self.fault is not None:
            self.fault.usage = _billed(usage)
            raise self.fault
        return {**data, "choices": [choice], "usage": usage}

    def chunk(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Mend a chunk of an answer."""
        choices = _choices(data)
        usage = _usage(data, choices)
        first = [choice for choice in choices if not choice.get("index")][:1]
        mended = [self._choice(choice, "delta", apart=False) for choice in first]
        if self.fault is not None and usage is not None:
            self.fault.usage = _billed(usage)
        return {**data, "choices": mended, "usage": usage}

    def _choice(self, choice: Mapping[str, Any], key: str, *, apart: bool) -> dict[str, Any]:
        reason = choice.get("finish_reason")
        self._judge(reason, choice.get("error"))
        said = choice.get("delta") or choice.get("message") or {}
        message = self._message(said, apart=apart or bool(reason and choice.get("message")))
        if reason is not None or apart:
            self._flush(message)
        return {
            "index": 0,
            "logprobs": choice.get("logprobs"),
            "finish_reason": reason,
            key: {"role": "assistant", **message},
        }

    def _judge(self, reason: Any, error: Any) -> None:
        if error or reason in _FAILED:
            self.fault = BadAnswer("it broke off", error or str(reason))
        elif reason in _WITHHELD:
            self.fault = BadAnswer("it was held back", "content_filter")
        elif reason in _TOO_LONG:
            self.fault = BadAnswer("it did not fit", str(reason))
        elif reason == "length":
            self.fault = cut_off()

    def _message(self, given: Mapping[str, Any], *, apart: bool) -> dict[str, Any]:
        message = dict(given)
        message["content"], thoughts = fields.text_and_thoughts(given.get("content"))
        if thoughts and not given.get("reasoning_content"):
            message["reasoning_content"] = thoughts
        for key in _TEXTS:
            if isinstance(message.get(key), str):
                message[key] = self._pieces.setdefault(key, Pieces()).add(message[key])
        calls = given.get("tool_calls")
        if calls:
            made = [self._call(call, apart=apart) for call in calls if isinstance(call, Mapping)]
            message["tool_calls"] = made
        return message

    def _flush(self, message: dict[str, Any]) -> None:
        for key in _TEXTS:
            if key in self._pieces and (rest := self._pieces[key].rest()):
                message[key] = (message.get(key) or "") + rest

    def _call(self, given: Mapping[str, Any], *, apart: bool) -> dict[str, Any]:
        function = given.get("function")
        function = function if isinstance(function, Mapping) else {}
        name = function.get("name") or ""
        call = None if apart else self._begun(given, name)
        mended = {**given, "type": given.get("type") or "function"}
        if call is None:
            given_id = given.get("id") or ""
            own_id = given_id or f"call_{uuid4().hex}"
            call = _Call(len(self._calls), own_id, given_id, given.get("index"), name)
            self._calls.append(call)
            mended["id"] = own_id
        else:
            mended.pop("id", None)
        call.name = call.name or name
        pieces = self._pieces.setdefault(call.place, Pieces())
        piece = pieces.add(fields.arguments(function.get("arguments")))
        call.arguments += piece
        return {
            **mended,
            "index": call.place,
            "function": {**function, "name": name or None, "arguments": piece}
            if not apart
            else {**function, "name": name, "arguments": piece + pieces.rest()},
        }

    def _begun(self, given: Mapping[str, Any], name: str) -> _Call | None:
        """Find the call that a chunk goes on with; None if it begins another.

        The index alone does not tell: some servers give every call the index 0, or none. Nor does
        the id: most chunks that go on have none, and some servers never give one.
        """
        index, given_id = given.get("index"), given.get("id") or ""
        calls = [call for call in self._calls if index is None or call.given_index in (index, None)]
        if given_id and (same := [call for call in calls if call.given_id == given_id]):
            return same[-1]
        if not calls:
            return None
        last = calls[-1]
        if not name:
            return last
        another = (
            (given_id and last.given_id)
            or (last.name and last.name != name)
            or _is_object(last.arguments)
        )
        return None if another else last


def _choices(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = data.get("choices")
    if not isinstance(choices, list):
        return []
    return [choice for choice in choices if isinstance(choice, Mapping)]


def _usage(data: Mapping[str, Any], choices: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    # Kimi tells it in the choice, Groq beside OpenAI's fields.
    beside = data.get("x_groq")
    places = [data, *choices, beside if isinstance(beside, Mapping) else {}]
    found = next((place["usage"] for place in places if place.get("usage")), None)
    return fields.usage(found, "prompt_tokens", "completion_tokens")


def _billed(usage: Mapping[str, Any] | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
