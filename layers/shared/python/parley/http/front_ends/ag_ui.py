"""AG-UI 1.0: a turn as the events of a run (docs.ag-ui.com)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from parley.events.final import is_cut
from parley.http.approval_schemas import REASON_MAX_CHARS
from parley.http.front_ends.narration import Asked, Frame, Frames, farewell, narrate, written
from parley.http.streamed import Told
from parley.repository.approvals import Approval, rejection
from parley.repository.transcript import TurnView

VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Run:
    """A `Wire` of the run that a client asks for.

    Attributes:
        thread_id: The client's.
        run_id: The client's.
        messages: The messages that the client sent.
        newest: The place of the user's that counts; None if there is none.
        user_id: Who reads it, and `may` by which scopes, or as `admin`, they decide.
    """

    thread_id: str
    run_id: str
    messages: Sequence[Mapping[str, Any]] = ()
    newest: int | None = None
    user_id: str = ""
    may: frozenset[str] = frozenset()

    def headers(self, view: TurnView, *, replayed: bool) -> dict[str, str]:
        location = f"../sessions/{view.turn.session_id}/turns/{view.turn.id}"
        told = {"Location": location}
        return told | {"Idempotent-Replayed": "true"} if replayed else told

    def parts(self, told: Told) -> AsyncGenerator[bytes, None]:
        return narrate(told, _Run(self))

    @property
    def farewell(self) -> bytes:
        return farewell(_Run(self))

    @property
    def whole(self) -> bool:
        return True


def empty_run(thread_id: str, run_id: str) -> str:
    """Return the whole of a run in which nothing happens."""
    run = _Run(Run(thread_id, run_id))
    return written([run.started(), run.finished("success")]).decode()


@dataclass(slots=True)
class _Run:
    """Tells a run."""

    run: Run
    last: bytes = b""
    held: frozenset[str] = frozenset()
    _history: list[Mapping[str, Any]] = field(default_factory=list)
    _held: set[str] = field(default_factory=set)
    _said: list[dict[str, Any]] = field(default_factory=list)
    _later: list[Mapping[str, Any]] = field(default_factory=list)

    def begins(self, told: Told) -> Frames:
        turn, messages = told.view.turn, self.run.messages
        yield self.started(sessionId=str(turn.session_id), turnId=str(turn.id))
        if told.answered or self.run.newest is None:
            of_turn = f"{turn.id}-"
            mine = [str(each.get("id", "")).startswith(of_turn) for each in messages]
            self._history = [each for each, own in zip(messages, mine, strict=True) if not own]
            self._held = {str(e["id"]) for e, own in zip(messages, mine, strict=True) if own}
            if told.then is not None and self.run.newest is not None:
                self._later = [messages[self.run.newest]]
                self._history = [each for each in self._history if each is not self._later[0]]
            if told.view.user_message and not any(e.get("role") == "user" for e in messages):
                said = told.view.user_message
                asked = {"id": str(said.id), "role": "user", "content": said.content}
                self._history.append(asked)
                yield self._snapshot()  # clients keep the order in which they are told of messages
            return
        self._history = [*messages[: self.run.newest + 1]]
        if told.replayed and len(messages) > self.run.newest + 1:
            # It would add to what it holds of the texts: they are told from their start.
            yield self._snapshot()

    def goes_on(self) -> Frames:
        if self._held - {each["id"] for each in self._said}:
            # It was told a part of the rest before, or has what the log does not tell any more.
            yield self._snapshot()

    def goes_over(self, failed: tuple[str, str] | None) -> Frames:
        if failed is not None:
            code, detail = failed
            yield {
                "type": "CUSTOM",
                "name": "turn.failed",
                "value": {"code": code, "message": detail},
            }
        self._history = [*self._history, *self._told(), *self._later]
        self._said, self._later = [], []
        # What the turn said stands before the message that came with the answers.
        yield self._snapshot()

    def started(self, **metadata: str) -> Frame:
        """Return the event that begins the run."""
        return {
            "type": "RUN_STARTED",
            "threadId": self.run.thread_id,
            "runId": self.run.run_id,
            "protocolVersion": VERSION,
            "metadata": metadata,
        }

    def text_begins(self, text_id: str) -> Frames:
        self._said.append({"id": text_id, "role": "assistant", "content": []})
        yield {"type": "TEXT_MESSAGE_START", "messageId": text_id, "role": "assistant"}

    def text(self, text_id: str, piece: str) -> Frames:
        self._said[-1]["content"].append(piece)
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": text_id, "delta": piece}

    def text_ends(self, text_id: str) -> Frames:
        yield {"type": "TEXT_MESSAGE_END", "messageId": text_id}

    def text_is_void(self, text_id: str) -> Frames:
        self._said = [each for each in self._said if each["id"] != text_id]
        yield self._snapshot()

    def called(self, call_id: str, name: str, arguments: str) -> Frames:
        arguments = _as_json(arguments)
        function = {"name": name, "arguments": arguments}
        made = {"id": call_id, "type": "function", "function": function}
        self._said.append({"id": call_id, "role": "assistant", "toolCalls": [made]})
        yield {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": name}
        if arguments:
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": arguments}
        yield {"type": "TOOL_CALL_END", "toolCallId": call_id}

    def returned(self, call_id: str, output: Any) -> Frames:
        content = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        said = {"toolCallId": call_id, "content": content, "role": "tool"}
        self._said.append({"id": f"{call_id}-result", **said})
        yield {"type": "TOOL_CALL_RESULT", "messageId": f"{call_id}-result", **said}

    def edited(self, call_id: str, name: str, arguments: str) -> Frames:
        # What a call is made with is told once; only snapshots tell it anew.
        for each in self._said:
            if each["id"] == call_id:
                each["toolCalls"][0]["function"]["arguments"] = _as_json(arguments)
        return ()

    def asked(self, call_id: str, asked: Asked) -> Frames:
        return ()

    def decided(self, call_id: str, asked: Asked, status: str, reason: str | None) -> Frames:
        if status in ("rejected", "expired"):
            yield from self.returned(call_id, rejection(status, reason))

    def waits(self, asked: Sequence[tuple[str, Approval]]) -> Frames:
        yield self._snapshot()
        interrupts = [self._interrupt(call_id, each) for call_id, each in asked]
        yield self.finished("interrupt", interrupts=interrupts)

    def completed(self, usage: Mapping[str, Any]) -> Frames:
        names = {"inputTokens": "input_tokens", "outputTokens": "output_tokens"}
        spent = {ours: usage[name] for ours, name in names.items() if usage[name] is not None}
        total = {"totalTokens": sum(spent.values())} if len(spent) == len(names) else {}
        yield {**self.finished("success"), "usage": [spent | total]}

    def cancelled(self, detail: str) -> Frames:
        yield self.finished("cancelled")

    def failed(self, code: str, detail: str) -> Frames:
        yield {"type": "RUN_ERROR", "message": detail, "code": code}

    def finished(self, outcome: str, **more: Any) -> Frame:
        """Return the event that ends the run well."""
        return {
            "type": "RUN_FINISHED",
            "threadId": self.run.thread_id,
            "runId": self.run.run_id,
            "outcome": {"type": outcome, **more},
        }

    def _snapshot(self) -> Frame:
        messages = [*self._history, *self._told(), *self._later]
        return {"type": "MESSAGES_SNAPSHOT", "messages": messages}

    def _told(self) -> list[dict[str, Any]]:
        return [
            {**each, "content": "".join(each["content"])}
            if isinstance(each.get("content"), list)
            else each
            for each in self._said
        ]

    def _interrupt(self, call_id: str, asked: Approval) -> Frame:
        """Return what the client is asked."""
        may = asked.may_be_decided_by(self.run.user_id, self.run.may)
        cut = is_cut(asked.arguments)
        message = (
            f"May {asked.tool} be called?"
            if may
            else f"{asked.tool} waits for somebody else to decide."
        )
        told = {"toolName": asked.tool, "decider": asked.decider, "mayDecide": may, "cut": cut}
        return {
            "id": str(asked.id),
            "reason": "tool_call",
            "message": f"{message} Its arguments are longer than is shown." if cut else message,
            "toolCallId": call_id,
            "responseSchema": _response_schema(editable=asked.editable),
            "expiresAt": asked.expires_at.isoformat(),
            "metadata": told,
        }


def _response_schema(*, editable: bool) -> dict[str, Any]:
    """Return what the payload of an answer looks like."""
    edited = {"editedArgs": {"type": "object"}} if editable else {}
    return {
        "type": "object",
        "properties": {
            "approved": {"type": "boolean"},
            "reason": {"type": "string", "maxLength": REASON_MAX_CHARS},
            **edited,
        },
        "required": ["approved"],
    }


def _as_json(arguments: str) -> str:
    """Return arguments as the JSON that clients read: text that is none, as JSON's text.

    A model may write what is no JSON, and what is very long is cut.
    """
    try:
        from_json(arguments or "{}", allow_inf_nan=False)
    except ValueError:
        return to_json(arguments).decode()
    return arguments
