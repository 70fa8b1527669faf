"""Answers of Chat Completions as the SDK takes them, whole and chunk by chunk.

Compatible servers differ in what they leave out, name otherwise or send twice, and the SDK loses or
refuses some of it, and not the same in a stream as in a whole answer. Both pass through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from parley.agents import fields
from parley.agents.bounds import Bounds, Kept
from parley.agents.pieces import Growing, Nesting
from parley.runner.model_faults import TRIES, BadAnswer, cut_off
from parley.runner.told_tokens import tell_tokens

_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_LISTS = ("tool_calls", "thinking_blocks", "annotations")
_UNREAD = ("audio", "function_call")  # nobody asks for them, and a stream fails for them

_FAILED = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})
_WITHHELD = frozenset({"content_filter", "sensitive", "safety", "recitation", "prohibited_content"})
_TOO_LONG = frozenset({"model_context_window_exceeded"})
_CUT_OFF = frozenset({"length", "max_tokens"})
_MISMADE = frozenset({"malformed_function_call", "unexpected_tool_call"})


@dataclass
class _Call:
    """A tool call of which chunks may still come; the SDK is told of it by `place` and `id`."""

    place: int
    id: str
    given_id: str
    given_index: Any
    name: str
    arguments: Growing = field(default_factory=Growing)
    nesting: Nesting = field(default_factory=Nesting)


class ChatAnswer:
    """One answer on its way in.

    Attributes:
        fault: What is wrong with it, known when it is over: tokens are told last.
    """

    def __init__(self, bounds: Bounds) -> None:
        """Keep how much may be kept of it."""
        self.fault: BadAnswer | None = None
        self._kept = Kept(bounds)
        self._calls: list[_Call] = []
        self._texts: dict[str, Growing] = {}

    def whole(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Mend a whole answer.

        Raises:
            BadAnswer: It is none, or it is too long.
        """
        choices = _choices(data)
        if not choices:
            raise _broken_off("it has no choices", data.get("error") or data)
        usage = _usage(data, choices)
        try:
            choice = self._choice(choices[0], "message", apart=True)
            if data.get("error"):
                raise _broken_off("it broke off", data["error"])
            if self.fault is not None:
                raise self.fault
        except BadAnswer as bad:
            bad.usage = _billed(usage)
            raise
        return {**data, "choices": [choice], "usage": usage}

    def chunk(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Mend a chunk of an answer.

        Raises:
            BadAnswer: What came so far is too long.
        """
        choices = _choices(data)
        usage = _usage(data, choices)
        if data.get("type") == "error":
            self.fault = _broken_off("it broke off", data)
        first = [choice for choice in choices if not choice.get("index")][:1]
        mended = [self._choice(choice, "delta", apart=False) for choice in first]
        if self.fault is not None and usage is not None:
            self.fault.usage = _billed(usage)
        return {**data, "choices": mended, "usage": usage}

    def rest(self) -> dict[str, Any]:
        """Return what is held back of the answer, as what a last chunk adds."""
        delta: dict[str, Any] = {}
        self._flush(delta)
        return delta

    def _choice(self, choice: Mapping[str, Any], key: str, *, apart: bool) -> dict[str, Any]:
        reason = choice.get("finish_reason")
        self._judge(reason, choice.get("error"))
        if (logprobs := choice.get("logprobs")) is not None:  # the SDK keeps those of all chunks
            self._kept.add_values(logprobs)
        said = choice.get("delta") or {}
        if not said and not self._texts and not self._calls:  # or it is all of it once more
            said = choice.get("message") or {}
            apart = apart or bool(reason and said)
        message = self._message(said, apart=apart)
        if reason is not None:
            self._flush(message)
        return {
            "index": 0,
            "logprobs": choice.get("logprobs"),
            "finish_reason": reason if reason is None else str(reason),
            key: {**message, "role": "assistant"},
        }

    def _judge(self, reason: Any, error: Any) -> None:
        # Gemini's server says `function_call_filter: MALFORMED_FUNCTION_CALL`, and others alike.
        words = str(reason or "").lower().replace(":", " ").split()
        if error or not _FAILED.isdisjoint(words):
            self.fault = _broken_off("it broke off", error or str(reason))
        elif not _MISMADE.isdisjoint(words):
            self.fault = BadAnswer("a call in it is malformed", str(reason), tries=TRIES)
        elif not _WITHHELD.isdisjoint(words):
            self.fault = BadAnswer("it was held back", "content_filter")
        elif not _TOO_LONG.isdisjoint(words):
            self.fault = BadAnswer("it did not fit", str(reason))
        elif not _CUT_OFF.isdisjoint(words):
            self.fault = cut_off()

    def _message(self, given: Mapping[str, Any], *, apart: bool) -> dict[str, Any]:
        message = {key: value for key, value in given.items() if key not in _UNREAD}
        message |= {key: fields.text_and_thoughts(given[key])[0] for key in _TEXTS if key in given}
        thoughts = fields.text_and_thoughts(given.get("content"))[1]
        if thoughts and not message.get("reasoning_content"):
            message["reasoning_content"] = thoughts
        for key in _LISTS:
            message[key] = fields.objects(given.get(key)) or None
        calls = message.pop("tool_calls")
        begun = [key for key in _TEXTS if message.get(key)]
        self._kept.add(message["thinking_blocks"])
        for key in _TEXTS:
            if key in begun:
                self._kept.add(message[key])
                text = self._texts.setdefault(key, Growing())
                message[key] = text.add(message[key]) + (text.rest() if apart else "")
            elif (calls or begun) and key in self._texts:  # what comes now stands behind it
                self._flush_text(message, key)
        if calls:
            message["tool_calls"] = [self._call(call, apart=apart) for call in calls]
        return message

    def _flush(self, message: dict[str, Any]) -> None:
        for key in self._texts:
            self._flush_text(message, key)
        for call in self._calls:
            if rest := call.arguments.rest():
                told = {"index": call.place, "function": {"arguments": rest}}
                message["tool_calls"] = [*(message.get("tool_calls") or ()), told]

    def _flush_text(self, message: dict[str, Any], key: str) -> None:
        if rest := self._texts[key].rest():
            message[key] = (message.get(key) or "") + rest

    def _call(self, given: Mapping[str, Any], *, apart: bool) -> dict[str, Any]:
        function = fields.called(given)
        name = function["name"]
        call = None if apart else self._begun(given, name)
        # The SDK passes over a call of another type in a whole answer, and in a stream makes it.
        mended = {**given, "type": "function"}
        if call is None:
            self._kept.add_call()
            given_id = fields.call_id(given.get("id"))
            own_id = given_id or f"call_{uuid4().hex}"
            call = _Call(len(self._calls), own_id, given_id, given.get("index"), name)
            self._calls.append(call)
            mended["id"] = own_id
        else:
            mended.pop("id", None)
        call.name = call.name or name
        piece = fields.arguments(function.get("arguments"))
        self._kept.add(piece)
        call.nesting.add(piece)
        arguments = call.arguments.add(piece) + (call.arguments.rest() if apart else "")
        told = {**function, "name": name if apart else name or None, "arguments": arguments}
        return {**mended, "index": call.place, "function": told}

    def _begun(self, given: Mapping[str, Any], name: str) -> _Call | None:
        """Find the call that a chunk goes on with; None if it begins another.

        The index alone does not tell: some servers give every call the index 0, or none. Nor does
        the id: most chunks that go on have none, and some servers never give one.
        """
        index, given_id = given.get("index"), fields.call_id(given.get("id"))
        calls = [call for call in self._calls if index is None or call.given_index in (index, None)]
        if given_id and (same := [call for call in calls if call.given_id == given_id]):
            return same[-1]
        if not calls:
            return None
        last = calls[-1]
        if not name:
            # Which tool it is meant for nobody can tell, but the call before it is whole.
            piece = fields.arguments(fields.called(given).get("arguments"))
            begins = piece.lstrip().startswith("{")
            return None if begins and last.nesting.is_closed else last
        another = (
            (given_id and last.given_id)
            or (last.name and last.name != name)
            or last.nesting.is_closed
        )
        return None if another else last


def _broken_off(sentence: str, said: Any) -> BadAnswer:
    """Say that a server failed; if it does not say more, it may pass."""
    bad = BadAnswer(sentence, said)
    bad.status = bad.status or 500
    return bad


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
    tell_tokens(fields.told_tokens(found, "prompt_tokens", "completion_tokens"))
    return fields.usage(found, "prompt_tokens", "completion_tokens")


def _billed(usage: Mapping[str, Any] | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
