"""How many tokens a call of a model took, as far as its server tells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

COUNT_MAX = 2**31 - 1
"""The most that a count may be: Postgres's `integer`. No model takes so many tokens in one call."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one call. None stands for what the server did not tell, or cannot have meant.

    Attributes:
        input: All that the model was sent, the cached ones among them.
        cached: Those of the input that the server had in its cache.
        cache_write: Those of the input that it put there, where it tells: some charge more for it.
        output: All that the model made, its reasoning included.
        reasoning: Those of the output that nobody sees.
    """

    input: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None

    @classmethod
    def told(
        cls,
        input: Any,
        output: Any,
        *,
        cached: Any = None,
        cache_write: Any = None,
        reasoning: Any = None,
        total: Any = None,
    ) -> Self:
        """Make the tokens of what a server told, which may be anything.

        Some servers count apart what OpenAI's counts within: the cached tokens beside the input,
        the reasoning beside the output. What shows that they do is put together.
        """
        sent, made = count(input), count(output)
        hit, thought, both = count(cached), count(reasoning), count(total)
        if sent is not None and hit is not None and hit > sent:
            sent = count(sent + hit)
        if sent is not None and made is not None and both is not None and both > sent + made:
            made = both - sent
        if made is not None and thought is not None and thought > made:
            made = count(made + thought)
        return cls(sent, hit, count(cache_write), made, thought)

    @property
    def are_counted(self) -> bool:
        """Whether it is known how many tokens went in and came out."""
        return self.input is not None and self.output is not None


def count(value: Any) -> int | None:
    """Return a number of tokens, rounded up; None if it is none.

    Nothing, text, a negative number and more than a call can take are none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return math.ceil(value) if 0 <= value <= COUNT_MAX else None
