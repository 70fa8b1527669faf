"""Where in a turn the caller stands: below which tool calls, in any task of the run.

Model calls, verdicts and nested runs are recorded by it, for agents used as tools run in parallel:
by order of time they would get each other's answers on replay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_path: ContextVar[tuple[str, ...]] = ContextVar("parley_path", default=())
_call: ContextVar[str | None] = ContextVar("parley_call", default=None)


def path() -> tuple[str, ...]:
    """Return the places around the caller, outermost first; empty at the root of the run."""
    return _path.get()


def enclosing_call() -> str | None:
    """Return the id of the tool call inside which the caller runs; None at the root."""
    return _call.get()


@contextmanager
def inside(place: str) -> Iterator[None]:
    """Let model calls inside the block stand below a place that is no tool call."""
    token = _path.set((*_path.get(), place))
    try:
        yield
    finally:
        _path.reset(token)


@contextmanager
def inside_call(call_id: str) -> Iterator[None]:
    """Let model calls inside the block stand below a tool call."""
    token = _call.set(call_id)
    try:
        with inside(call_id):
            yield
    finally:
        _call.reset(token)
