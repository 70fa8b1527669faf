"""What OpenAI's client need not walk through to send it.

The client walks all that it sends, to write names and values as the wire has them: about 0.4 ms an
item of the input and 1 ms a tool at each call, most of a turn's time in a long conversation. What
the Agents SDK gives is in wire form already, so it goes through `extra_body`, which is sent as it
is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai import NotGiven, Omit


def unwalked(extra_body: Mapping[str, Any] | None, **arguments: Any) -> dict[str, Any]:
    """Return the extra body of a call that sends arguments unwalked.

    Args:
        extra_body: What the caller adds, or sends in place of an argument.
        arguments: Of the call, by name; those that were left out are left out.
    """
    given = {
        name: value
        for name, value in arguments.items()
        if not isinstance(value, Omit | NotGiven) and value is not None
    }
    return {**given, **(extra_body or {})}
