"""Models that agents bring as objects: recorded in a turn as those are that they name.

The SDK asks an agent's model object itself, past the provider of the run. So such an object is
replaced in place, by one that asks it through the record of the turn in which it is asked.
Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from agents import Agent, Model, ModelResponse
from agents.items import TResponseStreamEvent
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest


@dataclass(frozen=True, slots=True)
class AskedModel:
    """Who is asked in the place of a model that an agent brings.

    Attributes:
        model: The model itself, or one that asks it, or that stands in for it.
        server: The address of the server whose prices its tokens have; empty if nobody knows.
    """

    model: Model
    server: str = ""


Asking = Callable[[Model], AskedModel]
"""Tells who is asked in the place of a model."""


class Recording(Protocol):
    """What records a turn's calls of models."""

    def recorded(self, model: Model) -> Model:
        """Return a model, recorded."""


_recording: ContextVar[Recording | None] = ContextVar("parley_recording", default=None)


@contextmanager
def recording(recorder: Recording) -> Iterator[None]:
    """Have every model that an agent brings recorded inside the block."""
    token = _recording.set(recorder)
    try:
        yield
    finally:
        _recording.reset(token)


class BroughtModel(Model):
    """A model that an agent brings: recorded in a turn, and just itself outside of one.

    Attributes:
        brought: The model.
    """

    def __init__(self, brought: Model) -> None:
        """Keep the model."""
        self.brought = brought
        self._asked: tuple[Asking, AskedModel] | None = None

    def asked_by(self, asking: Asking) -> AskedModel:
        """Return who is asked in the model's place; the same as long as the same decides it."""
        if self._asked is None or self._asked[0] != asking:
            self._asked = asking, asking(self.brought)
        return self._asked[1]

    def _here(self) -> Model:
        recorder = _recording.get()
        return self.brought if recorder is None else recorder.recorded(self)

    async def get_response(self, *asked: Any, **named: Any) -> ModelResponse:
        """Return the model's answer."""
        return await self._here().get_response(*asked, **named)

    def stream_response(self, *asked: Any, **named: Any) -> AsyncIterator[TResponseStreamEvent]:
        """Return the events of the model's answer."""
        return self._here().stream_response(*asked, **named)

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """Return what the model knows of asking again."""
        return self.brought.get_retry_advice(request)

    def __getattr__(self, name: str) -> Any:
        # The project's own code may read what the model holds, such as its name.
        if name == "brought":  # of one that is being copied
            raise AttributeError(name)
        return getattr(self.brought, name)


def record_model(agent: Agent[Any]) -> None:
    """Have the model that an agent brings recorded, if it brings one."""
    if isinstance(agent.model, Model) and not isinstance(agent.model, BroughtModel):
        agent.model = BroughtModel(agent.model)


def itself(model: Model) -> Model:
    """Return a model as the agent brought it."""
    return model.brought if isinstance(model, BroughtModel) else model


def name_of(model: Model, otherwise: str | None = None) -> str:
    """Return what a model is called: by its own name, another, or that of its class.

    Args:
        model: The model.
        otherwise: What it was asked for by.
    """
    own = getattr(itself(model), "model", None)
    return own if isinstance(own, str) and own else otherwise or type(itself(model)).__name__
