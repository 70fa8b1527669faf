"""What a server tells of a call's tokens, on its way past the SDK.

The SDK's own account of them knows no unknown: what a server did not tell is 0 there. The reader of
the wire tells it here, and whoever asked for the call hears it.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from agents import Usage

from parley.usage.tokens import Tokens


@dataclass(slots=True)
class Heard:
    """What was told during one call.

    Attributes:
        answered: Whether an answer came in, with tokens or without.
        tokens: What was told last; a stream's chunks tell each what it has come to so far.
    """

    answered: bool = False
    tokens: Tokens | None = None

    def answer(self, usage: Usage) -> None:
        """Take the SDK's own account where no server's answer was heard, as of a stand-in."""
        if self.answered:
            return
        sent, made = usage.input_tokens_details, usage.output_tokens_details
        self.tokens = Tokens.told(
            usage.input_tokens,
            usage.output_tokens,
            cached=sent.cached_tokens,
            cache_write=getattr(sent, "cache_write_tokens", None),
            reasoning=made.reasoning_tokens,
        )

    def of_failure(self, billed: Mapping[str, int] | None) -> Tokens | None:
        """Return the tokens of an answer that was of no use; None if nobody told any.

        Args:
            billed: What is known of them without having heard: by the SDK's account, which has 0
                for what a server that was heard did not tell.
        """
        if self.answered or billed is None:
            return self.tokens
        return Tokens(input=billed["input_tokens"], output=billed["output_tokens"])


_heard: ContextVar[Heard | None] = ContextVar("parley_heard", default=None)


@contextmanager
def hearing(heard: Heard) -> Iterator[None]:
    """Hear what is told inside the block, and in what is started there."""
    before = _heard.set(heard)
    try:
        yield
    finally:
        _heard.reset(before)


def tell_tokens(tokens: Tokens | None) -> None:
    """Tell what an answer, or a part of it, says of tokens; None if it says nothing."""
    heard = _heard.get()
    if heard is None:
        return
    heard.answered = True
    if tokens is not None and (tokens.are_counted or heard.tokens is None):
        heard.tokens = tokens
