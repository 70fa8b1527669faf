"""The AI SDK's UI message stream, version 1: a turn as the parts of an assistant's message."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from parley.http.front_ends.narration import Frames, farewell, narrate
from parley.http.streamed import Told
from parley.repository.transcript import TurnView

_VERSION = {"x-vercel-ai-ui-message-stream": "v1"}
_DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class MessageStream:
    """A `Wire` of the message that a chat is given.

    Attributes:
        root: The API's address, relative to the request.
    """

    root: str

    def headers(self, view: TurnView, *, replayed: bool) -> dict[str, str]:
        location = f"{self.root}sessions/{view.turn.session_id}/turns/{view.turn.id}"
        told = {**_VERSION, "Location": location}
        return told | {"Idempotent-Replayed": "true"} if replayed else told

    def parts(self, told: Told) -> AsyncGenerator[bytes, None]:
        return narrate(told, _Message())

    @property
    def farewell(self) -> bytes:
        return farewell(_Message())

    @property
    def whole(self) -> bool:
        return True


@dataclass(slots=True)
class _Message:
    """Tells a message."""

    last: bytes = _DONE
    _has_results: bool = False

    def begins(self, told: Told) -> Frames:
        turn = told.view.turn
        told_of = {"sessionId": str(turn.session_id), "turnId": str(turn.id)}
        yield {"type": "start", "messageId": str(turn.id), "messageMetadata": told_of}
        yield {"type": "start-step"}

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
        named = {"toolCallId": call_id, "toolName": name}
        yield {"type": "tool-input-start", **named}
        yield {"type": "tool-input-available", **named, "input": _value(arguments)}

    def returned(self, call_id: str, output: Any) -> Frames:
        self._has_results = True
        yield {"type": "tool-output-available", "toolCallId": call_id, "output": output}

    def completed(self, usage: Mapping[str, Any]) -> Frames:
        names = {"inputTokens": "input_tokens", "outputTokens": "output_tokens"}
        spent = {ours: usage[name] for ours, name in names.items() if usage[name] is not None}
        yield {"type": "finish-step"}
        yield {"type": "finish", "finishReason": "stop", "messageMetadata": {"usage": spent}}

    def cancelled(self, detail: str) -> Frames:
        yield {"type": "abort", "reason": detail}

    def failed(self, code: str, detail: str) -> Frames:
        # Text as the problem documents are that answer a request which is refused.
        told = json.dumps({"code": code, "detail": detail}, ensure_ascii=False)
        yield {"type": "error", "errorText": told}

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
