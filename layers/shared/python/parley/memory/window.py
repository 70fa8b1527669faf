"""What the agent is shown of the past: the newest whole turns that Postgres vouches for.

An item of the store counts only if it is `done` for the turn and with the attempt that begin
returned for its number. Without that, a cancel that wins after `done` would show what was
cancelled, and a zombie could bring back what was deleted (turn-protocol, section 3). Of a turn that
Postgres, restored to an earlier moment, does not know any more, nothing counts although its number
was given out again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from parley.ids import Voucher
from parley.memory.bounded import is_cut, json_bytes
from parley.memory.shape import in_order
from parley.memory.store import AgentSessionStore, Item, StoredTurn, TurnMemory

Vouched = Sequence[Voucher]
"""The turns that count, newest first."""

Rebuild = Callable[[Sequence[int]], Mapping[int, TurnMemory]]
"""Gives what turns left whose memory is gone, from the transcript; without turns that are gone."""

_LEAST_ITEMS = 2  # what a turn of unknown size counts: the user's message and an answer


def vouched_turns(max_items: int) -> int:
    """Tell how many turns can be in a window of so many items."""
    return max(1, max_items // _LEAST_ITEMS)


class Window:
    """The turns that the next one is shown: newest whole turns within a number of items and bytes.

    Attributes:
        keep_from: The lowest turn number that pruning must leave. One turn more than is shown:
            its size is why the window ends there.
        rebuilt: Numbers of the turns that were taken from the transcript.
        to_write_back: Turns that the next window needs as well, and that the store has lost or is
            about to lose.
    """

    def __init__(
        self,
        store: AgentSessionStore,
        conversation: str,
        vouched: Vouched,
        first_read: Sequence[StoredTurn],
        *,
        max_items: int,
        max_bytes: int = 1_000_000,
        rebuild: Rebuild,
    ) -> None:
        """Assemble the window.

        Args:
            store: Where to look once more, consistently, for what the first read misses.
            conversation: The conversation key.
            vouched: The turns that count.
            first_read: What was read of the conversation while the turn began.
            max_items: The most items to show. The newest turn is shown whatever its size.
            max_bytes: The most bytes of JSON that they may come to.
            rebuild: Gives what turns left that the store has lost: of those that are named, newest
                first, as many as come to no more than `max_bytes`, and the one that is too much.

        Raises:
            StoreUnavailable: A store cannot serve now.
        """
        stored = _believed(first_read, vouched)
        most = _Size(max_items, max_bytes)
        missing: list[Voucher] = []
        unread = _missing(vouched, _items(stored), most)
        while unread:
            read = store.read(conversation, [each.turn for each in unread], max_bytes=max_bytes)
            stored |= _believed(read, vouched)
            end = read[-1].number if is_cut(read, max_bytes) else 0
            missing += [each for each in unread if end <= each.number not in stored]
            # Behind what was read there may still be room: not all of it is believed.
            room = _missing(vouched, _items(stored), most)
            unread = [each for each in unread if each.number < end and each in room]
        rebuilt = _rebuilt(missing, rebuild)
        self.rebuilt: tuple[int, ...] = tuple(rebuilt)
        stored |= rebuilt
        # Of what was not given there is nothing, or no room behind the one that is too much.
        nothing: dict[int, list[Item]] = {each.number: [] for each in missing}
        known = nothing | _items(stored)
        self._shown, self.keep_from = _newest(vouched, known, most)
        kept = {n: each for n, each in stored.items() if n >= self.keep_from}
        # All at once: of a session that is used every day, one or two would be due with each turn.
        renewed = kept if any(each.ends_soon for each in kept.values()) else {}
        self.to_write_back = [*(renewed | rebuilt).values()]

    @property
    def items(self) -> list[Item]:
        """The items of all turns shown, oldest first."""
        return _flat(self._shown)

    def newest_half(self) -> list[Item]:
        """Return the newest whole turns within half as many items; at least the newest turn."""
        half: list[list[Item]] = []
        total = 0
        for turn in self._shown:
            total += len(turn)
            if half and total > len(self.items) // 2:
                break
            half.append(turn)
        return _flat(half)


def _believed(stored: Sequence[StoredTurn], vouched: Vouched) -> dict[int, StoredTurn]:
    attempts = {each.turn: each.attempt for each in vouched}
    return {
        each.number: each
        for each in stored
        if each.memory is not None and attempts.get(each.turn) == each.attempt
    }


def _rebuilt(missing: Vouched, rebuild: Rebuild) -> dict[int, StoredTurn]:
    if not missing:
        return {}
    left = rebuild([each.number for each in missing])
    return {
        each.number: StoredTurn(each.turn, each.attempt, left[each.number])
        for each in missing
        if each.number in left
    }


def _items(stored: Mapping[int, StoredTurn]) -> dict[int, list[Item]]:
    return {number: each.memory.items for number, each in stored.items() if each.memory is not None}


@dataclass(frozen=True, slots=True)
class _Size:
    items: int = 0
    bytes: int = 0

    def __add__(self, other: _Size) -> _Size:
        return _Size(self.items + other.items, self.bytes + other.bytes)

    def exceeds(self, most: _Size) -> bool:
        return self.items > most.items or self.bytes > most.bytes


def _size(items: list[Item] | None) -> _Size:
    return _UNKNOWN if items is None else _Size(len(items), json_bytes(items))


_UNKNOWN = _Size(_LEAST_ITEMS)


def _missing(vouched: Vouched, known: Mapping[int, list[Item]], most: _Size) -> list[Voucher]:
    missing, total = [], _Size()
    for each in vouched:
        items = known.get(each.number)
        total += _size(items)
        if total.exceeds(most):
            break
        if items is None:
            missing.append(each)
    return missing


def _newest(
    vouched: Vouched, known: Mapping[int, list[Item]], most: _Size
) -> tuple[list[list[Item]], int]:
    shown: list[list[Item]] = []
    total, keep_from = _Size(), 1
    for each in vouched:
        keep_from = each.number
        items = known.get(each.number)
        if items is None:
            break  # it was not even looked for, since there is no room; nor may older ones show
        total += _size(items)
        if total.exceeds(most) and shown:
            break
        shown.append(items)
    return shown, keep_from


def _flat(newest_first: Sequence[list[Item]]) -> list[Item]:
    # Memory of earlier versions can have words between a call and its output.
    return in_order(item for turn in reversed(newest_first) for item in turn)
