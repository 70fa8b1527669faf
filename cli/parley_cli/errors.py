"""What can go wrong on the command line, as sentences for the person who typed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CommandFailed(Exception):
    """The command did not do what it was asked; the message is for standard error."""


def explain(status: int, problem: Any, reason: str = "") -> str:
    """Return an API error in words.

    Args:
        status: The response's status.
        problem: Its body as parsed JSON: a problem document (RFC 9457), or whatever came.
        reason: What to say of a body that is no problem document.
    """
    if not isinstance(problem, Mapping) or not ("title" in problem or "detail" in problem):
        said = problem.get("message") if isinstance(problem, Mapping) else None
        return f"The server answered {status}: {said or reason or 'nothing more'}."
    title, detail = problem.get("title"), problem.get("detail")
    parts = [_sentence(part) for part in (title, detail) if part]
    for error in problem.get("errors") or []:
        if isinstance(error, Mapping):
            fault = _sentence(f"{error.get('field')}: {error.get('reason')}")
            if fault not in parts:
                parts.append(fault)
    if problem.get("turn_id"):
        parts.append(f"Turn {problem['turn_id']}.")
    if status >= 500 and problem.get("request_id"):
        parts.append(f"Request {problem['request_id']}.")
    return " ".join(parts)


def _sentence(text: object) -> str:
    words = str(text).strip()
    return words if words.endswith((".", "!", "?")) else f"{words}."
