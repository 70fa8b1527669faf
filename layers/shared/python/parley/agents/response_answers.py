"""Answers of the Responses API as the SDK takes them, whole and event by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.agents import fields
from parley.turns.model_faults import ended_with

_ENDS = ("failed", "incomplete", "cancelled")


def whole(data: Mapping[str, Any]) -> dict[str, Any]:
    """Mend a whole response.

    Raises:
        BadAnswer: It failed, was cut off or held back.
    """
    mended = _response(data)
    status = mended.get("status")
    if status in _ENDS:
        why = mended.get("incomplete_details")
        reason = why.get("reason") if isinstance(why, Mapping) else None
        raise ended_with(status, mended.get("error"), reason, mended.get("usage"))
    return mended


def event(data: Mapping[str, Any]) -> dict[str, Any]:
    """Mend an event of a stream; what it means is for who reads the stream."""
    mended = dict(data)
    if isinstance(response := data.get("response"), Mapping):
        mended["response"] = _response(response)
    if isinstance(item := data.get("item"), Mapping):
        mended["item"] = _item(item)
    return mended


def _response(data: Mapping[str, Any]) -> dict[str, Any]:
    output = data.get("output")
    return {
        **data,
        "output": [_item(item) for item in output if isinstance(item, Mapping)]
        if isinstance(output, list)
        else [],
        "usage": _usage(data.get("usage")),
    }


def _usage(given: Any) -> dict[str, Any] | None:
    usage = fields.usage(given, "input_tokens", "output_tokens")
    if usage is not None:
        usage.setdefault("input_tokens_details", {"cached_tokens": 0})
        usage.setdefault("output_tokens_details", {"reasoning_tokens": 0})
    return usage


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    mended = dict(item)
    match item.get("type"):
        case "function_call":
            mended["arguments"] = fields.arguments(item.get("arguments"))
        case "message":
            content = item.get("content")
            if isinstance(content, str):
                mended["content"] = [{"type": "output_text", "text": content, "annotations": []}]
            elif not isinstance(content, list):
                mended["content"] = []
    return mended
