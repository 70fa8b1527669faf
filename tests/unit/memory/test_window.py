"""The window against a naive model of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from parley.ids import SUMMARY_NUMBER, TurnKey, Voucher
from parley.memory.bounded import is_cut, json_bytes, up_to
from parley.memory.store import AgentSessionStore, Item, StoredTurn, TurnMemory
from parley.memory.summary import summary_memory
from parley.memory.window import Window, vouched_turns
from parley_testing.stores.turn_keys import numbered, other_turn

SIZES = st.integers(2, 9)
LOW_MARK = 60


class Stored:
    """A store of finished turns by number; counts reads."""

    def __init__(self, turns: Mapping[int, StoredTurn]) -> None:
        self.turns = turns
        self.read_again: list[int] = []
        self.given: list[list[StoredTurn]] = []

    def read(
        self, conversation: str, turns: Sequence[TurnKey], *, max_bytes: int | None = None
    ) -> list[StoredTurn]:
        there = [self.turns[turn.number] for turn in turns if turn.number in self.turns]
        given = list(up_to((stored for stored in there if stored.turn in turns), max_bytes))
        cut = max_bytes is not None and is_cut(given, max_bytes)
        end = given[-1].number if cut else 0
        self.read_again += [turn.number for turn in turns if turn.number >= end]
        self.given.append(given)
        return given


class Past:
    """Turns of a conversation, and what has become of their memory."""

    def __init__(self, sizes: list[int], fates: Mapping[int, str] | None = None) -> None:
        fates = fates or {}
        self.vouched = [
            Voucher(number, 1, numbered(number).id) for number in range(len(sizes), 0, -1)
        ]
        self.items = {
            number: _items(number, size) if fates.get(number, "there") in ("there", "late")
            else _items(number, 2)
            for number, size in enumerate(sizes, 1)
        }  # fmt: skip
        self.rebuilt: list[int] = []
        stored, seen = {}, {}
        for number, _, _ in self.vouched:
            fate = fates.get(number, "there")
            turn = StoredTurn(numbered(number), 1, TurnMemory(self.items[number]))
            if fate == "unreadable":
                turn = StoredTurn(numbered(number), 1, None)
            elif fate == "unvouched":
                turn = StoredTurn(
                    numbered(number), 2, TurnMemory([{"role": "user", "content": "cancelled"}])
                )
            elif fate == "another's":
                turn = StoredTurn(
                    other_turn(number), 1, TurnMemory([{"role": "user", "content": "lost"}])
                )
            if fate != "gone":
                stored[number] = turn
            if fate not in ("gone", "late"):
                seen[number] = turn
        self.store, self.first_read = Stored(stored), list(seen.values())

    def window(
        self,
        max_items: int,
        max_bytes: int = 1_000_000,
        begins_at: int = 1,
        own_call_ids: Collection[str] = (),
    ) -> Window:
        most = vouched_turns(max_items)
        vouched = [each for each in self.vouched if each.number >= begins_at]
        return Window(
            cast("AgentSessionStore", self.store),
            "conversation",
            vouched[:most],
            self.first_read[:most],
            max_items=max_items,
            max_bytes=max_bytes,
            low_mark_percent=LOW_MARK,
            rebuild=lambda numbers: self._rebuild(numbers, max_bytes),
            own_call_ids=own_call_ids,
        )

    def naive(self, max_items: int, max_bytes: int = 1_000_000) -> list[Item]:
        """All turns if they are within the limits; else the newest within the low mark."""
        whole = self.newest(max_items, max_bytes)
        if len(whole) == sum(map(len, self.items.values())):
            return whole
        return self.newest(max_items * LOW_MARK // 100, max_bytes * LOW_MARK // 100)

    def newest(self, max_items: int, max_bytes: int) -> list[Item]:
        """The newest whole turns within the limits, and the newest in any case."""
        shown: list[Item] = []
        size = 0
        for number, _, _ in self.vouched:
            size += json_bytes(self.items[number])
            if shown and (len(shown) + len(self.items[number]) > max_items or size > max_bytes):
                break
            shown = self.items[number] + shown
        return shown

    def _rebuild(self, numbers: Sequence[int], max_bytes: int) -> dict[int, TurnMemory]:
        self.rebuilt += numbers
        rebuilt: dict[int, TurnMemory] = {}
        size = 0
        for number in numbers:
            if size > max_bytes:
                break
            rebuilt[number] = TurnMemory(self.items[number])
            size += json_bytes(self.items[number])
        return rebuilt


def _items(number: int, size: int) -> list[Item]:
    return [{"turn": number, "place": place} for place in range(size)]


FATES = st.sampled_from(["there", "there", "late", "gone", "unreadable", "unvouched", "another's"])


@st.composite
def pasts(draw: Any) -> Past:
    sizes = draw(st.lists(SIZES, max_size=12))
    return Past(sizes, {number: draw(FATES) for number in range(1, len(sizes) + 1)})


@given(pasts(), st.integers(2, 30))
def test_it_shows_all_turns_or_moves_to_the_newest_within_the_low_mark(
    past: Past, most: int
) -> None:
    assert past.window(most).items == past.naive(most)


@given(pasts(), st.integers(2, 30), st.integers(20, 1_000))
def test_it_shows_them_within_bytes_too_and_reads_no_more_at_a_time(
    past: Past, most: int, most_bytes: int
) -> None:
    assert past.window(most, most_bytes).items == past.naive(most, most_bytes)
    for read in past.store.given:
        assert not is_cut(read[:-1], most_bytes)
    assert len(past.store.read_again) == len(set(past.store.read_again))


@given(st.lists(SIZES, max_size=12), st.integers(2, 30))
def test_what_is_there_is_not_read_again(sizes: list[int], most: int) -> None:
    past = Past(sizes)

    window = past.window(most)

    assert (past.store.read_again, past.rebuilt, window.rebuilt) == ([], [], ())


@given(pasts(), st.integers(2, 30))
def test_no_more_is_looked_for_again_than_can_be_shown(past: Past, most: int) -> None:
    past.window(most)

    assert len(past.store.read_again) <= vouched_turns(most)
    assert set(past.rebuilt) <= set(past.store.read_again)


@given(st.lists(SIZES, min_size=1, max_size=30), st.integers(2, 20))
def test_it_begins_with_the_same_items_until_it_moves_and_needs_nothing_from_before(
    sizes: list[int], most: int
) -> None:
    begins_at, before = 1, None
    for turns in range(1, len(sizes) + 1):
        past = Past(sizes[:turns])
        past.first_read = [turn for turn in past.first_read if turn.number >= begins_at]
        past.store.turns = {turn.number: turn for turn in past.first_read}

        window = past.window(most, begins_at=begins_at)

        assert past.store.read_again == []
        if window.begins_at is None:
            assert before is None or window.items[: len(before)] == before
        else:
            assert begins_at < window.begins_at <= turns or turns == begins_at
            begins_at = window.begins_at
        before = window.items


@given(st.lists(SIZES, min_size=1, max_size=12), st.integers(2, 60))
def test_half_of_it_is_the_newest_whole_turns(sizes: list[int], most: int) -> None:
    past = Past(sizes)
    window = past.window(most)
    all_items = window.items

    halved = window.halve()

    assert halved
    half = past.newest(len(all_items) // 2, 1_000_000)
    assert window.items == (half if len(half) < len(all_items) else [])
    assert window.begins_at == (window.items[0]["turn"] if window.items else len(sizes) + 1)


@given(st.lists(SIZES, max_size=12), st.integers(2, 60))
def test_half_of_half_comes_to_nothing(sizes: list[int], most: int) -> None:
    window = Past(sizes).window(most)
    shown = [len(window.items)]

    while window.halve():
        shown.append(len(window.items))

    assert shown[-1] == 0
    assert all(after < before for before, after in pairwise(shown))
    assert len(shown) <= shown[0].bit_length() + 2


def test_calls_of_two_turns_that_have_one_id_are_told_apart() -> None:
    past = Past([4, 4, 4])
    for number, items in past.items.items():
        call = {"type": "function_call", "call_id": "call_0", "name": f"of {number}"}
        items[1:3] = [call, {"type": "function_call_output", "call_id": "call_0"}]

    first, again = past.window(20).items, past.window(20).items

    assert first == again
    ids = [item["call_id"] for item in first if "call_id" in item]
    assert ids[0::2] == ids[1::2]
    assert ids[0] == "call_0"
    assert len(set(ids)) == 3
    assert [item["name"] for item in first if "name" in item] == ["of 1", "of 2", "of 3"]


def test_a_call_of_an_earlier_turn_gives_way_to_one_that_the_turn_itself_has_recorded() -> None:
    """Given an attempt that was shown less of the past, and whose calls got ids of that."""
    past = Past([4, 4])
    for number, items in past.items.items():
        call = {"type": "function_call", "call_id": f"call_{number}", "name": f"of {number}"}
        items[1:3] = [call, {"type": "function_call_output", "call_id": f"call_{number}"}]

    shown = past.window(20, own_call_ids={"call_1"}).items

    ids = [item["call_id"] for item in shown if "call_id" in item]
    assert ids[0::2] == ids[1::2]
    assert (ids[0] == "call_1", ids[2]) == (False, "call_2")


# Turns of one item are possible, if only just: a reply without a word.
@given(
    st.lists(st.integers(1, 4), max_size=8),
    st.lists(st.sampled_from(["there", "late", "gone"]), min_size=8, max_size=8),
    st.integers(2, 12),
)
@example([1, 1, 5], ["there", "late", "there"], 6)
def test_what_is_shown_has_no_gap(sizes: list[int], fates: list[str], most: int) -> None:
    past = Past(sizes, dict(enumerate(fates, 1)))

    shown = {item["turn"] for item in past.window(most).items}

    assert sizes == [] or shown
    assert shown == set(range(len(sizes) - len(shown) + 1, len(sizes) + 1))


def test_nothing_is_shown_of_nothing() -> None:
    window = Past([]).window(20)

    assert (window.items, window.begins_at, window.halve()) == ([], None, False)


def test_a_turn_that_the_transcript_does_not_have_either_is_left_out() -> None:
    past = Past([2, 2, 2], {2: "gone"})
    past._rebuild = lambda *_: {}  # type: ignore[method-assign]

    shown = [item["turn"] for item in past.window(20).items]

    assert shown == [1, 1, 3, 3]


def test_the_summary_stands_first_if_it_is_vouched_for() -> None:
    past = Past([2, 2])
    named = UUID(int=7)
    stored = StoredTurn(TurnKey(SUMMARY_NUMBER, named), 2, summary_memory("I am Ada.", {}))

    def window(read: Sequence[StoredTurn], attempt: int | None = 2) -> Window:
        voucher = None if attempt is None else Voucher(SUMMARY_NUMBER, attempt, named)
        return Window(
            cast("AgentSessionStore", past.store),
            "conversation",
            past.vouched,
            [*read, *past.first_read],
            max_items=10,
            rebuild=lambda _: {},
            summary=voucher,
        )

    turns = past.naive(10)
    first, *rest = window([stored]).items
    assert "I am Ada." in first["content"]
    assert rest == turns
    for unvouched in (window([stored], attempt=1), window([])):
        assert unvouched.items == turns
        assert unvouched.summary_lost
    nothing_named = window([stored], attempt=None)
    assert nothing_named.items == turns
    assert not nothing_named.summary_lost


def test_a_summary_that_ends_soon_is_written_back_and_one_that_cannot_be_read_is_lost() -> None:
    past = Past([2])
    key = TurnKey(SUMMARY_NUMBER, UUID(int=7))

    def window(stored: StoredTurn) -> Window:
        return Window(
            cast("AgentSessionStore", past.store),
            "conversation",
            past.vouched,
            [stored, *past.first_read],
            max_items=10,
            rebuild=lambda _: {},
            summary=Voucher(SUMMARY_NUMBER, 1, key.id),
        )

    ending = StoredTurn(key, 1, summary_memory("I am Ada.", {}), ends_soon=True)
    assert window(ending).to_write_back == [ending]
    assert window(StoredTurn(key, 1, None)).summary_lost
    assert window(StoredTurn(key, 1, TurnMemory([], ""))).summary_lost
