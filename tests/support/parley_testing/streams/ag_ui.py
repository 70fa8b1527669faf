"""AG-UI's streams as its clients take them: each event valid, in the right order, and applied."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ag_ui.core import Event as AgUiEvent
from ag_ui_validate.pytest_plugin import assert_valid_agui
from pydantic import TypeAdapter

_EVENT: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


def events_in(raw: bytes, before: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Read a stream's events, each of which the protocol's own models take, in valid order.

    The public validator of the protocol finds nothing in them either, not even to warn of. It knows
    a run by itself alone, and so is not asked of one that goes on with calls of one `before`.
    """
    events = [json.loads(frame.removeprefix(b"data: ")) for frame in frames_in(raw)]
    for event in events:
        _EVENT.validate_python(event)
    _verify(events)
    if not before:
        assert_valid_agui(events, max_warnings=0)
    return events


def frames_in(raw: bytes) -> list[bytes]:
    """Read a stream's frames, without what clients pass over; each is one line of data."""
    frames = [frame for frame in raw.split(b"\n\n") if frame and not frame.startswith(b":")]
    for frame in frames:
        assert frame.startswith(b"data: "), frame
        assert len(frame.decode().splitlines()) == 1, frame
    return frames


def kinds(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the events' types, pieces of one text once."""
    named = [str(event["type"]) for event in events]
    return [
        kind
        for place, kind in enumerate(named)
        if kind != "TEXT_MESSAGE_CONTENT" or named[place - 1] != kind
    ]


def applied(
    events: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Give the messages that a client holds then, who held some before."""
    messages = {message["id"]: dict(message) for message in held}
    for event in events:
        match event["type"]:
            case "TEXT_MESSAGE_START":
                fresh = {"id": event["messageId"], "role": "assistant", "content": ""}
                messages.setdefault(event["messageId"], fresh)
            case "TEXT_MESSAGE_CONTENT":
                messages[event["messageId"]]["content"] += event["delta"]
            case "TOOL_CALL_START":
                call = {"name": event["toolCallName"], "arguments": ""}
                made = {"id": event["toolCallId"], "role": "assistant", "toolCall": call}
                messages[event["toolCallId"]] = made
            case "TOOL_CALL_ARGS":
                messages[event["toolCallId"]]["toolCall"]["arguments"] += event["delta"]
            case "TOOL_CALL_RESULT":
                result = {"id": event["messageId"], "role": "tool", "content": event["content"]}
                messages[event["messageId"]] = result
            case "MESSAGES_SNAPSHOT":
                messages = {message["id"]: dict(message) for message in event["messages"]}
    return list(messages.values())


def _verify(events: Sequence[Mapping[str, Any]]) -> None:
    texts: set[str] = set()
    calls: set[str] = set()
    over = False
    assert events[0]["type"] == "RUN_STARTED", events[0]
    for event in events:
        assert not over, event
        match event["type"]:
            case "RUN_STARTED":
                assert event is events[0]
            case "TEXT_MESSAGE_START":
                assert event["messageId"] not in texts
                texts.add(event["messageId"])
            case "TEXT_MESSAGE_CONTENT":
                assert event["messageId"] in texts
                assert event["delta"] != ""
            case "TEXT_MESSAGE_END":
                texts.remove(event["messageId"])
            case "TOOL_CALL_START":
                calls.add(event["toolCallId"])
            case "TOOL_CALL_ARGS":
                assert event["toolCallId"] in calls
            case "TOOL_CALL_END":
                calls.remove(event["toolCallId"])
            case "RUN_FINISHED":
                over = True
                assert not texts | calls
                for name in ("threadId", "runId"):
                    assert event[name] == events[0][name]
            case "RUN_ERROR":
                over = True
    assert over, events[-1]
