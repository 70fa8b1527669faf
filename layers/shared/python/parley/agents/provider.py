"""The model provider: OpenAI's API or a compatible server's, or the offline model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from agents import ModelProvider, OpenAIProvider
from agents.models.default_models import get_default_model
from openai import AsyncOpenAI
from openai.resources.responses import AsyncResponses

from parley.agents.offline import OfflineProvider
from parley.config import Settings


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


class _LeanClient(AsyncOpenAI):
    @cached_property
    def responses(self) -> AsyncResponses:
        return _LeanResponses(self)


def model_provider(settings: Settings, api_key: str | None) -> ModelProvider:
    """Make the provider: one client for the life of the process, opened at first use.

    Args:
        settings: Which server, API and model.
        api_key: The model's key; None for the offline model.
    """
    if api_key is None:
        return OfflineProvider()
    base_url = str(settings.openai_base_url) if settings.openai_base_url else None
    provider = OpenAIProvider(
        openai_client=_LeanClient(api_key=api_key, base_url=base_url),
        use_responses=settings.openai_api == "responses",
    )
    return _Named(provider, settings.openai_model or get_default_model())


class _Named(ModelProvider):
    """Gives agents that name no model the deployment's."""

    def __init__(self, provider: ModelProvider, default: str) -> None:
        self._provider = provider
        self._default = default

    def get_model(self, model_name: str | None) -> Any:
        return self._provider.get_model(model_name or self._default)
