"""What a test has a model say and do: the same for the model's HTTP server and the one in process.

A model that streams is told bit by bit, with gates between the bits at which it waits:

    gate = Gate()
    script = in_order(Streamed("Hel", "lo ", gate, "there"))
    ...
    gate.reached()  # "Hello " was given, and no more
    gate.open()
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from parley_testing.waiting import HANG_SECONDS

PATIENCE_SECONDS = HANG_SECONDS


class Gate:
    """A place where a model stops until the test lets it pass; from any thread or loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reached = threading.Event()
        self._opened = threading.Event()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def reached(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait, in a thread without a loop, until a model stands here.

        Raises:
            TimeoutError: None came.
        """
        if not self._reached.wait(seconds):
            raise TimeoutError(f"no model came to the gate within {seconds:g} s")

    @property
    def is_reached(self) -> bool:
        """Whether a model has come here, for tests that wait on a loop."""
        return self._reached.is_set()

    def open(self) -> None:
        """Let pass who stands here and whoever comes."""
        with self._lock:
            self._opened.set()
            waiting, self._waiting = self._waiting, []
        for loop, failpoint in waiting:
            if not loop.is_closed():  # a cancelled model does not wait for its test
                loop.call_soon_threadsafe(failpoint.set)

    async def wait(self) -> None:
        """Stand here, on a loop."""
        failpoint = asyncio.Event()
        with self._lock:
            if self._opened.is_set():
                failpoint.set()
            else:
                self._waiting.append((asyncio.get_running_loop(), failpoint))
            self._reached.set()
        await failpoint.wait()

    def stand(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Stand here, in a thread; give whether the gate was opened in that time."""
        self._reached.set()
        return self._opened.wait(seconds)


@dataclass(frozen=True)
class Said:
    """The model says something."""

    text: str


@dataclass(frozen=True)
class Called:
    """The model calls a tool."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    call_id: str = "call_0"


@dataclass(frozen=True)
class Raw:
    """The server answers with these bytes, whatever they are.

    Attributes:
        status: The HTTP status.
        body: The bytes; as many as the client takes, if they are given one after the other.
        cut: Whether the connection breaks before the last of them.
        gzipped: Whether they are sent as a server does that compresses its answers.
    """

    status: int
    body: bytes | Iterator[bytes] = b"{}"
    cut: bool = False
    gzipped: bool = False


End = Literal["completed", "incomplete", "failed", "error", "nothing", "cut"]
"""How a stream ends: with that event; with no last event; with a connection that breaks."""


class Streamed:
    """The model says something bit by bit.

    Attributes:
        parts: What happens, in this order. A text is given as one delta; at a gate the model
            waits; an exception is raised (in process only); bytes go on the wire as they are (by
            the server only).
        calls: The tools that it calls after what it said.
        end: How the stream ends. Chat Completions knows neither `incomplete` (its finish reason is
            `length` then) nor `failed` (it sends an error, as for `error`).
    """

    def __init__(
        self,
        *parts: str | bytes | Gate | Exception,
        calls: list[Called] | None = None,
        end: End = "completed",
    ) -> None:
        self.parts = parts
        self.calls = calls or []
        self.end: End = end

    @property
    def text(self) -> str:
        """All that is said."""
        return "".join(part for part in self.parts if isinstance(part, str))


Step = Said | Called | list[Called] | Streamed | Raw
