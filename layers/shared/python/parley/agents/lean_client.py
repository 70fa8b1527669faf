"""OpenAI's client as Parley asks with it.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import httpx2
from openai import AsyncAzureOpenAI, omit
from openai.resources.responses import AsyncResponses

from parley.agents.bounds import Bounds
from parley.agents.thoughts import Thoughts
from parley.agents.unwalked import unwalked
from parley.agents.wire import EndDecoder, bound, kind_of_event, mended
from parley.runner.sdk_private import HookedClient, SSEDecoder
from parley.secrets import Secret
from parley.store_threads import begin_call

if TYPE_CHECKING:
    from openai.resources.chat import AsyncChat


class _LeanResponses(AsyncResponses):
    """Sends the input items and the tools as they are."""

    async def create(  # type: ignore[override]
        self,
        *,
        input: Any,
        tools: Any = omit,
        extra_body: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Any:
        body = {**unwalked(extra_body, tools=tools), "input": input}
        return await super().create(extra_body=body, **arguments)


class LeanClient(HookedClient):
    """OpenAI's client, lean, careful with streams, and with a key that may be rotated."""

    secret: Secret | None = None
    thoughts = Thoughts()
    bounds: Bounds
    elsewhere = False

    @cached_property
    def responses(self) -> AsyncResponses:
        return _LeanResponses(self)

    @cached_property
    def chat(self) -> AsyncChat:
        from parley.agents.chat_streams import CarefulChat  # 0.1 s that the other API can spare

        return CarefulChat(self, self.thoughts)

    def sse_decoder(self) -> SSEDecoder:
        return EndDecoder(self.bounds)

    def arrived(self, response: httpx2.Response) -> None:
        bound(response, self.bounds)

    def received(self, data: object, kind: Any, response: httpx2.Response) -> object:
        return mended(data, kind, response)

    def kind_of(self, data: object, kind: Any) -> Any:
        return kind_of_event(data, kind)

    def copy(self, **options: Any) -> Self:
        """Copy the client with other options; the copy renews the same key."""
        copied = super().copy(**options)
        copied.secret = self.secret
        copied.thoughts = self.thoughts
        copied.bounds = self.bounds
        copied.elsewhere = self.elsewhere
        if self.elsewhere:
            copied.forget_environment()
        return copied

    with_options = copy

    @property
    def custom_auth(self) -> httpx2.Auth | None:
        return super().custom_auth if self.secret is None else _RenewedKey(self.secret)


class LeanAzureClient(LeanClient, AsyncAzureOpenAI):
    """The same of Azure's client, whose paths and tokens are its own."""


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
