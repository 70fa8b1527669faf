"""Conversations without a turn protocol, and forgetting, in both stores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from parley.errors import Fenced
from parley.memory.store import AgentSessionStore, ClaimedTurn, MemoryStatistics, TurnMemory
from parley_testing.stores.turn_keys import numbered

KEY = "sdk_notes"


def said(*texts: str) -> TurnMemory:
    return TurnMemory([{"role": "user", "content": text} for text in texts])


def contents(store: AgentSessionStore) -> list[str]:
    turns = reversed(store.read_newest(KEY, None, consistent=True))
    return [item["content"] for turn in turns if turn.memory for item in turn.memory.items]


def test_appended_turns_are_numbered_after_the_newest(store: AgentSessionStore) -> None:
    assert [store.append(KEY, said("a")), store.append(KEY, said("b"))] == [1, 2]
    store.finish(KEY, numbered(7), 1, said("c"))
    store.claim(KEY, numbered(9), 2)

    assert store.append(KEY, said("d", "e")) == 10
    assert contents(store) == ["a", "b", "c", "d", "e"]


def test_appends_at_once_all_stand(store: AgentSessionStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(lambda n: store.append(KEY, said(f"{n}a", f"{n}b")), range(24)))

    assert sorted(given) == list(range(1, 25))
    by_number = dict(zip(given, range(24), strict=True))
    expected = [f"{by_number[number]}{half}" for number in range(1, 25) for half in "ab"]
    assert contents(store) == expected


def test_items_are_popped_newest_first(store: AgentSessionStore) -> None:
    store.append(KEY, said("a", "b"))
    store.append(KEY, said("c"))

    popped = [store.pop_item(KEY) for _ in range(4)]

    assert [item and item["content"] for item in popped] == ["c", "b", "a", None]
    assert store.statistics(KEY) == MemoryStatistics()


def test_what_is_left_after_a_pop_is_counted(store: AgentSessionStore) -> None:
    store.append(KEY, said("a", "b"))
    before = store.statistics(KEY)

    store.pop_item(KEY)

    after = store.statistics(KEY)
    assert (after.turns, after.items) == (1, 1)
    assert after.bytes < before.bytes


def test_popping_leaves_open_turns_alone(store: AgentSessionStore) -> None:
    store.append(KEY, said("a"))
    store.record(KEY, numbered(2), 1, "0", {"output": []})

    assert store.pop_item(KEY) == {"role": "user", "content": "a"}
    assert store.pop_item(KEY) is None
    assert store.claim(KEY, numbered(2), 2).records == {"0": {"output": []}}


def test_pops_at_once_take_each_item_once(store: AgentSessionStore) -> None:
    for n in range(5):
        store.append(KEY, said(f"{n}a", f"{n}b", f"{n}c"))

    with ThreadPoolExecutor(4) as threads:
        popped = list(threads.map(lambda _: store.pop_item(KEY), range(20)))

    taken = sorted(item["content"] for item in popped if item)
    assert taken == sorted(f"{n}{letter}" for n in range(5) for letter in "abc")


def test_pops_and_appends_at_once_lose_nothing(store: AgentSessionStore) -> None:
    with ThreadPoolExecutor(6) as threads:
        appends = [threads.submit(store.append, KEY, said(f"{n}a", f"{n}b")) for n in range(15)]
        pops = [threads.submit(store.pop_item, KEY) for _ in range(15)]
    taken = [item["content"] for pop in pops if (item := pop.result())]

    assert all(append.result() for append in appends)
    everything = sorted(f"{n}{letter}" for n in range(15) for letter in "ab")
    assert sorted(taken + contents(store)) == everything


def test_forgetting_before_a_turn_removes_open_and_finished_ones(store: AgentSessionStore) -> None:
    store.finish(KEY, numbered(1), 1, said("a"))
    store.record(KEY, numbered(2), 1, "0", {"output": []})
    store.finish(KEY, numbered(3), 1, said("c"))
    store.record(KEY, numbered(4), 1, "0", {"output": ["kept"]})

    assert store.forget_before(KEY, 3).turns == 2

    assert contents(store) == ["c"]
    assert store.claim(KEY, numbered(2), 2) == ClaimedTurn(None, {})
    assert store.claim(KEY, numbered(4), 2).records == {"0": {"output": ["kept"]}}


@pytest.mark.parametrize(("number", "left"), [(-1, 60), (0, 60), (1, 60), (58, 3), (10**12, 0)])
def test_forgetting_goes_as_far_as_it_is_told(
    store: AgentSessionStore, number: int, left: int
) -> None:
    for n in range(1, 61):
        store.finish(KEY, numbered(n), 1, said(str(n)))

    assert store.forget_before(KEY, number).turns == 60 - left
    assert store.statistics(KEY).turns == left
    assert store.forget_before(KEY, number).turns == 0


def test_forgetting_all_leaves_nothing(store: AgentSessionStore) -> None:
    for n in range(1, 31):
        store.finish(KEY, numbered(n), 1, said(str(n)))
    store.record(KEY, numbered(31), 1, "0", {"output": []})

    assert store.forget(KEY).turns == 31

    assert store.read_newest(KEY, None) == []
    assert store.statistics(KEY) == MemoryStatistics()
    assert store.claim(KEY, numbered(31), 2) == ClaimedTurn(None, {})
    assert store.forget("sdk_never").turns == 0


def test_a_forgotten_turn_can_be_written_anew(store: AgentSessionStore) -> None:
    store.claim(KEY, numbered(1), 5)
    store.forget(KEY)

    store.finish(KEY, numbered(1), 1, said("again"))

    assert contents(store) == ["again"]


def test_of_a_claim_and_a_finish_at_once_one_wins(store: AgentSessionStore) -> None:
    def finish(number: int) -> bool:
        try:
            store.finish(KEY, numbered(number), 1, said(str(number)))
        except Fenced:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        finished = [threads.submit(finish, number) for number in range(1, 31)]
        claimed = [threads.submit(store.claim, KEY, numbered(number), 2) for number in range(1, 31)]

    for mine, theirs in zip(finished, claimed, strict=True):
        assert mine.result() == (theirs.result().done is not None)
