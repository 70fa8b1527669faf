"""Conversations with a model's server of any dialect, waited for and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, ModelProvider

from parley.agents import registry
from parley.agents.provider import model_provider
from parley.config import Settings
from parley.events.log import TurnEvent
from parley.events.sqlite import SqliteEventLog
from parley.ids import conversation_key
from parley.repository.transcript import TurnView
from parley.runner import model_retry
from parley.turns.context import TurnContext
from parley_testing.models.server import Asked, ModelServer, Step
from parley_testing.workbench import Workbench, request

Answering = Step | Callable[[Asked], Step]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model be asked again without a pause."""
    monkeypatch.setattr(model_retry, "PAUSE_SECONDS", 0.0)


@dataclass
class Conversation:
    """One session with the todo agent, on a model's server.

    Attributes:
        server: The model's server.
        bench: What carries the turns out.
        streamed: Whether somebody follows the turns, so that the model is asked for streams.
    """

    server: ModelServer
    bench: Workbench
    streamed: bool
    log: SqliteEventLog

    def __post_init__(self) -> None:
        self.session_id = self.bench.new_session()

    def script(self, *steps: Answering) -> None:
        """Have the server give one step a request; a function is given the request."""
        left = list(steps)

        def step(asked: Asked) -> Step:
            given = left.pop(0)
            return given(asked) if callable(given) else given

        self.server.script = step

    async def say(self, text: str = "hello") -> TurnView:
        """Carry out a turn; give it as it ended."""
        begun = self.bench.turns.begin(request(self.session_id, text))
        assert begun.turn is not None
        self.turn = begun.turn
        view: TurnView = await self.bench.execute(begun.turn, logged=self.streamed)
        return view

    def agent_of(self, model: str) -> Agent[TurnContext]:
        """Make the todo agent, on a model that it names."""
        return registry.load("todo").clone(model=model)

    @property
    def events(self) -> list[TurnEvent]:
        """What was told of the last turn."""
        key = conversation_key(self.turn.user_id, self.turn.session_id)
        return list(self.log.read(key, self.turn.key))

    @property
    def last_input(self) -> list[Any]:
        """What the model was asked last."""
        return self.server.asked[-1].input


@pytest.fixture(params=["waited for", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    """Each mode in turn."""
    return bool(request.param == "streamed")


@pytest.fixture(params=["responses", "chat_completions"])
def which(request: pytest.FixtureRequest) -> str:
    """Each of the APIs in turn."""
    return str(request.param)


@pytest.fixture
def settings() -> dict[str, Any]:
    """Further settings of the deployment."""
    return {}


@pytest.fixture
async def provider(
    model: ModelServer, which: str, settings: dict[str, Any]
) -> AsyncIterator[ModelProvider]:
    """The deployment's provider, on the model's server."""
    given: dict[str, Any] = {
        "openai_api_key": "test",
        "openai_base_url": model.base_url,
        "openai_model": "scripted",
        "openai_api": which,
        **settings,
    }
    provider = model_provider(Settings(**given))
    yield provider
    await provider.aclose()


@pytest.fixture
def bench_fields() -> dict[str, Any]:
    """What the workbench is made with besides."""
    return {}


@pytest.fixture
async def conversation(
    new_bench: Callable[..., Workbench],
    model: ModelServer,
    provider: ModelProvider,
    streamed: bool,
    tmp_path: Path,
    bench_fields: dict[str, Any],
) -> AsyncIterator[Conversation]:
    """A conversation that has not begun."""
    log = SqliteEventLog(tmp_path / "memory.db")
    bench = new_bench(provider=provider, events=log, **bench_fields)
    yield Conversation(model, bench, streamed, log)
    log.close()
