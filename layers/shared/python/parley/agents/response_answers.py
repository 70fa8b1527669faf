"""Answers of the Responses API as the SDK takes them, whole and event by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.agents import fields
from parley.agents.bounds import Bounds, Kept
from parley.runner.model_faults import BadAnswer, ended_with
from parley.runner.told_tokens import tell_tokens

_ENDS = ("failed", "incomplete", "cancelled")


_CALLS = ("function_call", "custom_tool_call")


class ResponseAnswer:
    """One answer on its way in."""

    def __init__(self, bounds: Bounds) -> None:
        """Keep how much may be kept of it."""
        self._bounds = bounds
        self._told = Kept(bounds)  # by the deltas
        self._finished = Kept(bounds)  # item by item

    def whole(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Mend a whole response.

        Raises:
            BadAnswer: It failed, was cut off, held back or is too long.
        """
        mended = self._response(data)
        status = mended.get("status")
        if status in _ENDS:
            why = mended.get("incomplete_details")
            reason = why.get("reason") if isinstance(why, Mapping) else None
            raise ended_with(status, mended.get("error"), reason, mended.get("usage"))
        return mended

    def event(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Mend an event of a stream; what it means is for who reads the stream.

        Raises:
            BadAnswer: What came so far is too long.
        """
        mended = dict(data)
        self._told.add(data.get("delta"))
        if isinstance(response := data.get("response"), Mapping):
            mended["response"] = self._response(response)
        if isinstance(item := data.get("item"), Mapping):
            mended["item"] = _item(item)
            if data["type"] == "response.output_item.done":
                _count(item, self._finished)
        return mended

    def _response(self, data: Mapping[str, Any]) -> dict[str, Any]:
        given = data.get("output")
        items = given if isinstance(given, list) else []
        output = [_item(item) for item in items if isinstance(item, Mapping)]
        usage = _usage(data.get("usage"))
        tell_tokens(fields.told_tokens(data.get("usage"), "input_tokens", "output_tokens"))
        kept = Kept(self._bounds)
        try:
            for item in output:
                _count(item, kept)
        except BadAnswer as bad:
            bad.usage = usage
            raise
        return {**data, "output": output, "usage": usage}


def _count(item: Mapping[str, Any], kept: Kept) -> None:
    kept.add(item)
    kept.add_values(item)
    if item.get("type") in _CALLS:
        kept.add_call()


def _usage(given: Any) -> dict[str, Any] | None:
    usage = fields.usage(given, "input_tokens", "output_tokens")
    if usage is not None:
        usage.setdefault("input_tokens_details", {"cached_tokens": 0})
        usage.setdefault("output_tokens_details", {"reasoning_tokens": 0})
    return usage


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    mended = dict(item)
    match item.get("type"):
        case "function_call" | "custom_tool_call":
            mended["call_id"] = fields.call_id(item.get("call_id"))
            mended["name"] = fields.name(item.get("name"))
            mended["arguments"] = fields.arguments(item.get("arguments"))
        case "message":
            mended["role"] = "assistant"
            content = item.get("content")
            parts = content if isinstance(content, list) else [content]
            mended["content"] = [read for part in parts if (read := _part(part)) is not None]
    return mended


def _part(part: Any) -> dict[str, Any] | None:
    """Return a part of a message as one of the two kinds; None if it says nothing."""
    match part:
        case str():
            return {"type": "output_text", "text": part, "annotations": []}
        case {"type": "refusal", "refusal": str()}:
            return dict(part)
        case {"type": "output_text" | "text", "text": str()}:
            annotations = part.get("annotations")
            known = annotations if isinstance(annotations, list) else []
            return {**part, "type": "output_text", "annotations": known}
    return None
