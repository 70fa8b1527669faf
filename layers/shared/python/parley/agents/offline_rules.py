"""What the offline model does where no rule of the project's has anything to say.

Of what the user says, the first word finds the tool, and the rest is what that is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from parley.stand_in import Asked, ToolCall

NO_TOOLS = (
    "I am only Parley's stand-in without a model key; this agent needs a real model to answer."
)
_LISTS = re.compile("(what do i have|list|show).*", re.IGNORECASE)


def answer(asked: Asked, tools: Iterable[Any]) -> str | ToolCall:
    """Call the tool that is meant, or reply to what the last one gave.

    Args:
        asked: What is to be answered.
        tools: The agent's tools, as the Agents SDK has them.
    """
    if asked.done:
        return _told(asked.done[-1][1])
    command = " ".join(asked.text.split()).rstrip(".!?")
    verb, _, rest = command.partition(" ")
    simple = list(_simple(tools))
    for name, wanted, others in simple:
        if name.partition("_")[0].lower() == verb.lower() and (wanted is not None) == bool(rest):
            return ToolCall(name, {**dict.fromkeys(others), **({wanted: rest} if wanted else {})})
    if _LISTS.fullmatch(command):
        for name, wanted, others in simple:
            if wanted is None and name.partition("_")[0].lower() in ("list", "show", "get"):
                return ToolCall(name, dict.fromkeys(others))
    if not simple:
        return NO_TOOLS
    known = ", ".join(
        f"{name.partition('_')[0]} …" if wanted else name.replace("_", " ")
        for name, wanted, _ in simple
    )
    return (
        f"I am only Parley's stand-in without a model key. I understand: {known}."
        " Set OPENAI_API_KEY for more."
    )


def _simple(tools: Iterable[Any]) -> Iterator[tuple[str, str | None, list[str]]]:
    """Yield each tool that takes one text at most, with that and what else may be null."""
    for tool in tools:
        schema = getattr(tool, "params_json_schema", None)
        if not isinstance(schema, dict):
            continue
        fields: dict[str, Any] = schema.get("properties", {})
        required = set(schema.get("required", ()))
        needed = [name for name, field in fields.items() if not _may_be_null(field)]
        needed = [name for name in needed if name in required and "default" not in fields[name]]
        others = [name for name in required if name not in needed]
        if all(_may_be_null(fields[name]) for name in others):
            if not needed:
                yield tool.name, None, others
            elif len(needed) == 1 and fields[needed[0]].get("type") == "string":
                yield tool.name, needed[0], others


def _may_be_null(field: dict[str, Any]) -> bool:
    kinds = [field, *field.get("anyOf", ())]
    return any(kind.get("type") == "null" for kind in kinds)


def _told(output: Any) -> str:
    match output:
        case str():
            return output
        case []:
            return "There is nothing."
        case list():
            return "".join(f"\n- {_told(each)}" for each in output).strip()
        case dict():
            return ", ".join(f"{name}: {_told(each)}" for name, each in output.items())
    return str(output)
