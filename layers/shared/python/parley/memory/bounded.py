"""A bound in bytes on what is read of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic_core import to_json

from parley.memory.store import Item, StoredTurn


def json_bytes(items: list[Item]) -> int:
    """Return how many bytes of JSON items come to: what they count in a window."""
    return len(to_json(items))


def is_cut(turns: Sequence[StoredTurn], max_bytes: int) -> bool:
    """Return whether turns that were read up to so many bytes end there."""
    total = sum(json_bytes(each.memory.items) for each in turns if each.memory is not None)
    return total > max_bytes


def up_to(turns: Iterable[StoredTurn], max_bytes: int | None) -> Iterator[StoredTurn]:
    """Yield turns for as long as they come to no more bytes of JSON, and the one that is too much.

    A window needs to see that one as well: it is why the window ends there.
    """
    total = 0
    for turn in turns:
        yield turn
        if max_bytes is not None and turn.memory is not None:
            total += json_bytes(turn.memory.items)
            if total > max_bytes:
                return
