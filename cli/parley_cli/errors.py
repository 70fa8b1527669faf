"""What can go wrong on the command line, as sentences for the person who typed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parley import errors
from parley_cli.clean import clean

if TYPE_CHECKING:
    from parley_client import ApiError, ParleyError


class CommandFailed(errors.ParleyError):
    """The command did not do what it was asked; the message is for standard error."""


def explain(error: ParleyError) -> str:
    """Return what went wrong in words, with the fields and limits that the API named."""
    from parley_client import ApiError, UnexpectedAnswer, Unreachable
    from parley_client.exchange import is_loopback

    match error:
        case ApiError():
            return _refusal(error)
        case Unreachable():
            hint = " Is parley dev running?" if is_loopback(error.url) else ""
            perhaps = " It may have been done all the same." if error.perhaps_done else ""
            return clean(f"{error.url} cannot be reached: {_sentence(error.reason)}{perhaps}{hint}")
        case UnexpectedAnswer():
            return clean(f"{error.url} does not answer as Parley does.")
        case _:
            return clean(_sentence(str(error)))


def _refusal(error: ApiError) -> str:
    if not error.detail:
        return clean(f"The server answered {error.status}: {_sentence(error.title or 'no more')}")
    parts = [_sentence(error.detail)]
    for fault in error.errors:
        if f"{fault.field}: {fault.reason}" not in error.detail:
            parts.append(_sentence(f"{fault.field}: {fault.reason}"))
    if error.turn_id and str(error.turn_id) not in error.detail:
        parts.append(f"Turn {error.turn_id}.")
    if error.status >= 500 and error.request_id:
        parts.append(f"Request {error.request_id}.")
    return clean(" ".join(parts))


def _sentence(text: str) -> str:
    words = text.strip()
    return words if words.endswith((".", "!", "?")) else f"{words}."
