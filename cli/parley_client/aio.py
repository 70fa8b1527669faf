"""The client for event loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from parley_client.call import Call, Events, Series, is_event_stream
from parley_client.endpoints import (
    admin,
    approvals,
    deployment,
    memory,
    messages,
    project,
    sessions,
    streams,
    usage,
)
from parley_client.events import TurnEvent
from parley_client.exchange import is_loopback, request, result
from parley_client.following import Following
from parley_client.retry import PATIENCE_SECONDS, SILENT_SECONDS, Outcome, tries

T = TypeVar("T")
P = ParamSpec("P")


def _one(
    make: Callable[P, Call[T]],
) -> Callable[Concatenate[AsyncParley, P], Coroutine[Any, Any, T]]:
    """Make a method of an endpoint; it raises what `AsyncParley.do` raises."""

    @wraps(make)
    async def method(self: AsyncParley, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.do(make(*args, **kwargs))

    return method


def _each(make: Callable[P, Series[T]]) -> Callable[Concatenate[AsyncParley, P], AsyncIterator[T]]:
    """Make a method of a paged endpoint: an iterator that asks for each page when it is needed."""

    @wraps(make)
    def method(self: AsyncParley, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.each(make(*args, **kwargs))

    return method


def _follow(
    make: Callable[P, Events],
) -> Callable[Concatenate[AsyncParley, P], AsyncGenerator[TurnEvent, None]]:
    """Make a method of a turn's events; see `AsyncParley.follow`."""

    @wraps(make)
    def method(
        self: AsyncParley, /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[TurnEvent, None]:
        return self.follow(make(*args, **kwargs))

    return method


class AsyncParley:
    """Talks to one API as one user; close it, or use it with `async with`.

    Every call is tried again where that is safe, within `patience`. It belongs to one loop.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str | Awaitable[str]],
        *,
        patience: float = PATIENCE_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a client; nothing is sent.

        Args:
            url: The API's address, with its stage where it has one.
            token: A bearer token, or what gives one; that is asked before each try.
            patience: Seconds that a call may take, all tries together; for a turn's events, or
                while a message waits behind others, that may pass without a sign of the server.
            transport: What carries the requests, where not the network.
            sleep: Waits for some seconds.
            clock: Says the time in seconds.

        Raises:
            ValueError: The address is none.
        """
        self._url = url.rstrip("/")
        self._token = token
        self._patience = patience
        self._sleep = sleep
        self._clock = clock
        self._http = httpx.AsyncClient(transport=transport, trust_env=not is_loopback(url))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def do(self, call: Call[T]) -> T:
        """Carry out a call and return its result.

        Raises:
            ApiError: The API refused.
            Unreachable: No answer came.
            UnexpectedAnswer: What came is not what Parley answers.
            NotSendable: An argument cannot be sent.
        """
        policy = tries(call, self._url, patience=self._patience, clock=self._clock)
        attempt = next(policy)
        while True:
            if attempt.wait:
                await self._sleep(attempt.wait)
            try:
                attempt = policy.send(await self._send(call, attempt.read_seconds))
            except StopIteration as over:
                return result(self._url, call, over.value)

    async def each(self, series: Series[T]) -> AsyncIterator[T]:
        """Yield the items of all pages; each page is asked for when it is needed.

        Raises:
            ParleyError: As `do` does, while it is iterated over.
        """
        cursor = None
        while True:
            page = await self.do(series.page(cursor))
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            cursor = page.next_cursor

    async def follow(self, events: Events) -> AsyncGenerator[TurnEvent, None]:
        """Yield a turn's events, each once and in order, until the turn ends.

        Connections that break are made anew, and go on where the last one ended. Nothing is sent
        before the first event is asked for. Whoever stops before the end calls `aclose()`; the
        turn goes on all the same.

        Raises:
            ParleyError: As `do` does, while it is iterated over.
        """
        following = Following(self._url, events, patience=self._patience, clock=self._clock)
        while not following.over:
            if following.wait:
                await self._sleep(following.wait)
            opened = await self._send(following.call, SILENT_SECONDS, stream=True)
            if isinstance(opened, httpx.HTTPError):
                following.lost(opened)
                continue
            async with aclosing(opened) as response:
                try:
                    if not is_event_stream(response):
                        await response.aread()
                        following.refused(response)
                        continue
                    async for chunk in response.aiter_bytes():
                        for event in following.take(chunk):
                            yield event
                        if following.over:
                            return
                except httpx.HTTPError as error:
                    following.lost(error)
                else:
                    following.lost(None)

    async def _send(self, call: Call[T], read_seconds: float, *, stream: bool = False) -> Outcome:
        token = self._token if isinstance(self._token, str) else self._token()
        if not isinstance(token, str):
            token = await token
        sent = request(self._url, call, token, read_seconds)
        try:
            return await self._http.send(sent, stream=stream)
        except httpx.HTTPError as error:
            return error

    create_session = _one(sessions.create_session)
    list_sessions = _each(sessions.list_sessions)
    read_session = _one(sessions.read_session)
    change_session = _one(sessions.change_session)
    delete_session = _one(sessions.delete_session)

    send_message = _one(messages.send_message)
    send_first_message = _one(messages.send_first_message)
    queue_message = _one(messages.queue_message)
    queue_first_message = _one(messages.queue_first_message)
    stream_message = _follow(streams.stream_message)
    stream_first_message = _follow(streams.stream_first_message)
    follow_turn = _follow(streams.follow_turn)
    read_transcript = _each(messages.read_transcript)
    list_turns = _each(messages.list_turns)
    read_turn = _one(messages.read_turn)
    cancel_turn = _one(messages.cancel_turn)

    list_approvals = _each(approvals.list_approvals)
    read_approval = _one(approvals.read_approval)
    decide_approval = _one(approvals.decide_approval)
    list_all_approvals = _each(approvals.list_all_approvals)
    read_any_approval = _one(approvals.read_any_approval)
    decide_any_approval = _one(approvals.decide_any_approval)

    count_memory = _one(memory.count_memory)
    clear_memory = _one(memory.clear_memory)
    prune_memory = _one(memory.prune_memory)

    request = _one(project.request)
    request_items = _each(project.request_items)

    read_usage = _one(usage.read_usage)

    list_agents = _one(deployment.list_agents)
    check_health = _one(deployment.check_health)

    list_all_sessions = _each(admin.list_all_sessions)
    read_any_session = _one(admin.read_any_session)
    read_any_transcript = _each(admin.read_any_transcript)
    list_all_turns = _each(admin.list_all_turns)
    read_any_turn = _one(admin.read_any_turn)
    read_any_tool_calls = _each(admin.read_any_tool_calls)
    read_any_events = _each(admin.read_any_events)
    read_any_turn_memory = _each(admin.read_any_turn_memory)
    change_session_status = _one(admin.change_session_status)
    clean_up = _each(admin.clean_up)
    read_statistics = _one(admin.read_statistics)
    read_turn_series = _one(admin.read_turn_series)
    read_all_usage = _one(usage.read_all_usage)
    read_deployment_budget = _one(admin.read_deployment_budget)
    read_user_budget = _one(admin.read_user_budget)
    set_user_budget = _one(admin.set_user_budget)
    remove_user_budget = _one(admin.remove_user_budget)
    erase_user = _each(admin.erase_user)
    rename_user = _each(admin.rename_user)
    export_user = _each(admin.export_user)
