"""Responses that go out while they are being made."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager

from starlette.types import Receive, Send

from parley.errors import ParleyError
from parley_local.execution import EnvironmentLost
from parley_local.web_function import WebResponse


class NotBegun(ParleyError):
    """The stream came to its end before the client was sent anything."""

    def __init__(self, reason: str, *, timed_out: bool) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class Relay:
    """One response on its way from a function to a client.

    Nothing is kept: the function is read only as fast as the client reads, and it is hung up on
    when the client goes away or the time is over.

    Attributes:
        status: The response's status, once it is known.
        headers: Its headers.
        sent: How many bytes of its body were handed on.
        ending: Why it ended, where it is not complete.
    """

    def __init__(self, send: Send, added: Iterable[tuple[str, str]]) -> None:
        """Make a relay; nothing is sent yet.

        Args:
            send: To the client.
            added: Headers that the gateway adds.
        """
        self.status: int | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.sent = 0
        self.ending: str | None = None
        self._send = send
        self._added = tuple(added)

    async def run(
        self,
        call: AbstractAsyncContextManager[WebResponse],
        receive: Receive,
        *,
        limit: float,
    ) -> None:
        """Send the response until one of both sides ends it, or so many seconds are over.

        Raises:
            NotBegun: There is nothing of the response; the client waits for another one.
        """
        failpoint = asyncio.create_task(self._pass_on(call))
        watching = asyncio.create_task(_gone(receive))
        try:
            done, _ = await asyncio.wait(
                {failpoint, watching}, timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (failpoint, watching):
                task.cancel()
            await asyncio.gather(failpoint, watching, return_exceptions=True)
        if failpoint in done:
            try:
                failpoint.result()
            except EnvironmentLost as lost:
                self._give_up(str(lost), timed_out=False)
        elif watching in done:
            self.ending = "the client went away"
        else:
            self._give_up(f"{limit:g} s are over", timed_out=True)

    def _give_up(self, reason: str, *, timed_out: bool) -> None:
        if self.status is None:
            raise NotBegun(reason, timed_out=timed_out)
        self.ending = reason

    async def _pass_on(self, call: AbstractAsyncContextManager[WebResponse]) -> None:
        async with call as response:
            headers = [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in (*response.headers, *self._added)
            ]
            self.status, self.headers = response.status, tuple(response.headers)
            await self._send(
                {"type": "http.response.start", "status": response.status, "headers": headers}
            )
            async for part in response.parts:
                await self._send({"type": "http.response.body", "body": part, "more_body": True})
                self.sent += len(part)
        await self._send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
