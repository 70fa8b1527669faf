"""Tools' values, made again from what the model was told of them.

The model is told JSON; functions of the agent's that look at a tool's result expect what the tool
gave. An attempt that replays a tool has only the JSON, and the name of what it was made from.
"""

from __future__ import annotations

import sys
from dataclasses import is_dataclass
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

_LIST = "[]"


def made_from(value: Any) -> str:
    """Return the name of what a value's JSON is made from.

    Returns:
        `module:Class` of a Pydantic model or a dataclass, followed by `[]` for a list of them;
        `json` for anything else, which is made again as the JSON value that it was told as.
    """
    if isinstance(value, list | tuple) and value and len({type(each) for each in value}) == 1:
        name = made_from(value[0])
        return name if name == "json" or name.endswith(_LIST) else name + _LIST
    kind = type(value)
    if not issubclass(kind, BaseModel) and not is_dataclass(kind):
        return "json"
    name = f"{kind.__module__}:{kind.__qualname__}"
    return name if _named(name) is kind else "json"


def made_again(text: str, name: str) -> Any:
    """Return the value that a tool gave, from its JSON and the name that `made_from` returned.

    A class that a deployment has changed or taken away gives the JSON value.
    """
    kind = _named(name.removesuffix(_LIST))
    if kind is None:
        return from_json(text)
    expected: Any = list[kind] if name.endswith(_LIST) else kind  # type: ignore[valid-type]
    try:
        return TypeAdapter(expected).validate_json(text)
    except ValidationError:
        return from_json(text)


def _named(name: str) -> type[Any] | None:
    """Return the class of that name among the modules that are imported."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None
