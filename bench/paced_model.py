"""A model's server that says as many words at such a pace as the user asks for.

The user says `{"words": 200, "rate": 20, "letters": 5}`. For each answer a line on standard output
tells what was asked and when the first word went out, on the machine's monotonic clock. The first
line is the server's URL; it stops when standard input ends.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from parley_testing.models.server import Asked, ModelServer
from parley_testing.models.steps import Gate, Streamed


class _First(Gate):
    """Where the first word goes out."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.at = 0.0
        self._said = said

    def stand(self, seconds: float = 0) -> bool:
        """Tell the time, and let pass."""
        self.at = time.monotonic()
        told = {"said": self._said, "at": self.at}
        sys.stdout.write(f"{json.dumps(told)}\n")  # print writes twice, and others in between
        sys.stdout.flush()
        return True


class _Later(Gate):
    """Where a word waits for its time."""

    def __init__(self, first: _First, seconds: float) -> None:
        super().__init__()
        self._first = first
        self._seconds = seconds

    def stand(self, seconds: float = 0) -> bool:
        """Wait, and let pass."""
        time.sleep(max(0.0, self._first.at + self._seconds - time.monotonic()))
        return True


def answer(asked: Asked) -> Streamed:
    """Say what was asked for."""
    content: Any = asked.input[-1]["content"]
    said = content if isinstance(content, str) else content[0]["text"]
    wanted = json.loads(said)
    first = _First(said)
    parts: list[str | Gate] = []
    for number in range(wanted["words"]):
        parts += [_Later(first, number / wanted["rate"]) if number else first]
        parts += [str(number).rjust(wanted["letters"], ".") + " "]
    return Streamed(*parts)


if __name__ == "__main__":
    with ModelServer(answer) as server:
        print(server.base_url, flush=True)
        sys.stdin.read()
