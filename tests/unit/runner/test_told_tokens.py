"""What is told of tokens during a call is heard by who made the call, and by nobody else."""

from __future__ import annotations

import asyncio

from parley.runner.told_tokens import Heard, hearing, tell_tokens
from parley.usage.tokens import Tokens

COUNTED = Tokens(input=5, output=3)


def test_without_a_call_nobody_hears() -> None:
    """Given a server that is asked outside of a turn, then nothing happens."""
    tell_tokens(COUNTED)


def test_what_counts_last_is_what_counts() -> None:
    """Given a stream that counts as it goes, then its end is believed, no empty chunk."""
    heard = Heard()

    with hearing(heard):
        tell_tokens(None)
        tell_tokens(Tokens(input=5, output=1))
        tell_tokens(COUNTED)
        tell_tokens(Tokens())
        tell_tokens(None)

    assert heard == Heard(answered=True, tokens=COUNTED)


async def test_calls_beside_each_other_hear_their_own() -> None:
    """Given two calls at a time, then each hears what its own tasks tell."""
    both = asyncio.Barrier(2)

    async def call(tokens: Tokens) -> Heard:
        heard = Heard()
        with hearing(heard):
            await both.wait()
            await asyncio.create_task(asyncio.to_thread(tell_tokens, tokens))
            await both.wait()
        return heard

    first, second = await asyncio.gather(call(COUNTED), call(Tokens(input=1, output=1)))

    assert (first.tokens, second.tokens) == (COUNTED, Tokens(input=1, output=1))
