"""Answers of the Responses API as the SDK takes them, whole and event by event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parley.agents import fields
from parley.agents.bounds import Bounds, Kept
from parley.runner.model_faults import BadAnswer, ended_with

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
        case "function_call":
            mended["call_id"] = fields.call_id(item.get("call_id"))
            mended["arguments"] = fields.arguments(item.get("arguments"))
        case "message":
            content = item.get("content")
            if isinstance(content, str):
                mended["content"] = [{"type": "output_text", "text": content, "annotations": []}]
            elif not isinstance(content, list):
                mended["content"] = []
    return mended
