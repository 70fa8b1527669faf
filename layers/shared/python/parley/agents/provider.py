"""The model provider: OpenAI's API or a compatible server's, or the offline model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import httpx2
from agents import Model, ModelProvider, OpenAIProvider
from agents.models.default_models import get_default_model
from openai import DefaultAsyncHttpxClient
from openai.resources.responses import AsyncResponses

from parley.agents.bounds import Bounds
from parley.agents.offline import OfflineProvider
from parley.agents.thoughts import Thoughts
from parley.agents.wire import EndDecoder, bounded, mended
from parley.config import Settings
from parley.runner.sdk_private import HookedClient, SSEDecoder
from parley.secrets import Secret
from parley.store_threads import begin_call

if TYPE_CHECKING:
    from agents.models.reasoning_content_replay import ReasoningContentReplayContext
    from openai.resources.chat import AsyncChat


class _LeanResponses(AsyncResponses):
    """Sends the input items as they are.

    The client walks its whole `input` to transform it, about 0.4 ms an item at each call: most of
    a turn's time in a long conversation. What the runner gives is in wire form already, so it goes
    through `extra_body`, which is not walked; the bytes sent are the same.
    """

    async def create(  # type: ignore[override]
        self, *, input: Any, extra_body: Mapping[str, Any] | None = None, **arguments: Any
    ) -> Any:
        body = {**(extra_body or {}), "input": input}
        return await super().create(extra_body=body, **arguments)


class _LeanClient(HookedClient):
    """OpenAI's client, lean, careful with streams, and with a key that may be rotated."""

    secret: Secret | None = None
    thoughts = Thoughts()
    bounds: Bounds

    @cached_property
    def responses(self) -> AsyncResponses:
        return _LeanResponses(self)

    @cached_property
    def chat(self) -> AsyncChat:
        from parley.agents.chat_streams import CarefulChat  # 0.1 s that the other API can spare

        return CarefulChat(self, self.thoughts)

    def sse_decoder(self) -> SSEDecoder:
        return EndDecoder(self.bounds)

    def received(self, data: object, kind: Any, response: httpx2.Response) -> object:
        return mended(data, kind, response)

    def copy(self, **options: Any) -> Self:
        """Copy the client with other options; the copy renews the same key."""
        copied = super().copy(**options)
        copied.secret = self.secret
        copied.thoughts = self.thoughts
        copied.bounds = self.bounds
        return copied

    with_options = copy

    @property
    def custom_auth(self) -> httpx2.Auth | None:
        return _RenewedKey(self.secret) if self.secret is not None else None


class _RenewedKey(httpx2.Auth):
    """Asks again with the key as it is now, if the server refuses the one that was kept."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        response = yield request
        if response.status_code == 401 and await begin_call(self._secret.renew):
            request.headers["Authorization"] = f"Bearer {self._secret.value}"
            yield request


def model_provider(settings: Settings) -> ModelProvider:
    """Make the provider: one client for the life of the process, opened at first use.

    Args:
        settings: Which server, API and model; the offline model if they hold no key.
    """
    if settings.openai_api_key is not None:
        client = _client(settings, settings.openai_api_key.get_secret_value())
    elif settings.openai_secret_arn is not None:
        secret = Secret(settings.openai_secret_arn)

        async def key() -> str:
            return await begin_call(lambda: secret.value)

        client = _client(settings, key)
        client.secret = secret
    else:
        return OfflineProvider(settings.offline_model_words_per_second)
    return _Named(client, settings)


def _client(settings: Settings, key: str | Callable[[], Awaitable[str]]) -> _LeanClient:
    base_url = str(settings.openai_base_url) if settings.openai_base_url else None
    bounds = Bounds(settings.model_answer_max_chars)
    client = _LeanClient(
        api_key=key,
        base_url=base_url,
        max_retries=0,  # the recorder asks again, in every mode as often
        http_client=DefaultAsyncHttpxClient(event_hooks={"response": [bounded(bounds)]}),
    )
    client.bounds = bounds
    client.thoughts = Thoughts(settings.openai_reasoning, base_url or "")
    return client


class _Named(ModelProvider):
    """Gives agents that name no model the deployment's, and closes the client in the end."""

    def __init__(self, client: _LeanClient, settings: Settings) -> None:
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
