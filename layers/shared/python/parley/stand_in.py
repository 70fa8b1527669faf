"""What a project's own rules for the offline model are given, and what they give.

`[tool.parley] offline` names functions: of what the user has said each makes a reply, or a call of
a tool, or None where it has nothing to say to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool to call.

    Attributes:
        name: Its name.
        arguments: What it is given.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be answered.

    Attributes:
        text: What the user has said last.
        tools: The names of the agent's tools.
        done: The tools that were called for that, each with what it gave: what JSON has, or text.
        past: What tools gave before that, the oldest first.
    """

    text: str
    tools: frozenset[str]
    done: Sequence[tuple[str, Any]] = ()
    past: Sequence[Any] = ()


Rules = Callable[[Asked], str | ToolCall | None]
