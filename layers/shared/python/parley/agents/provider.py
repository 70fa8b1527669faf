"""The model provider: OpenAI's API or a compatible server's, or the offline model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx2
from agents import Model, ModelProvider, OpenAIProvider
from agents.models.default_models import get_default_model
from pydantic import AnyHttpUrl

from parley.agents.bounds import Bounds
from parley.agents.brought import asked_for
from parley.agents.lean_client import LeanClient
from parley.agents.offline import MODEL, OfflineProvider
from parley.agents.registry import offer_of
from parley.agents.thoughts import Thoughts
from parley.config import Settings
from parley.errors import MissingSetting
from parley.manifest import DEPLOYMENTS_KEY, Offer
from parley.project_variables import secret_of
from parley.runner.brought_models import AskedModel
from parley.secrets import Secret
from parley.store_threads import begin_call
from parley.usage.prices import OPENAI, Price, Prices, own_prices

if TYPE_CHECKING:
    from agents.models.reasoning_content_replay import ReasoningContentReplayContext

_NO_KEY = "none"
"""What a server without a key is sent: OpenAI's client takes none for one in the environment."""


def model_provider(settings: Settings) -> ModelProvider:
    """Make the deployment's provider: one client, opened at first use.

    Args:
        settings: Which server, API and model; the offline model if they hold no key.
    """
    key = _deployments_key(settings)
    if key is None:
        return OfflineProvider(settings.offline_model_words_per_second)
    return _Named(_client(settings, key), settings)


def rehearsed_provider(settings: Settings, transport: httpx2.AsyncBaseTransport) -> ModelProvider:
    """Make a provider that asks as the deployment's does, of who answers in its server's place.

    Args:
        settings: Which API and model; the offline model if they hold no key.
        transport: Who answers. No key is sent, and none is fetched.
    """
    if _deployments_key(settings) is None:
        return OfflineProvider()
    answered = httpx2.AsyncClient(transport=transport)
    return _Named(_client(settings, _NO_KEY, http_client=answered), settings)


class Providers:
    """The provider of each agent, each made once: the deployment's, but for what an offer says."""

    def __init__(self, settings: Settings) -> None:
        """Make the deployment's.

        Args:
            settings: Which that is.
        """
        self._settings = settings
        # At once, while the function starts.
        deployments = model_provider(settings)
        self._own_prices = own_prices(settings.model_prices) if settings.model_prices else {}
        self._made: dict[tuple[str | None, ...], ModelProvider] = {(None,) * 4: deployments}

    def of(self, agent: str) -> ModelProvider:
        """Return an agent's provider.

        A server or a key of its own is used also where the deployment's model is the offline one.
        A server of its own is never given the deployment's key, unless the offer names that.

        Raises:
            NotFound: No such agent is offered.
            MissingSetting: The variable with its key is not set.
        """
        offer = offer_of(agent)
        own = (offer.base_url, offer.api, offer.model, offer.key)
        if own not in self._made:
            self._made[own] = self._make(offer)
        return self._made[own]

    def prices(self, agent: str) -> Prices:
        """Return what an agent's models cost: the deployment's own prices, or its server's.

        Raises:
            NotFound: No such agent is offered.
        """
        server = offer_of(agent).base_url or self._settings.openai_base_url or OPENAI
        return Prices({MODEL: Price(0, 0), **self._own_prices}, str(server))

    def brought(self, model: Model) -> AskedModel:
        """Return who is asked in the place of a model that an agent brings."""
        return asked_for(model, self._settings)

    def _make(self, offer: Offer) -> ModelProvider:
        own: dict[str, Any] = {
            "openai_model": offer.model,
            "openai_api": offer.api,
            "openai_base_url": str(AnyHttpUrl(offer.base_url)) if offer.base_url else None,
        }
        given = {name: value for name, value in own.items() if value is not None}
        settings = self._settings.model_copy(update=given)
        if offer.key in (None, DEPLOYMENTS_KEY):
            if offer.base_url is None or offer.key is not None:
                return model_provider(settings)
            return _Named(_client(settings, _NO_KEY, elsewhere=True), settings)
        key = secret_of(offer.key or "")
        if key is None:
            raise MissingSetting(offer.key or "", "an agent's key")
        elsewhere = offer.base_url is not None
        return _Named(_client(settings, key, elsewhere=elsewhere), settings)


def _deployments_key(settings: Settings) -> Secret | str | None:
    if settings.openai_api_key is not None:
        return settings.openai_api_key.get_secret_value()
    return None if settings.openai_secret_arn is None else Secret(settings.openai_secret_arn)


def _client(
    settings: Settings,
    key: Secret | str,
    *,
    elsewhere: bool = False,
    http_client: httpx2.AsyncClient | None = None,
) -> LeanClient:
    """Make a client.

    Args:
        settings: Whose server.
        key: Its key; a secret is fetched when it is first wanted, and again if it is refused.
        elsewhere: Whether it is another server than the one that the environment speaks of.
        http_client: What sends its requests; one of its own if None.
    """
    client = LeanClient(
        api_key=key if isinstance(key, str) else _fetching(key),
        base_url=settings.openai_base_url,
        max_retries=0,  # the recorder asks again, in every mode as often
        http_client=http_client,
    )
    client.secret = key if isinstance(key, Secret) else None
    client.bounds = Bounds(settings.model_answer_max_chars)
    client.thoughts = Thoughts(settings.openai_reasoning, settings.openai_base_url or "")
    client.elsewhere = elsewhere
    if elsewhere:
        client.forget_environment()
    return client


def _fetching(secret: Secret) -> Callable[[], Awaitable[str]]:
    async def key() -> str:
        return await begin_call(lambda: secret.value)

    return key


class _Named(ModelProvider):
    """Gives agents that name no model the deployment's, and closes the client in the end."""

    def __init__(self, client: LeanClient, settings: Settings) -> None:
        self._client = client
        self._provider = OpenAIProvider(
            openai_client=client, use_responses=settings.openai_api == "responses"
        )
        self._default = settings.openai_model or get_default_model()

    def get_model(self, model_name: str | None) -> Model:
        model = self._provider.get_model(model_name or self._default)
        if hasattr(model, "should_replay_reasoning_content"):  # of Chat Completions
            model.should_replay_reasoning_content = self._wants_back
        return model

    def _wants_back(self, thought: ReasoningContentReplayContext) -> bool:
        return self._client.thoughts.are_wanted(thought.model)

    async def aclose(self) -> None:
        await self._client.close()
