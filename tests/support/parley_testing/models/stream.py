"""A model's answers as streams: the events of OpenAI's two APIs, and what happens between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from parley_testing.models.steps import End, Gate

Event = dict[str, Any]
Happening = bytes | Gate | Exception
Piece = str | Happening
"""Of what is said: a text is a delta; see `Streamed.parts` for the others."""

FAILURE = {"code": "server_error", "message": "The model broke down."}


def words(text: str) -> list[str]:
    """Cut a text into deltas: each is a word with the space behind it."""
    return re.findall(r"\S+\s*|\s+", text)


def response_events(
    answer: Event, said: Sequence[Piece] | None = None, end: End = "completed"
) -> Iterator[Event | Happening]:
    """Stream an answer as the Responses API does.

    Args:
        answer: The whole response.
        said: The pieces of its one message's text; without them every text comes word by word.
        end: How the stream ends; `cut` is like `nothing` here.
    """
    numbers = count()
    for happening in _response_events(answer, said, end):
        if isinstance(happening, dict):
            yield {**happening, "sequence_number": next(numbers)}
        else:
            yield happening


def _response_events(
    answer: Event, said: Sequence[Piece] | None, end: End
) -> Iterator[Event | Happening]:
    begun = answer | {"status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    if all(item["type"] != "message" for item in answer["output"]):
        yield from (piece for piece in said or () if not isinstance(piece, str))
    for place, item in enumerate(answer["output"]):
        at = {"output_index": place, "item_id": item.get("id", "")}
        empty = item | {"message": {"content": [], "status": "in_progress"}}.get(item["type"], {})
        yield {"type": "response.output_item.added", "output_index": place, "item": empty}
        if item["type"] == "message":
            part = item["content"][0]
            yield from _text_events(part, at, words(part["text"]) if said is None else said, end)
            if end != "completed":
                break
        elif item["type"] == "function_call":
            told = {"arguments": item["arguments"], "name": item["name"]}
            kind = "response.function_call_arguments"
            yield {"type": f"{kind}.delta", "delta": item["arguments"], **at}
            yield {"type": f"{kind}.done", **told, **at}
        yield {"type": "response.output_item.done", "output_index": place, "item": item}
    match end:
        case "completed":
            yield {"type": "response.completed", "response": answer}
        case "incomplete":
            why = {"status": end, "incomplete_details": {"reason": "max_output_tokens"}}
            yield {"type": "response.incomplete", "response": answer | why}
        case "failed":
            failed: Event = {"status": end, "error": FAILURE, "output": [], "usage": None}
            yield {"type": "response.failed", "response": answer | failed}
        case "error":
            yield {"type": "error", **FAILURE, "param": None}


def _text_events(
    part: Event, at: Event, said: Sequence[Piece], end: End
) -> Iterator[Event | Happening]:
    at = at | {"content_index": 0}
    yield {"type": "response.content_part.added", "part": part | {"text": ""}, **at}
    for piece in said:
        if isinstance(piece, str):
            yield {"type": "response.output_text.delta", "delta": piece, "logprobs": [], **at}
        else:
            yield piece
    if end == "completed":
        yield {"type": "response.output_text.done", "text": part["text"], "logprobs": [], **at}
        yield {"type": "response.content_part.done", "part": part, **at}


def completion_chunks(
    answer: Event, said: Sequence[Piece] | None = None, end: End = "completed", *, usage: bool
) -> Iterator[Event | Happening]:
    """Stream an answer as Chat Completions does; the last event, `[DONE]`, is left to the caller.

    Args:
        answer: The whole completion.
        said: The pieces of its message's text; without them it comes word by word.
        end: How the stream ends.
        usage: Whether the tokens were asked for.
    """
    head = {key: answer[key] for key in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"

    def chunk(finish_reason: str | None = None, **delta: Any) -> Event:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return head | {"choices": [choice]}

    yield chunk(role="assistant", content="")
    message = answer["choices"][0]["message"]
    for piece in words(message["content"] or "") if said is None else said:
        yield chunk(content=piece) if isinstance(piece, str) else piece
    calls = message.get("tool_calls", [])
    if end == "completed":
        for place, call in enumerate(calls):
            arguments = call["function"]["arguments"]
            begun = call | {"function": call["function"] | {"arguments": ""}}
            yield chunk(tool_calls=[{"index": place, **begun}])
            yield chunk(tool_calls=[{"index": place, "function": {"arguments": arguments}}])
    match end:
        case "completed":
            yield chunk("tool_calls" if calls else "stop")
        case "incomplete":
            yield chunk("length")
        case "failed" | "error":
            yield {"error": FAILURE}
    if usage and end in ("completed", "incomplete"):
        yield head | {"choices": [], "usage": answer["usage"]}
