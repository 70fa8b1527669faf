"""The AI SDK's streams as its chats take them: applied to the message that they make."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from parley_testing.streams.ag_ui import frames_in

DONE = b"data: [DONE]"


def parts_in(raw: bytes, *, goes_on: bool = False) -> list[dict[str, Any]]:
    """Read a stream's parts, in valid order; the stream is whole, or goes on with a message."""
    *frames, last = frames_in(raw)
    assert last == DONE
    parts = [json.loads(frame.removeprefix(b"data: ")) for frame in frames]
    _verify(parts, goes_on=goes_on)
    return parts


def kinds(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the parts' types, pieces of one text once."""
    named = [str(part["type"]) for part in parts]
    return [
        kind for place, kind in enumerate(named) if kind != "text-delta" or named[place - 1] != kind
    ]


def message_of(parts: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Give what the message holds then: its texts, and its tools with what they answered."""
    held: dict[str, Any] = {}
    for part in parts:
        match part["type"]:
            case "text-start":
                held[part["id"]] = ""
            case "text-delta":
                held[part["id"]] += part["delta"]
            case "tool-input-available":
                held[part["toolCallId"]] = [part["toolName"], part["input"]]
            case "tool-output-available":
                held[part["toolCallId"]].append(part["output"])
    return list(held.values())


def _verify(parts: Sequence[Mapping[str, Any]], *, goes_on: bool) -> None:
    texts: set[str] = set()
    seen: set[str] = set()
    inputs: set[str] = set()
    in_step = goes_on
    asked: set[str] = set()
    assert parts[0]["type"] == "start", parts[0]
    for part in parts[1:]:
        match part["type"]:
            case "start-step":
                assert not in_step
                in_step = True
            case "finish-step":
                assert in_step
                assert not texts
                in_step = False
            case "text-start":
                assert in_step
                assert part["id"] not in seen
                texts.add(part["id"])
                seen.add(part["id"])
            case "text-delta":
                assert part["id"] in texts
                assert part["delta"] != ""
            case "text-end":
                texts.remove(part["id"])
            case "tool-input-start":
                assert in_step
            case "tool-input-available":
                inputs.add(part["toolCallId"])
            case "tool-approval-request":
                assert part["toolCallId"] in inputs or goes_on
                asked.add(part["approvalId"])
            case "tool-approval-response":
                assert part["approvalId"] in asked or goes_on
            case "tool-output-denied" | "tool-output-error":
                assert part["toolCallId"] in inputs or goes_on
            case "tool-output-available":
                assert part["toolCallId"] in inputs or goes_on
            case "finish" | "error" | "abort":
                assert part is parts[-1]
                # One that is cut off by the process's end does not close what is open.
                assert part["type"] != "finish" or not (in_step or texts)
            case other:
                raise AssertionError(other)
    assert parts[-1]["type"] in ("finish", "error", "abort")
