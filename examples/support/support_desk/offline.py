"""What the offline model does in the place of a model: it asks for a person, or refunds."""

from __future__ import annotations

import re

from parley.stand_in import Asked, ToolCall

STAND_IN = (
    "I am only Parley's stand-in without a model key. I understand: I want a human, escalate …."
)


def answer(asked: Asked) -> str | ToolCall | None:
    """Escalate if that is wanted, and say so."""
    if "escalate" not in asked.tools:
        return None
    if asked.done:
        return str(asked.done[-1][1])
    command = " ".join(asked.text.split())
    if "refund" in asked.tools and (
        match := re.fullmatch(r"refund (\d+)(?:\.(\d\d))? of (?:order )?(\S+)", command, re.I)
    ):
        cents = 100 * int(match[1]) + int(match[2] or 0)
        given = {"order_number": match[3], "cents": cents, "reason": "The user asked for it."}
        return ToolCall("refund", given)
    if match := re.fullmatch(r"escalate\W*(.*)", command, re.I):
        return ToolCall("escalate", {"reason": match[1] or "The user asked for it."})
    if re.search(r"\b(human|person)\b", command, re.I):
        return ToolCall("escalate", {"reason": command[:500]})
    return STAND_IN
