"""A project's rule for the offline model, looked at before a turn asks it."""

from __future__ import annotations

import inspect
from typing import Any

from parley_project.importing import Unusable, find

_FORM = "it is called with one argument, what was asked, and gives a text, a ToolCall or None"


def rule_at(target: str) -> Any:
    """Return the rule that a target names.

    Raises:
        Unusable: It is no function of one argument.
        BaseException: Whatever importing its module raises.
    """
    rule = find(target)
    if isinstance(rule, type):
        raise Unusable(f"{target} is a class, not a function: {_FORM}")
    if not callable(rule):
        raise Unusable(f"{target} is not a function: {_FORM}")
    called = rule if inspect.isroutine(rule) else type(rule).__call__
    for kind, told in (
        (inspect.iscoroutinefunction, "an async function; it must be an ordinary one, with def"),
        (inspect.isgeneratorfunction, "a generator; it must return what it gives"),
        (inspect.isasyncgenfunction, "a generator; it must return what it gives"),
    ):
        if kind(inspect.unwrap(called)):
            raise Unusable(f"{target} is {told}")
    try:
        inspect.signature(rule).bind(None)
    except TypeError as error:
        raise Unusable(f"{target}: {error}: {_FORM}") from None
    except ValueError:  # nobody can tell, as with some of C
        pass
    return rule
