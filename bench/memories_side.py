"""One kind of memory as a side of `bench.memories`: what a run asks of it, and nothing else.

`BENCH_MEMORY` names the kind. A turn reads what came before, and then writes the user's message and
the reply. `sdk` memories do that by the SDK's protocol for sessions, Parley's by its own stores,
whose write names the turn and the attempt and is fenced.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from uuid import uuid4

from bench.conversation import items, turn
from bench.sides import Taken, serve, timed

_WINDOW = 200  # items; Parley's default


class Memory(Protocol):
    """Where a conversation is kept."""

    async def fill(self, conversation: str, turns: int) -> None: ...
    async def read(self, conversation: str, limit: int | None) -> int: ...
    async def write(self, conversation: str, number: int) -> None: ...


class OfSdk:
    """A session of the SDK's."""

    def __init__(self, session: Callable[[str], Any]) -> None:
        self._session = session

    async def fill(self, conversation: str, turns: int) -> None:
        session = self._session(conversation)
        if turns:
            await session.add_items(items(turns))

    async def read(self, conversation: str, limit: int | None) -> int:
        return len(await self._session(conversation).get_items(limit))

    async def write(self, conversation: str, number: int) -> None:
        session = self._session(conversation)
        # As the Runner does: the message before the model is asked, the reply after it.
        message, reply = turn(number)
        await session.add_items([message])
        await session.add_items([reply])


class OfParley:
    """An agent-session store, as a turn uses it."""

    def __init__(self) -> None:
        from parley.composition import Composition
        from parley.config import load_settings

        self._parts = Composition(load_settings("memory"))

    async def fill(self, conversation: str, turns: int) -> None:
        from bench.memory_in_bulk import Left, remember

        from parley.ids import TurnKey, new_id
        from parley.memory.expiry import TimeToLive
        from parley.memory.store import TurnMemory

        expires_at = TimeToLive().of_finished()
        remember(
            self._parts,
            (
                Left(conversation, TurnKey(number, new_id()), expires_at, TurnMemory(turn(number)))
                for number in range(1, turns + 1)
            ),
        )

    async def read(self, conversation: str, limit: int | None) -> int:
        from parley.store_threads import begin_call

        wanted = None if limit is None else limit // 2
        turns = await begin_call(lambda: self._parts.store.read_newest(conversation, wanted))
        return sum(len(each.memory.items) for each in turns if each.memory)

    async def write(self, conversation: str, number: int) -> None:
        from parley.ids import TurnKey, new_id
        from parley.memory.store import TurnMemory
        from parley.store_threads import begin_call

        key = TurnKey(number, new_id())
        memory = TurnMemory(turn(number))
        await begin_call(lambda: self._parts.store.finish(conversation, key, 1, memory))


class MemoriesSide:
    """Reads and writes conversations."""

    def __init__(self, memory: Memory, loop: asyncio.AbstractEventLoop) -> None:
        self._memory = memory
        self._loop = loop

    def fill(self, turns: int) -> str:
        """Make a conversation of so many turns, and return its name."""
        conversation = uuid4().hex
        self._loop.run_until_complete(self._memory.fill(conversation, turns))
        return conversation

    def turn(self, conversation: str, turns: int, number: int, times: int, limited: bool) -> Taken:
        """Do what a run does, some times.

        Args:
            conversation: Its name.
            turns: How many turns it had at first.
            number: The next turn's.
            times: How many turns.
            limited: Whether the newest items are read only.
        """
        numbers = iter(range(number, number + times))
        limit = _WINDOW if limited else None

        async def one() -> None:
            found = await self._memory.read(conversation, limit)
            assert found >= min(2 * turns, _WINDOW), found
            await self._memory.write(conversation, next(numbers))

        return timed(lambda: self._loop.run_until_complete(one()), times)


def _memory(kind: str, loop: asyncio.AbstractEventLoop) -> Awaitable[Memory]:
    async def make() -> Memory:
        match kind:
            case "parley":
                return OfParley()
            case "sqlite":
                from agents import SQLiteSession

                path = os.environ["BENCH_SQLITE"]
                kept: dict[str, Any] = {}

                def of_file(name: str) -> Any:
                    if name not in kept:
                        kept[name] = SQLiteSession(name, path)
                    return kept[name]

                return OfSdk(of_file)
            case "sqlalchemy":
                from agents.extensions.memory import SQLAlchemySession
                from sqlalchemy.ext.asyncio import create_async_engine

                engine = create_async_engine(os.environ["DATABASE_URL"])
                first = SQLAlchemySession("first", engine=engine, create_tables=True)
                await first.get_items()
                return OfSdk(lambda name: SQLAlchemySession(name, engine=engine))
            case "redis":
                from agents.extensions.memory.redis_session import RedisSession
                from redis.asyncio import Redis

                client = Redis.from_url(os.environ["REDIS_URL"])
                return OfSdk(lambda name: RedisSession(name, redis_client=client))
            case _:
                raise ValueError(kind)

    return make()


def main() -> None:
    """Serve the kind that the environment names."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    memory = loop.run_until_complete(_memory(os.environ["BENCH_MEMORY"], loop))
    serve(MemoriesSide(memory, loop))


if __name__ == "__main__":
    main()
