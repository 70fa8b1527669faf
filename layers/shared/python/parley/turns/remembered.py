"""What an agent remembers of one turn, a page at a time, for who looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from parley.ids import Voucher
from parley.memory.store import AgentSessionStore
from parley.repository.paging import Number, Page, decode, encode, fitting

ITEM_MAX_CHARS = 100_000
"""How much of an item is shown."""

_POSITION: TypeAdapter[tuple[Number]] = TypeAdapter(tuple[Number])


@dataclass(frozen=True, slots=True)
class RememberedItem:
    """One of the SDK's items.

    Attributes:
        place: Its place in the turn: 0, 1, 2, …
        item: The item; the beginning of its JSON, as text, where it is `cut`.
        cut: Whether its JSON is longer than `ITEM_MAX_CHARS`.
    """

    place: int
    item: Any
    cut: bool


def list_remembered(
    store: AgentSessionStore, conversation: str, vouched: Voucher, *, limit: int, cursor: str | None
) -> Page[RememberedItem]:
    """List what is remembered of a turn, in its order; nothing of one that has not ended.

    Args:
        store: Where memory lives.
        conversation: The conversation key.
        vouched: The turn, and the attempt that counts.
        limit: At most so many, 1 to 100.
        cursor: Where the page starts, as the one before said.

    Raises:
        InvalidField: The cursor is not one of this list.
        StoreUnavailable: The store cannot serve now.
    """
    first = 0 if cursor is None else decode(cursor, _POSITION)[0]
    items: Sequence[Any] = [
        item
        for stored in store.read(conversation, [vouched.turn])
        if stored.attempt == vouched.attempt and stored.memory is not None
        for item in stored.memory.items
    ]
    shown = [_shown(place, item) for place, item in enumerate(items)][first : first + limit + 1]
    kept = fitting(shown, limit, lambda each: [each.item])
    return Page(shown[:kept], encode([first + kept]) if len(shown) > kept else None)


def _shown(place: int, item: Any) -> RememberedItem:
    written = to_json(item).decode()
    cut = len(written) > ITEM_MAX_CHARS
    return RememberedItem(place, written[:ITEM_MAX_CHARS] if cut else item, cut)
