"""Models of the SDK's that an agent brings, over HTTP: asked as the deployment's own are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from agents import (
    Agent,
    Model,
    ModelRetrySettings,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    function_tool,
)
from openai import AsyncAzureOpenAI, AsyncOpenAI

from parley import loop
from parley.agents import registry
from parley.agents.brought import asked_for
from parley.agents.lean_client import LeanAzureClient, LeanClient
from parley.config import Settings
from parley.runner import model_retry
from parley.runner.sdk_private import client_of
from parley.turns.context import TurnContext
from parley_testing.api.handlers import Api
from parley_testing.models.dialects import alike, chunks, completion, either
from parley_testing.models.server import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Called,
    ModelServer,
    Raw,
    Said,
    in_order,
)

APIS = {"responses": OpenAIResponsesModel, "chat_completions": OpenAIChatCompletionsModel}
SETTINGS = Settings(openai_api_key="the deployment's", model_answer_max_chars=20_000)
BUSY = Raw(503, b'{"error": {"message": "busy"}}')


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model be asked again without a pause."""
    monkeypatch.setattr(model_retry, "PAUSE_SECONDS", 0.0)


@pytest.fixture(params=["waited for", "followed"])
def followed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "followed")


@pytest.fixture(params=APIS)
def which(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def client(model: ModelServer) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="the agent's", base_url=model.base_url) as client:
        yield client


@function_tool
async def look() -> str:
    """Look."""
    return "seen"


@pytest.fixture
def ask(new_bench: Any, log: Any, followed: bool) -> Callable[..., Any]:
    """Carries out a turn of an agent that brings a model."""

    async def ask(brought: Model, **fields: Any) -> Any:
        agent = Agent[TurnContext](name="one", model=brought, tools=[look], **fields)
        bench = new_bench(agent=agent, events=log, asking=lambda model: asked_for(model, SETTINGS))
        return await bench.execute(bench.begin(bench.new_session()), logged=followed)

    return ask


async def test_a_tool_call_goes_there_and_back_with_the_agent_s_own_key(
    ask: Any, model: ModelServer, client: AsyncOpenAI, which: str, followed: bool
) -> None:
    model.script = in_order(Called("look", {}), Said("I saw it."))

    view = await ask(APIS[which]("scripted", client))

    assert view.reply.content == "I saw it."
    assert view.turn.model_calls == 2
    spent = view.turn.spent
    assert (spent.input, spent.output) == (2 * INPUT_TOKENS, 2 * OUTPUT_TOKENS)
    assert {asked.key for asked in model.asked} == {"the agent's"}
    assert [asked.streamed for asked in model.asked] == [followed] * 2


async def test_its_client_does_not_ask_again_beside_the_recorder(
    ask: Any, model: ModelServer, client: AsyncOpenAI, which: str
) -> None:
    model.script = lambda asked: BUSY

    view = await ask(APIS[which]("scripted", client))

    assert view.turn.error_code == "model_failed"
    assert len(model.asked) == 3


async def test_a_client_whose_calls_somebody_observes_asks_again_itself_and_stays_observed(
    ask: Any, model: ModelServer, client: AsyncOpenAI
) -> None:
    create = client.chat.completions.create
    observed: list[str] = []

    async def observing(**asked: Any) -> Any:
        observed.append(asked["model"])
        return await create(**asked)

    client.chat.completions.create = observing  # type: ignore[method-assign]
    model.script = lambda asked: BUSY

    view = await ask(OpenAIChatCompletionsModel("scripted", client))

    assert view.turn.error_code == "model_failed"
    assert observed == ["scripted"]
    assert len(model.asked) == 1 + client.max_retries


async def test_an_agent_with_a_rule_of_its_own_is_asked_again_by_that(
    ask: Any, model: ModelServer, client: AsyncOpenAI, which: str
) -> None:
    model.script = lambda asked: BUSY

    settings = ModelSettings(retry=ModelRetrySettings(max_retries=0))
    view = await ask(APIS[which]("scripted", client), model_settings=settings)

    assert view.turn.error_code == "model_failed"
    assert len(model.asked) == 1


async def test_what_compatible_servers_do_differently_is_made_good(
    ask: Any, model: ModelServer, client: AsyncOpenAI
) -> None:
    made = {"function": {"name": "look", "arguments": {}}}  # no id, no type, no text
    steps = [alike({"content": None, "tool_calls": [made]}, "tool_calls"), Said("I saw it.")]

    def step(asked: Any) -> Any:
        given = steps[len(model.asked) - 1]
        return given(asked) if callable(given) else given

    model.script = step

    view = await ask(OpenAIChatCompletionsModel("scripted", client))

    assert view.reply.content == "I saw it.", view.turn.error_detail


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (alike({"content": "Half of"}, "length"), "cut off"),
        (alike({"content": "x" * 20_001}), "MODEL_ANSWER_MAX_CHARS"),
        (either(completion({"content": ""}), chunks({"content": ""})), "neither text nor"),
    ],
    ids=["cut off", "too long", "nothing"],
)
async def test_an_answer_that_is_none_is_none(
    ask: Any, model: ModelServer, client: AsyncOpenAI, answer: Any, words: str
) -> None:
    model.script = answer

    view = await ask(OpenAIChatCompletionsModel("scripted", client))

    assert view.turn.error_code == "model_failed"
    assert words in view.turn.error_detail


async def test_a_server_that_refuses_to_count_a_stream_s_tokens_is_asked_without(
    ask: Any, model: ModelServer, client: AsyncOpenAI
) -> None:
    class Own(OpenAIChatCompletionsModel):
        """Asks in a way of its own, perhaps."""

    refusing = Raw(422, b'{"error": {"message": "stream_options: extra inputs"}}')
    model.script = lambda asked: refusing if "stream_options" in asked.body else Said("Hello.")

    view = await ask(Own("scripted", client))

    assert view.reply.content == "Hello."
    assert len([asked for asked in model.asked if "stream_options" in asked.body]) <= 1


def test_which_clients_are_replaced_and_that_theirs_stay_as_they_were() -> None:
    plain = AsyncOpenAI(api_key="a", max_retries=5, default_headers={"X-Of": "mine"})
    azure = AsyncAzureOpenAI(api_key="a", api_version="1", azure_endpoint="https://a.test")

    class Own(AsyncOpenAI):
        pass

    def asked(client: AsyncOpenAI) -> Any:
        model: Any = asked_for(OpenAIResponsesModel("gpt-5", client), SETTINGS).model
        return None if not isinstance(model, OpenAIResponsesModel) else client_of(model)

    lean = asked(plain)
    assert type(lean) is LeanClient
    assert (lean.max_retries, plain.max_retries) == (0, 5)
    assert lean.default_headers["X-Of"] == "mine"
    assert lean._client is plain._client
    assert asked(plain) is lean
    assert type(asked(azure)) is LeanAzureClient
    assert asked(Own(api_key="a")) is None
    assert asked(AsyncOpenAI(api_key="a", http_client=httpx.AsyncClient())) is None  # type: ignore[arg-type]


def test_the_prices_of_its_server_are_its_own() -> None:
    for base_url in (None, "https://api.deepseek.com/v1"):
        client = AsyncOpenAI(api_key="a", base_url=base_url)
        server = asked_for(OpenAIChatCompletionsModel("m", client), SETTINGS).server
        assert server.startswith(base_url or "https://api.openai.com/v1")


@pytest.mark.usefixtures("idle_connections")
def test_one_that_was_made_when_its_module_was_imported_serves_a_warm_process(
    api: Api, model: ModelServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("OFFLINE_MODEL", "true")
    client = AsyncOpenAI(api_key="the agent's", base_url=model.base_url)
    agent = registry.load("todo").clone(model=OpenAIChatCompletionsModel("scripted", client))
    environment.setattr(registry, "load", lambda name: agent)
    model.script = lambda asked: Said(f"answer {len(model.asked)}")

    session_id = api.new_session()
    for number in range(1, 6):
        answer = api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})
        assert answer.json["reply"]["content"] == f"answer {number}", answer

    assert len({asked.connection for asked in model.asked}) == 1
    assert len(model.asked[-1].input) == 1 + 2 * 4 + 1
    loop.run(client.close())
