"""A bound in bytes on what is read of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pydantic_core import to_json

from parley.ids import SUMMARY_NUMBER
from parley.memory.store import Item, StoredTurn


def json_bytes(items: list[Item]) -> int:
    """Return how many bytes of JSON items come to: what they count in a window."""
    return len(to_json(items))


def is_cut(turns: Sequence[StoredTurn], max_bytes: int) -> bool:
    """Return whether turns that were read up to so many bytes end there."""
    return sum(map(_counted, turns)) > max_bytes


def up_to(turns: Iterable[StoredTurn], max_bytes: int | None) -> Iterator[StoredTurn]:
    """Yield turns for as long as they come to no more bytes of JSON, and the one that is too much.

    A window needs to see that one as well: it is why the window ends there.
    """
    total = 0
    for turn in turns:
        yield turn
        if max_bytes is not None:
            total += _counted(turn)
            if total > max_bytes:
                return


def _counted(turn: StoredTurn) -> int:
    # A summary is bounded by itself, and must not push a turn out of what is read.
    if turn.memory is None or turn.number == SUMMARY_NUMBER:
        return 0
    return json_bytes(turn.memory.items)
