"""The AI SDK's UI message stream, version 1: a turn as the parts of an assistant's message."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from parley.http.front_ends.narration import Asked, Frames, farewell, narrate
from parley.http.streamed import Told
from parley.repository.approvals import USER, Approval
from parley.repository.transcript import TurnView

_VERSION = {"x-vercel-ai-ui-message-stream": "v1"}
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class MessageStream:
    """A `Wire` of the message that a chat is given.

    Attributes:
        root: The API's address, relative to the request.
        user_id: Who reads it, and `may` by which scopes, or as `admin`, they decide.
        held: Texts that the client has of the message, of which it is told the rest.
    """

    root: str
    user_id: str
    may: frozenset[str]
    held: frozenset[str] = frozenset()

    def headers(self, view: TurnView, *, replayed: bool) -> dict[str, str]:
        location = f"{self.root}sessions/{view.turn.session_id}/turns/{view.turn.id}"
        told = {**_VERSION, "Location": location}
        return told | {"Idempotent-Replayed": "true"} if replayed else told

    def parts(self, told: Told) -> AsyncGenerator[bytes, None]:
        return narrate(told, self._message())

    @property
    def farewell(self) -> bytes:
        return farewell(self._message())

    @property
    def whole(self) -> bool:
        return True

    def _message(self) -> _Message:
        return _Message(self.held, self.user_id, self.may)


@dataclass(slots=True)
class _Message:
    """Tells a message."""

    held: frozenset[str]
    user_id: str
    may: frozenset[str]
    last: bytes = _DONE
    _owner: str = ""
    _has_results: bool = False
    _without_result: set[str] = field(default_factory=set)
    _requested: set[str] = field(default_factory=set)

    def begins(self, told: Told) -> Frames:
        turn = told.view.turn
        told_of = {"sessionId": str(turn.session_id), "turnId": str(turn.id)}
        self._owner = turn.user_id
        yield {"type": "start", "messageId": str(turn.id), "messageMetadata": told_of}
        if not told.answered:  # otherwise it is the step that stopped for what was asked
            yield {"type": "start-step"}

    def goes_on(self) -> Frames:
        return ()

    def goes_over(self, failed: tuple[str, str] | None) -> Frames:
        return ()  # answers are all that their message brings

    def text_begins(self, text_id: str) -> Frames:
        yield from self._next_step()
        yield {"type": "text-start", "id": text_id}

    def text(self, text_id: str, piece: str) -> Frames:
        yield {"type": "text-delta", "id": text_id, "delta": piece}

    def text_ends(self, text_id: str) -> Frames:
        yield {"type": "text-end", "id": text_id}

    def text_is_void(self, text_id: str) -> None:
        """Take nothing back: only a message that is told anew replaces what a client has."""
        return

    def called(self, call_id: str, name: str, arguments: str) -> Frames:
        yield from self._next_step()
        self._without_result.add(call_id)
        yield {"type": "tool-input-start", "toolCallId": call_id, "toolName": name}
        yield from self.edited(call_id, name, arguments)

    def edited(self, call_id: str, name: str, arguments: str) -> Frames:
        named = {"toolCallId": call_id, "toolName": name}
        yield {"type": "tool-input-available", **named, "input": _value(arguments)}

    def returned(self, call_id: str, output: Any) -> Frames:
        self._has_results = True
        self._without_result.discard(call_id)
        yield {"type": "tool-output-available", "toolCallId": call_id, "output": output}

    def asked(self, call_id: str, asked: Asked) -> Frames:
        # Whoever may not decide is not asked: the chat would send an answer that is refused.
        mine = self.user_id == self._owner if asked.decider == USER else asked.decider in self.may
        if mine:
            yield from self._request(call_id, asked)

    def decided(self, call_id: str, asked: Asked, status: str, reason: str | None) -> Frames:
        if call_id not in self._requested:
            yield from self._request(call_id, asked)
        why = {} if reason is None else {"reason": reason}
        approved = status == "approved"
        named = {"approvalId": asked.approval_id, "approved": approved}
        yield {"type": "tool-approval-response", **named, **why}
        if not approved:
            self._has_results = True
            self._without_result.discard(call_id)
            yield {"type": "tool-output-denied", "toolCallId": call_id}

    def waits(self, asked: Sequence[tuple[str, Approval]]) -> Frames:
        yield {"type": "finish-step"}
        yield {"type": "finish", "finishReason": "tool-calls"}

    def completed(self, usage: Mapping[str, Any]) -> Frames:
        names = {"inputTokens": "input_tokens", "outputTokens": "output_tokens"}
        spent = {ours: usage[name] for ours, name in names.items() if usage[name] is not None}
        yield {"type": "finish-step"}
        yield {"type": "finish", "finishReason": "stop", "messageMetadata": {"usage": spent}}

    def cancelled(self, detail: str) -> Frames:
        for call_id in sorted(self._without_result & self._requested):
            # An answer that led to nothing would be sent again.
            yield {"type": "tool-output-error", "toolCallId": call_id, "errorText": detail}
        yield {"type": "abort", "reason": detail}

    def failed(self, code: str, detail: str) -> Frames:
        # Text as the problem documents are that answer a request which is refused.
        told = json.dumps({"code": code, "detail": detail}, ensure_ascii=False)
        yield {"type": "error", "errorText": told}

    def _request(self, call_id: str, asked: Asked) -> Frames:
        self._requested.add(call_id)
        named = {"approvalId": asked.approval_id, "toolCallId": call_id}
        yield {"type": "tool-approval-request", **named}

    def _next_step(self) -> Frames:
        """Begin another call of the model: the one before has had its tools' answers."""
        if self._has_results:
            self._has_results = False
            yield {"type": "finish-step"}
            yield {"type": "start-step"}


def _value(arguments: str) -> Any:
    """Return what a tool is given, or its text where that is no JSON, as it is when it was cut."""
    try:
        return from_json(arguments, allow_inf_nan=False)
    except ValueError:
        return arguments
