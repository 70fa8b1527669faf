"""What the project's own rules for the offline model say, and what is wrong with them.

A rule is a developer's, and a mistake in it is told at once: a model would go in circles.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Sequence
from typing import Any

from parley.errors import StandInFault
from parley.faults import traced
from parley.manifest import locate, manifest
from parley.stand_in import Asked, ToolCall

_AT_MOST = 3
"""How often in a row a tool may be called with the same arguments, for one message."""


def ruled(
    asked: Asked, tools: Collection[str], called: Sequence[ToolCall] = ()
) -> str | ToolCall | None:
    """Return what the first rule gives that has something to say; None if none has.

    Args:
        asked: What is to be answered.
        tools: The names that may be called: the agent's tools, and its handoffs.
        called: What was called for it so far, the oldest first.

    Raises:
        StandInFault: A rule raised, or gives what cannot be done.
    """
    for target in manifest().offline:
        try:
            given: Any = locate(target)(asked)
        except (Exception, SystemExit) as error:
            at = traced(error).get("at", "")
            where = f" at {at}" if at else ""
            raise _fault(target, f"raised {type(error).__name__}{where}") from error
        if given is not None:
            return _looked_at(target, given, tools, called)
    return None


def _looked_at(
    target: str, given: Any, tools: Collection[str], called: Sequence[ToolCall]
) -> str | ToolCall:
    if inspect.iscoroutine(given):
        given.close()
        raise _fault(target, "is an async function; it must be an ordinary one, with def")
    if isinstance(given, str):
        return given
    if not isinstance(given, ToolCall):
        kind = type(given).__name__
        raise _fault(target, f"gave {kind}; it must give a text, a ToolCall or None")
    if given.name not in tools:
        there = ", ".join(sorted(tools)) or "none"
        raise _fault(
            target, f"calls the tool {given.name}, which the agent has not; it has {there}"
        )
    try:
        told = json.loads(json.dumps(given.arguments))
    except (TypeError, ValueError) as error:
        raise _fault(target, f"calls {given.name} with what is no JSON: {error}") from error
    if [*called[-_AT_MOST:]] == [ToolCall(given.name, told)] * _AT_MOST:
        again = f"calls {given.name} again after {_AT_MOST} times with the same arguments"
        raise _fault(target, f"{again}; what it gave is in asked.done")
    return given


def _fault(target: str, fault: str) -> StandInFault:
    return StandInFault(f"The rule {target} for the offline model {fault}.")
