"""The items of an answer that no model has made."""

from __future__ import annotations

from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)


def message(text: str, *, id: str) -> ResponseOutputMessage:
    """Return a message of one text."""
    return ResponseOutputMessage(
        id=id,
        type="message",
        role="assistant",
        status="completed",
        content=[ResponseOutputText(type="output_text", text=text, annotations=[])],
    )


def function_call(
    name: str, arguments: str, *, call_id: str, id: str | None = None
) -> ResponseFunctionToolCall:
    """Return a call of a function, whose arguments are JSON text."""
    return ResponseFunctionToolCall(
        type="function_call", id=id, call_id=call_id, name=name, arguments=arguments
    )
