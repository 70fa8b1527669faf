"""Who is asked for an agent's summaries, over either API: a model, its server, and with what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import pytest
from agents import Agent, ModelSettings, OpenAIResponsesModel
from openai import AsyncOpenAI

from parley.agents import summary_models
from parley.agents.provider import Providers
from parley.agents.summary_models import SummaryModels
from parley.config import Settings
from parley.manifest import Manifest, ModelApi, Offer
from parley.memory.store import AgentSessionStore
from parley.repository.summaries import SummaryRepository, Taken
from parley.repository.transcript import Transcript
from parley.runner.prepare import prepare
from parley.runner.summaries import Making, Summariser
from parley.runner.summary_prompt import INSTRUCTIONS, question
from parley_testing import projects
from parley_testing.models.server import ModelServer

APIS: list[ModelApi] = ["responses", "chat_completions"]
ASKS = question("I am Ada.", [], max_bytes=1_000)


@pytest.fixture
def servers() -> Iterator[dict[str, ModelServer]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(ModelServer()) for name in ("deployment", "own")}


@pytest.fixture
def offered(servers: dict[str, ModelServer], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    plain, own = Offer("x", "a:b"), servers["own"].base_url
    offers = {
        "plain": plain,
        "named": replace(plain, memory_summary_model="small"),
        "elsewhere": replace(plain, base_url=own, model="llama"),
        "named elsewhere": replace(plain, base_url=own, memory_summary_model="tiny"),
    }
    built = Agent[Any](
        name="a",
        model="large",
        model_settings=ModelSettings(
            temperature=0.9, tool_choice="required", max_tokens=5, extra_headers={"X-Of": "mine"}
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary_models, "load", lambda _: built)
        projects.offer(patch, Manifest(offers, "plain"))
        yield
    projects.forget()


def settings(servers: dict[str, ModelServer], api: ModelApi) -> Settings:
    return Settings(
        openai_api_key="key",
        openai_base_url=servers["deployment"].base_url,
        openai_model="usual",
        openai_api=api,
    )


async def ask(models: SummaryModels, agent: str) -> str:
    who = models.of(agent)
    summariser = Summariser(
        cast("SummaryRepository", None),
        cast("Transcript", None),
        cast("AgentSessionStore", None),
        models.of,
        [agent],
    )
    taken = Taken(UUID(int=1), "alice", agent, UUID(int=2), 1, 5, (1,), None)
    answer = await summariser._answer(Making(taken, 2.0**40), who, ASKS)
    provider: Any = models.providers.of(agent)
    await provider.aclose()
    return answer


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("agent", "deployments", "server", "model"),
    [
        ("plain", None, "deployment", "large"),
        ("plain", "nano", "deployment", "nano"),
        ("named", "nano", "deployment", "small"),
        ("elsewhere", "nano", "own", "large"),
        ("named elsewhere", "nano", "own", "tiny"),
    ],
)
async def test_the_model_that_is_named_is_asked_or_else_the_agents_own(
    servers: dict[str, ModelServer],
    api: ModelApi,
    agent: str,
    deployments: str | None,
    server: str,
    model: str,
) -> None:
    models = SummaryModels(Providers(settings(servers, api)), deployments)

    assert await ask(models, agent)

    (asked,) = servers[server].asked
    assert asked.body["model"] == model
    assert sum(len(each.asked) for each in servers.values()) == 1


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("prepared", [False, True], ids=["as it was built", "after a turn"])
@pytest.mark.parametrize(
    ("agent", "server", "model"), [("plain", "own", "brought"), ("named", "deployment", "small")]
)
async def test_one_that_the_agent_brings_goes_before_the_deployment_s(
    servers: dict[str, ModelServer],
    monkeypatch: pytest.MonkeyPatch,
    prepared: bool,
    agent: str,
    server: str,
    model: str,
) -> None:
    client = AsyncOpenAI(api_key="own", base_url=servers["own"].base_url)
    built = Agent[Any](name="a", model=OpenAIResponsesModel("brought", client))
    if prepared:
        prepare(built)
    monkeypatch.setattr(summary_models, "load", lambda _: built)
    models = SummaryModels(Providers(settings(servers, "responses")), "nano")

    assert await ask(models, agent)

    (asked,) = servers[server].asked
    assert asked.body["model"] == models.of(agent).name == model
    assert models.of(agent).prices.server.startswith(servers[server].base_url)
    await client.close()


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("api", APIS)
async def test_it_is_asked_in_plain_text_and_offered_nothing(
    servers: dict[str, ModelServer], api: ModelApi
) -> None:
    await ask(SummaryModels(Providers(settings(servers, api)), None), "plain")

    (asked,) = servers["deployment"].asked
    body = asked.body
    assert not body.get("tools")
    assert not {"tool_choice", "temperature", "max_tokens", "max_output_tokens"} & body.keys()
    assert asked.headers["x-of"] == "mine"
    said = body["input"] if api == "responses" else body["messages"]
    assert said[-1]["role"] == "user"
    assert ASKS in str(said[-1]["content"])
    assert (body["instructions"] if api == "responses" else said[0]["content"]) == INSTRUCTIONS
