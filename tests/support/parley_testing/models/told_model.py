"""A model's server that says what a test has it say to a message, whoever asks at the same time."""

from __future__ import annotations

import json
from typing import Any, Self

from parley_testing.models.server import Asked, ModelServer, Said, Step


class ToldModel(ModelServer):
    """Answers the last message of the user's with what was told for it, step after step."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self._told: dict[str, list[Step]] = {}

    def __enter__(self) -> Self:
        return super().__enter__()

    def when(self, said: str, *steps: Step) -> None:
        """Have a message answered so: one step for each call of the model that its turn makes.

        A call that is made again, since its process died, is given the same step.
        """
        self._told[said] = list(steps)

    def _answer(self, asked: Asked) -> Step:
        items = asked.input
        last = max(at for at, item in enumerate(items) if item.get("role") == "user")
        said = _text(items[last]["content"])
        outputs = sum(item.get("type") == "function_call_output" for item in items[last:])
        steps = self._told.get(said)
        if steps is None:
            return Said(f"You said: {said}")
        calls = 0
        while calls < len(steps) - 1 and outputs > 0:
            outputs -= _calls(steps[calls])
            calls += 1
        return steps[calls]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in json.loads(json.dumps(content)))


def _calls(step: Step) -> int:
    if isinstance(step, list):
        return len(step)
    return max(1, len(getattr(step, "calls", [1])))
