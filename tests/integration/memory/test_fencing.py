"""An attempt that was replaced can write nothing any more, in either store."""

from __future__ import annotations

from typing import Any

import pytest

from parley.errors import Fenced
from parley.memory.store import AgentSessionStore, ClaimedTurn, TurnMemory
from parley_testing.stores.turn_keys import numbered

KEY = "user_ada_conv_1"
FIRST = {"output": [{"type": "message", "text": "first"}], "usage": {"total_tokens": 3}}
SECOND = {"output": [{"type": "message", "text": "second"}]}
MEMORY = TurnMemory([{"role": "user", "content": "hello"}], reply="hi")
OTHER = TurnMemory([{"role": "user", "content": "hello"}], reply="other")


def test_the_first_attempt_needs_no_claim(store: AgentSessionStore) -> None:
    store.record(KEY, numbered(1), 1, "0", FIRST)
    store.record(KEY, numbered(1), 1, "1", SECOND)

    assert store.claim(KEY, numbered(1), 2) == ClaimedTurn(None, {"0": FIRST, "1": SECOND})


def test_the_first_attempt_may_finish_without_a_record(store: AgentSessionStore) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)

    assert store.read(KEY, [numbered(1)])[0].memory == MEMORY


def test_recording_a_position_again_replaces_it(store: AgentSessionStore) -> None:
    store.record(KEY, numbered(1), 1, "0", FIRST)
    store.record(KEY, numbered(1), 1, "0", SECOND)

    assert store.claim(KEY, numbered(1), 2).records == {"0": SECOND}


def test_any_text_can_be_a_position(store: AgentSessionStore) -> None:
    positions = ["0", "call_0/0", "call_a/call_b/12", "a.b[0]", "Ä #:n", "0 "]
    for position in positions:
        store.record(KEY, numbered(1), 1, position, {"at": position})

    records = store.claim(KEY, numbered(1), 2).records

    assert records == {position: {"at": position} for position in positions}


def test_claiming_creates_and_so_fences_a_first_attempt_that_never_wrote(
    store: AgentSessionStore,
) -> None:
    assert store.claim(KEY, numbered(1), 2) == ClaimedTurn(None, {})

    with pytest.raises(Fenced) as fenced:
        store.record(KEY, numbered(1), 1, "0", FIRST)
    assert (fenced.value.number, fenced.value.attempt) == (1, 1)
    with pytest.raises(Fenced):
        store.finish(KEY, numbered(1), 1, MEMORY)
    assert store.read_newest(KEY, None) == []
    assert store.claim(KEY, numbered(1), 2).records == {}


def test_a_replaced_attempt_changes_nothing(store: AgentSessionStore) -> None:
    store.record(KEY, numbered(1), 1, "0", FIRST)
    store.claim(KEY, numbered(1), 2)

    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 1, "0", SECOND)
    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 1, "1", SECOND)
    with pytest.raises(Fenced):
        store.finish(KEY, numbered(1), 1, MEMORY)
    with pytest.raises(Fenced):
        store.claim(KEY, numbered(1), 1)

    assert store.claim(KEY, numbered(1), 2) == ClaimedTurn(None, {"0": FIRST})


def test_an_attempt_that_claimed_nothing_may_not_write_over_an_earlier_one(
    store: AgentSessionStore,
) -> None:
    store.record(KEY, numbered(1), 1, "0", FIRST)

    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 2, "0", SECOND)
    with pytest.raises(Fenced):
        store.finish(KEY, numbered(1), 2, MEMORY)


def test_the_claiming_attempt_goes_on_where_the_last_one_stopped(store: AgentSessionStore) -> None:
    store.record(KEY, numbered(1), 1, "0", FIRST)
    store.claim(KEY, numbered(1), 2)
    store.record(KEY, numbered(1), 2, "1", SECOND)

    assert store.claim(KEY, numbered(1), 5).records == {"0": FIRST, "1": SECOND}
    store.finish(KEY, numbered(1), 5, MEMORY)
    (turn,) = store.read_newest(KEY, None)
    assert (turn.attempt, turn.memory) == (5, MEMORY)


def test_claiming_twice_is_harmless(store: AgentSessionStore) -> None:
    store.record(KEY, numbered(1), 1, "0", FIRST)

    assert (
        store.claim(KEY, numbered(1), 2)
        == store.claim(KEY, numbered(1), 2)
        == ClaimedTurn(None, {"0": FIRST})
    )


def test_a_finished_turn_takes_no_more_records(store: AgentSessionStore) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)

    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 1, "0", FIRST)
    assert store.read(KEY, [numbered(1)])[0].memory == MEMORY


def test_a_finished_turn_is_given_back_to_who_claims_it_and_stays_finished(
    store: AgentSessionStore,
) -> None:
    store.record(KEY, numbered(1), 1, "0", FIRST)
    store.finish(KEY, numbered(1), 1, MEMORY)

    claimed = store.claim(KEY, numbered(1), 2)

    assert claimed.done is not None
    assert (claimed.done.number, claimed.done.attempt, claimed.done.memory) == (1, 2, MEMORY)
    assert claimed.records == {}
    assert store.read(KEY, [numbered(1)]) == [claimed.done]
    with pytest.raises(Fenced):
        store.finish(KEY, numbered(1), 1, OTHER)
    with pytest.raises(Fenced):
        store.record(KEY, numbered(1), 2, "0", FIRST)
    assert store.read(KEY, [numbered(1)]) == [claimed.done]


def test_finishing_again_with_the_same_attempt_replaces(store: AgentSessionStore) -> None:
    store.finish(KEY, numbered(1), 1, MEMORY)
    store.finish(KEY, numbered(1), 1, OTHER)

    assert [turn.memory for turn in store.read_newest(KEY, None)] == [OTHER]


def test_finishing_drops_the_records(store: AgentSessionStore, damage: Any) -> None:
    store.record(KEY, numbered(1), 1, "0", FIRST)
    store.record(KEY, numbered(1), 1, "call_0/0", FIRST)
    store.record(KEY, numbered(2), 1, "0", SECOND)
    assert damage.positions(KEY, 1) == ["0", "call_0/0"]

    store.finish(KEY, numbered(1), 1, MEMORY)

    assert damage.positions(KEY, 1) == []
    assert damage.positions(KEY, 2) == ["0"]


def test_a_turns_fence_is_its_own(store: AgentSessionStore) -> None:
    store.claim(KEY, numbered(1), 2)

    store.record(KEY, numbered(2), 1, "0", FIRST)
    store.record("user_eve_conv_1", numbered(1), 1, "0", SECOND)

    assert store.claim(KEY, numbered(1), 2).records == {}
    assert store.claim(KEY, numbered(2), 2).records == {"0": FIRST}
