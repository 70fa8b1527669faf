"""Parley's memory as a session of the Agents SDK, for `Runner.run(session=…)` in one's own code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from parley.memory.store import AgentSessionStore, StoredTurn, TurnMemory
from parley.store_threads import begin_call
from parley.text import storable_json

if TYPE_CHECKING:
    from agents import SessionSettings, TResponseInputItem

_T = TypeVar("_T")


class ParleySession:
    """A conversation of one's own in an agent-session store; an `agents.Session`.

    It never meets the conversations that Parley's turns run in, whatever its id. Making one
    creates nothing. Every method may raise `StoreUnavailable`.

    Args:
        session_id: Names the conversation; the same id reaches the same items again.
        store: Where the items live.
        session_settings: Its `limit` holds where `get_items` is given none.
    """

    def __init__(
        self,
        session_id: str,
        store: AgentSessionStore,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        # Imported here: a function that only counts or removes memory does without the SDK.
        from agents.memory.session_settings import coerce_session_settings

        self.session_id = session_id
        self.session_settings: SessionSettings | None = coerce_session_settings(
            session_settings or {}
        )
        self._store = store
        self._conversation = f"sdk_{session_id}"

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Read the newest items.

        Args:
            limit: At most so many; None for the settings' limit, or all. Items that cannot be read
                do not count.

        Returns:
            The items, oldest first; none for a limit of 0 or less.
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        return await begin_call(lambda: self._newest(limit))

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add items after the newest: all of them or none, and no others in between.

        Once begun, the write is finished even if the caller is cancelled. NULs and lone surrogates
        in texts are made storable.

        Raises:
            TypeError: An item is not a dictionary.
        """
        if not items:
            return
        for item in items:
            if not isinstance(item, dict):
                raise TypeError(f"an item must be a dictionary, not {type(item).__name__}")
        memory = TurnMemory(storable_json(list(items)))
        await _to_the_end(lambda: self._store.append(self._conversation, memory))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove the newest item and return it; None if there is none."""
        item = await _to_the_end(lambda: self._store.pop_item(self._conversation))
        return cast("TResponseInputItem | None", item)

    async def clear_session(self) -> None:
        """Remove all items."""
        await _to_the_end(lambda: self._store.forget(self._conversation))

    def _newest(self, limit: int | None) -> list[TResponseInputItem]:
        newest_first: list[Any] = []
        before: int | None = None
        while limit is None or len(newest_first) < limit:
            wanted = None if limit is None else limit - len(newest_first)
            turns: list[StoredTurn] = self._store.read_newest(
                self._conversation, wanted, before=before, consistent=True
            )
            for turn in turns:
                newest_first += reversed(turn.memory.items if turn.memory else [])
            if wanted is None or len(turns) < wanted:
                break
            before = turns[-1].number
        return newest_first[:limit][::-1]


async def _to_the_end(write: Callable[[], _T]) -> _T:
    """Run a write in a thread and wait for its end, however often the caller is cancelled."""
    task = begin_call(write)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = cancelled or error
    if cancelled is None:
        return task.result()
    # The caller hears of its cancellation, and of the write's own failure as the cause.
    raise cancelled from task.exception()
