"""Agents with a model, a server or a key of their own, beside those on the deployment's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import boto3
import pytest
from agents import ModelSettings
from agents.models.interface import ModelTracing
from moto import mock_aws

from parley.agents.offline import OfflineProvider
from parley.agents.provider import Providers
from parley.config import Settings
from parley.errors import MissingSetting, NotFound
from parley.manifest import Manifest, Offer, Variable
from parley_testing import projects
from parley_testing.models.server import ModelServer

SERVERS = ("deployment", "theirs", "other")


@pytest.fixture
def servers() -> Iterator[dict[str, ModelServer]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(ModelServer()) for name in SERVERS}


@pytest.fixture
def offered(servers: dict[str, ModelServer], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Agents of every kind; the variables in the environment would speak of OpenAI's own server."""
    theirs, other = servers["theirs"].base_url, servers["other"].base_url
    plain = Offer("x", "a:b")
    offers = {
        "plain": plain,
        "small": replace(plain, model="small"),
        "local": replace(plain, base_url=theirs, model="llama"),
        "keyed": replace(plain, base_url=other, api="chat_completions", key="OTHER_KEY"),
        "trusted": replace(plain, base_url=other, key="OPENAI_API_KEY"),
        "billed": replace(plain, key="OTHER_KEY"),
        "unset": replace(plain, key="UNSET_KEY"),
    }
    variables = (
        Variable("OTHER_KEY", secret=True),
        Variable("UNSET_KEY", secret=True, required=False),
    )
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "deployment's")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: deployment's")
    monkeypatch.setenv("OTHER_KEY", "other's")
    with pytest.MonkeyPatch.context() as patch:
        projects.offer(patch, Manifest(offers, "plain", environment=variables))
        yield
    projects.forget()


def settings(servers: dict[str, ModelServer], **given: Any) -> Settings:
    base: dict[str, Any] = {
        "openai_api_key": "deployment's",
        "openai_base_url": servers["deployment"].base_url,
        "openai_model": "usual",
    }
    return Settings(**{**base, **given})


async def ask(providers: Providers, agent: str) -> None:
    provider = providers.of(agent)
    await provider.get_model(None).get_response(
        None, "hello", ModelSettings(), [], None, [], ModelTracing.DISABLED,
        previous_response_id=None, conversation_id=None, prompt=None,
    )  # fmt: skip
    await provider.aclose()


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize(
    ("agent", "server", "key", "model", "path"),
    [
        ("plain", "deployment", "deployment's", "usual", "/responses"),
        ("small", "deployment", "deployment's", "small", "/responses"),
        ("local", "theirs", "none", "llama", "/responses"),
        ("keyed", "other", "other's", "usual", "/chat/completions"),
        ("trusted", "other", "deployment's", "usual", "/responses"),
        ("billed", "deployment", "other's", "usual", "/responses"),
    ],
)
async def test_each_agent_asks_its_server_with_its_key(
    servers: dict[str, ModelServer], agent: str, server: str, key: str, model: str, path: str
) -> None:
    await ask(Providers(settings(servers)), agent)

    (asked,) = servers[server].asked
    assert (asked.key, asked.body["model"], asked.path) == (key, model, path)
    assert [len(each.asked) for each in servers.values()].count(0) == 2


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("agent", ["local", "keyed"])
async def test_another_server_is_told_nothing_of_the_deployment_s(
    servers: dict[str, ModelServer], agent: str
) -> None:
    await ask(Providers(settings(servers)), agent)

    (asked,) = [*servers["theirs"].asked, *servers["other"].asked]
    assert not [name for name, value in asked.headers.items() if "deployment's" in value]


@pytest.mark.usefixtures("offered")
async def test_a_server_of_its_own_is_asked_where_the_deployment_s_model_is_the_offline_one(
    servers: dict[str, ModelServer],
) -> None:
    providers = Providers(settings(servers, openai_api_key=None, offline_model=True))

    for agent in ("plain", "small", "trusted"):
        assert isinstance(providers.of(agent), OfflineProvider), agent
    for agent in ("local", "keyed"):
        await ask(providers, agent)
    assert [len(each.asked) for each in servers.values()] == [0, 1, 1]


@pytest.mark.usefixtures("offered")
async def test_a_key_in_a_secret_is_fetched_and_renewed(
    servers: dict[str, ModelServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTHER_KEY")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        client = boto3.client("secretsmanager")
        arn = client.create_secret(Name="s", SecretString="first")["ARN"]
        monkeypatch.setenv("OTHER_KEY_SECRET_ARN", arn)

        await ask(Providers(settings(servers)), "keyed")

    assert [asked.key for asked in servers["other"].asked] == ["first"]


@pytest.mark.usefixtures("offered")
def test_a_key_that_nobody_set_is_named(servers: dict[str, ModelServer]) -> None:
    with pytest.raises(MissingSetting, match="UNSET_KEY"):
        Providers(settings(servers)).of("unset")
    with pytest.raises(NotFound):
        Providers(settings(servers)).of("nobody")


@pytest.mark.usefixtures("offered")
def test_a_provider_is_made_once(servers: dict[str, ModelServer]) -> None:
    providers = Providers(settings(servers))

    assert providers.of("local") is providers.of("local")
    assert providers.of("local") is not providers.of("keyed")
