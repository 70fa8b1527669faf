"""Fields that servers fill each in their own way, as the SDK takes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from parley.usage.tokens import Tokens


def tokens(value: Any) -> int:
    """Return a number of tokens as a whole number that is not negative; 0 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return max(0, math.ceil(value)) if math.isfinite(value) else 0


def usage(value: Any, into: str, out_of: str) -> dict[str, Any] | None:
    """Return what an answer came to with whole numbers, and without what is missing.

    Args:
        value: As the server gave it. Some give fractions, or leave fields out.
        into: What the API calls the tokens that went in.
        out_of: What it calls those that came out.

    Returns:
        The usage, or None if the server gave none.
    """
    if not isinstance(value, Mapping):
        return None
    known = {key: tokens(value.get(key)) for key in (into, out_of)}
    details: dict[str, Any] = {}
    for key, counted in (
        (f"{into}_details", ("cached_tokens", "cache_write_tokens", "audio_tokens")),
        (f"{out_of}_details", ("reasoning_tokens", "audio_tokens")),
    ):
        given = value.get(key)
        if isinstance(given, Mapping):
            details[key] = {name: tokens(given[name]) for name in counted if name in given}
            details[key].setdefault(counted[0], 0)
    total = tokens(value.get("total_tokens")) or sum(known.values())
    return {**known, **details, "total_tokens": total}


def told_tokens(value: Any, into: str, out_of: str) -> Tokens | None:
    """Return what an answer came to, with what is not told left unknown.

    DeepSeek's and Moonshot's servers tell the cached tokens beside OpenAI's details, and proxies
    what went into the cache under Anthropic's name.

    Args:
        value: The usage as the server gave it.
        into: What the API calls the tokens that went in.
        out_of: What it calls those that came out.

    Returns:
        The tokens; None if the server told nothing of them.
    """
    if not isinstance(value, Mapping) or not value:
        return None
    sent, made = (_details(value, f"{name}_details") for name in (into, out_of))
    return Tokens.told(
        value.get(into),
        value.get(out_of),
        cached=_first(
            sent.get("cached_tokens"),
            value.get("prompt_cache_hit_tokens"),
            value.get("cached_tokens"),
        ),
        cache_write=_first(sent.get("cache_write_tokens"), sent.get("cache_creation_tokens")),
        reasoning=made.get("reasoning_tokens"),
        total=value.get("total_tokens"),
    )


def _details(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    given = value.get(key)
    return given if isinstance(given, Mapping) else {}


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def call_id(value: Any) -> str:
    """Return a call's id as text; some servers give a number, or nothing."""
    return "" if value is None else str(value)


def arguments(value: Any) -> str:
    """Return a call's arguments as JSON text; some servers give the object itself, or nothing."""
    if value is None or value == "":
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def called(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a call calls, with a name that is text: it may be empty.

    A call of a custom tool, which nobody offers, is one of a function; the model is told.
    """
    function, custom = call.get("function"), call.get("custom")
    if not isinstance(function, Mapping):
        given = custom if isinstance(custom, Mapping) else {}
        function = {"name": given.get("name"), "arguments": given.get("input")}
    return {**function, "name": name(function.get("name"))}


def name(value: Any) -> str:
    """Return the name of what is called; empty if it is no text."""
    return value if isinstance(value, str) else ""


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list; one that stands alone is a list of its own."""
    given = value if isinstance(value, list) else [value]
    return [each for each in given if isinstance(each, Mapping)]


def text_and_thoughts(content: Any) -> tuple[str | None, str]:
    """Split content into what is said and what is thought.

    Mistral's servers give a list: texts, the model's thoughts as parts with texts of their own,
    and references, which say nothing by themselves.
    """
    if content is None or isinstance(content, str):
        return content, ""
    said: list[str] = []
    thought: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        match part:
            case str():
                said.append(part)
            case {"type": "thinking", "thinking": inner}:
                thought += _texts(inner)
            case {"text": str(text)}:
                said.append(text)
    return "".join(said), "".join(thought)


def _texts(parts: Any) -> Iterable[str]:
    if isinstance(parts, str):
        return [parts]
    return [text for text in (text_and_thoughts(parts)[0],) if text]
