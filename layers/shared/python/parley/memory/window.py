"""What the agent is shown of the past: the newest whole turns that Postgres vouches for.

An item of the store counts only if it is `done` for the turn and with the attempt that begin
returned for its number. Without that, a cancel that wins after `done` would show what was
cancelled, and a zombie could bring back what was deleted (turn-protocol, section 3). Of a turn that
Postgres, restored to an earlier moment, does not know any more, nothing counts although its number
was given out again.

The window moves in steps. It grows with each turn until it holds more than it may, and then begins
anew with the newest turns that come to no more than a part of that, its low mark. Where it begins
is kept with the session. So what a model is sent begins with the same bytes from one step to the
next, which providers charge a fraction for; a window that lost a turn with each turn would begin
with others each time (turn-protocol, section 3).

Of the turns before it there may be a summary, which stands first. It is vouched for as they are,
and stays the same until the next one counts (section 3b).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from parley.ids import Voucher
from parley.memory.bounded import is_cut, json_bytes
from parley.memory.shape import in_order
from parley.memory.store import AgentSessionStore, Item, StoredTurn, TurnMemory
from parley.memory.summary import text_of

Vouched = Sequence[Voucher]
"""The turns that count, newest first."""

Rebuild = Callable[[Sequence[int]], Mapping[int, TurnMemory]]
"""Gives what turns left whose memory is gone, from the transcript; without turns that are gone."""

_LEAST_ITEMS = 2  # what a turn of unknown size counts: the user's message and an answer


LOW_MARK_PERCENT = 60
"""How much of what a window may hold is left in it by a step."""


def vouched_turns(max_items: int) -> int:
    """Return how many turns tell whether a window of so many items has to move: one too many."""
    return max(1, max_items // _LEAST_ITEMS) + 1


class Window:
    """The turns that the next one is shown: newest whole turns within a number of items and bytes.

    Attributes:
        begins_at: The number of the oldest turn that is shown, or of the one behind the newest if
            none is, if the window had to move: from now on it begins there. None where it holds
            all turns that count.
        rebuilt: Numbers of the turns that were taken from the transcript.
        to_write_back: Turns that the next window needs as well, and that the store has lost or is
            about to lose; the summary, if it is about to.
        summary_lost: Whether there is to be a summary that the store does not have.
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
        low_mark_percent: int = LOW_MARK_PERCENT,
        rebuild: Rebuild,
        summary: Voucher | None = None,
        own_call_ids: Collection[str] = (),
    ) -> None:
        """Assemble the window.

        Args:
            store: Where to look once more, consistently, for what the first read misses.
            conversation: The conversation key.
            vouched: The turns that count, from where the window began; of more than
                `vouched_turns` of them, the newest.
            first_read: What was read of the conversation while the turn began.
            max_items: The most items to show. The newest turn is shown whatever its size.
            max_bytes: The most bytes of JSON that they may come to.
            low_mark_percent: How much of both is shown once that is exceeded, 1 to 100.
            rebuild: Gives what turns left that the store has lost: of those that are named, newest
                first, as many as come to no more than `max_bytes`, and the one that is too much.
            summary: Names the summary of the turns before the window, if there is one.
            own_call_ids: Ids that the turn's own calls have which earlier attempts recorded.

        Raises:
            StoreUnavailable: A store cannot serve now.
        """
        self._own_call_ids = frozenset(own_call_ids)
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
        self.begins_at: int | None = None
        self._shown: Sequence[Voucher] = _newest(vouched, known, most)
        if len(self._shown) < len(vouched) or len(vouched) >= vouched_turns(max_items):
            self._show(_newest(self._shown, known, most.part(low_mark_percent)))
        self._items = {each.number: known[each.number] for each in self._shown}
        kept = {each.number: stored[each.number] for each in self._shown if each.number in stored}
        # All at once: of a session that is used every day, one or two would be due with each turn.
        renewed = kept if any(each.ends_soon for each in kept.values()) else {}
        self.to_write_back = [*(renewed | rebuilt).values()]
        stands = _summary(store, conversation, summary, first_read)
        self.summary_lost = summary is not None and stands is None
        self._summary: list[Item] = []
        if stands is not None and stands.memory is not None:
            self._summary = stands.memory.items
            self.to_write_back += [stands] if stands.ends_soon else []

    @property
    def items(self) -> list[Item]:
        """The summary's item, if there is one, and the items of all turns shown, oldest first."""
        return [*self._summary, *in_order(self._with_own_call_ids())]

    def halve(self) -> bool:
        """Show the newest whole turns within half as many items; of a single turn nothing.

        Returns:
            Whether that is less than was shown.
        """
        if not self._shown:
            return False
        items = sum(len(self._items[each.number]) for each in self._shown)
        half = _newest(self._shown, self._items, _Size(items // 2, _NO_LIMIT))
        newest = self._shown[0].number
        if len(half) < len(self._shown):
            self._show(half)
        else:
            self._show([])
            self.begins_at = newest + 1
        return True

    def _show(self, turns: Sequence[Voucher]) -> None:
        self._shown = turns
        self.begins_at = turns[-1].number if turns else None

    def _with_own_call_ids(self) -> Iterator[Item]:
        """Return all items, oldest first; no two turns' calls have the same id.

        Some servers start at call_0 in every turn. A turn's calls get ids that no turn it was shown
        has, but it may come to stand beside another: one that was rebuilt without its calls then,
        or that was too much beside it when an attempt before this one asked the model. Of two calls
        with one id the SDK would send the model only one.
        """
        used = set(self._own_call_ids)
        for turn in reversed(self._shown):
            items = self._items[turn.number]
            ids = {each["call_id"] for each in items if "call_id" in each}
            for each in items:
                yield _renamed(each, turn.turn_id) if each.get("call_id") in used else each
            used |= ids


def _believed(stored: Sequence[StoredTurn], vouched: Vouched) -> dict[int, StoredTurn]:
    attempts = {each.turn: each.attempt for each in vouched}
    return {
        each.number: each
        for each in stored
        if each.memory is not None and attempts.get(each.turn) == each.attempt
    }


def _summary(
    store: AgentSessionStore,
    conversation: str,
    voucher: Voucher | None,
    first_read: Sequence[StoredTurn],
) -> StoredTurn | None:
    """Find the summary that counts, which may have been written since the first read began."""
    if voucher is None:
        return None
    found = _believed(first_read, [voucher])
    found = found or _believed(store.read(conversation, [voucher.turn]), [voucher])
    stands = found.get(voucher.number)
    return stands if stands is not None and text_of(stands.memory) is not None else None


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

    def part(self, percent: int) -> _Size:
        return _Size(self.items * percent // 100, self.bytes * percent // 100)


_NO_LIMIT = 2**63


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


def _newest(vouched: Vouched, known: Mapping[int, list[Item]], most: _Size) -> list[Voucher]:
    """Return the newest turns that come to no more; the newest one whatever it comes to."""
    shown: list[Voucher] = []
    total = _Size()
    for each in vouched:
        items = known.get(each.number)
        if items is None:
            break  # it was not even looked for, since there is no room; nor may older ones show
        total += _size(items)
        if total.exceeds(most) and shown:
            break
        shown.append(each)
    return shown


def _renamed(item: Item, turn_id: UUID) -> Item:
    return {**item, "call_id": f"call_{uuid5(turn_id, item['call_id']).hex}"}
