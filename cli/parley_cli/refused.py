"""What is wrong with an argument, in the words of the rest: typer hands on pydantic's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typer

_WORDS = {
    "int_parsing": "must be a whole number.",
    "int_parsing_size": "must be a whole number.",
    "int_from_float": "must be a whole number.",
    "float_parsing": "must be a number.",
    "bool_parsing": "must be true or false.",
    "uuid_parsing": "must be an id, such as 01a226a4-cb06-74de-bfa8-6e0b4ff25486.",
    "greater_than": "must be more than {gt}.",
    "greater_than_equal": "must be at least {ge}.",
    "less_than": "must be less than {lt}.",
    "less_than_equal": "must be at most {le}.",
    "value_error": "{error}",
}


def reword(refused: typer.BadParameter) -> None:
    """Say in place what is wrong with an argument, where its words are pydantic's."""
    errors = getattr(refused.__cause__, "errors", None)
    if errors is None:
        return
    faults: list[dict[str, Any]] = errors()
    said = [_said(fault) for fault in faults]
    refused.message = " ".join(said)


def _said(fault: dict[str, Any]) -> str:
    words = _WORDS.get(fault["type"])
    return words.format(**fault.get("ctx") or {}) if words else f"{fault['msg']}."
