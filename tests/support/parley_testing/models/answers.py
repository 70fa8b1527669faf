"""A model's answers in the forms of OpenAI's two APIs, whole."""

from __future__ import annotations

import json
from typing import Any

from parley_testing.models.steps import Called, Said, Streamed

INPUT_TOKENS = 11
OUTPUT_TOKENS = 7

Speaking = Said | Called | list[Called] | Streamed


def text_and_calls(step: Speaking) -> tuple[str | None, list[Called]]:
    """Return what the model says, if it says anything, and the tools that it calls then."""
    match step:
        case Said(text):
            return text, []
        case Streamed():
            said = step.text if step.text or not step.calls else None
            return said, step.calls
        case Called():
            return None, [step]
        case calls:
            return None, calls


def response(step: Speaking, number: int) -> dict[str, Any]:
    """Answer as the Responses API does.

    Args:
        step: What the model does.
        number: Which of the server's answers this is; it is in every id.
    """
    text, calls = text_and_calls(step)
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 0,
        "model": "scripted",
        "status": "completed",
        "output": [
            *([] if text is None else _message(text, number)),
            *(
                {
                    "type": "function_call",
                    "id": f"fc_{number}_{place}",
                    "status": "completed",
                    "call_id": call.call_id,
                    "name": call.name,
                    "arguments": json.dumps(call.arguments),
                }
                for place, call in enumerate(calls)
            ),
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    }


def _message(text: str, number: int) -> list[dict[str, Any]]:
    return [
        {"type": "reasoning", "id": f"rs_{number}", "summary": []},
        {
            "type": "message",
            "id": f"msg_{number}",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": text, "annotations": [], "logprobs": []},
            ],
        },
    ]


def completion(step: Speaking, number: int) -> dict[str, Any]:
    """Answer as Chat Completions does."""
    text, calls = text_and_calls(step)
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in calls
        ]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    }
