"""What is said in the conversations of the benches: of the length of what people and models say."""

from __future__ import annotations

from typing import Any

from bench.instant_model import REPLY as REPLY

TEXT = "What do I have to do today, and is there anything that I have forgotten since Monday? " * 2

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
"""The headers of each request."""


def turn(number: int) -> list[dict[str, Any]]:
    """Return the items of one turn, as the SDK keeps them."""
    answered = {"type": "output_text", "text": REPLY, "annotations": [], "logprobs": []}
    return [
        {"role": "user", "content": f"{number}: {TEXT}"},
        {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [answered],
        },
    ]


def items(turns: int) -> list[Any]:
    """Return the items of a conversation, oldest first."""
    return [item for number in range(1, turns + 1) for item in turn(number)]
