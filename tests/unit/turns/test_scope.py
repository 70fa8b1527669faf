"""Where in a turn the caller stands."""

from __future__ import annotations

import asyncio

import pytest

from parley.turns.scope import enclosing_call, inside, inside_call, path


def test_places_stand_inside_each_other_and_end() -> None:
    with inside_call("outer"), inside("guardrail words/0"), inside_call("inner"):
        deepest = path()

    assert deepest == ("outer", "guardrail words/0", "inner")
    assert path() == ()


def test_a_place_that_is_no_call_leaves_the_call_around_it() -> None:
    calls = [enclosing_call()]
    with inside_call("outer"):
        with inside("run 1"):
            calls.append(enclosing_call())
        with inside_call("inner"):
            calls.append(enclosing_call())
        calls.append(enclosing_call())

    assert calls == [None, "outer", "inner", "outer"]


async def test_calls_that_are_made_at_once_do_not_stand_inside_each_other() -> None:
    met = asyncio.Barrier(2)

    async def make(call_id: str) -> tuple[str, ...]:
        with inside_call(call_id):
            await met.wait()
            return path()

    a, b = await asyncio.gather(make("a"), make("b"))

    assert (a, b) == (("a",), ("b",))


async def test_a_thread_that_a_call_starts_stands_inside_it() -> None:
    with inside_call("a"):
        stands = await asyncio.to_thread(lambda: (path(), enclosing_call()))

    assert stands == (("a",), "a")


def test_a_call_that_fails_is_left() -> None:
    with pytest.raises(ZeroDivisionError), inside_call("a"):
        raise ZeroDivisionError

    assert (path(), enclosing_call()) == ((), None)
