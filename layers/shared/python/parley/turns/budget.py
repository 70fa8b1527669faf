"""What a turn may spend on the model: an amount is held before each call, and settled after it.

What calls of earlier attempts came to stands in their records, and counts as if this attempt had
made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from parley.errors import ParleyError
from parley.repository.turns import tokens_of


class BudgetExceeded(ParleyError):
    """The next call of the model would take more than may be spent.

    Attributes:
        limit: The limit's setting, in small letters.
        detail: A sentence for people, with what was used.
    """

    def __init__(self, limit: str, detail: str) -> None:
        super().__init__(detail)
        self.limit = limit
        self.detail = detail


@dataclass(frozen=True, slots=True)
class TurnBudget:
    """What one turn may spend over all its attempts; 0 is no limit.

    Attributes:
        model_calls: Calls of the model, those of agents inside tools among them, and each try of
            one that failed.
        tokens: Tokens that are sent and received.
        answer_tokens: What an answer is taken to come to beforehand, where the agent sets no
            `max_tokens`; and after it, where the server does not tell.
    """

    model_calls: int = 0
    tokens: int = 0
    answer_tokens: int = 4_096


class TurnSpending:
    """What a turn has spent and holds. For the one thread that its model is asked in."""

    def __init__(self, budget: TurnBudget) -> None:
        """Begin with nothing spent."""
        self._budget = budget
        self._calls = 0
        self._tokens = 0
        self._calls_held = 0
        self._tokens_held = 0

    def expected(self, sent_bytes: int, answer_tokens: int | None) -> int:
        """Return how many tokens a call is taken to come to before it is made.

        Args:
            sent_bytes: How large its request is.
            answer_tokens: The most that its answer may have, where that is known.
        """
        return tokens_of(sent_bytes) + (answer_tokens or self._budget.answer_tokens)

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters for the turn how many tokens a call is taken to come to."""
        return self._budget.tokens > 0

    @property
    def tokens(self) -> int:
        """What calls took that are over, as far as it was counted."""
        return self._tokens

    @property
    def tokens_held(self) -> int:
        """What calls are expected to take that are made now."""
        return self._tokens_held

    @contextmanager
    def held(self, tokens: int) -> Iterator[None]:
        """Hold what a call is taken to come to until it is over.

        Raises:
            BudgetExceeded: There is not so much left beside what other calls hold.
        """
        calls, most = self._calls + self._calls_held, self._budget.model_calls
        if most and calls >= most:
            detail = f"The turn may ask the model {most} times, and has done so."
            raise BudgetExceeded("turn_max_model_calls", detail)
        taken, most = self._tokens + self._tokens_held, self._budget.tokens
        if most and taken + tokens > most:
            detail = (
                f"The turn may take {most} tokens and has taken {taken}; the next call of the"
                f" model was expected to take {tokens}."
            )
            raise BudgetExceeded("turn_max_tokens", detail)
        self._calls_held += 1
        self._tokens_held += tokens
        try:
            yield
        finally:
            self._calls_held -= 1
            self._tokens_held -= tokens

    def settle(self, usage: Mapping[str, int] | None, tokens: int) -> None:
        """Count a call that is over, of this attempt or an earlier one.

        Args:
            usage: What the server told of it; None or zeros where it told nothing.
            tokens: What it was taken to come to, which counts then.
        """
        told = 0 if usage is None else usage["input_tokens"] + usage["output_tokens"]
        self._calls += 1
        self._tokens += told or tokens


def renewed(at: datetime | None) -> str:
    """Say when a budget of a day or a month begins anew."""
    if at is None:
        return "it does not renew by itself"
    return f"the next begins at {at.astimezone(UTC).isoformat(timespec='minutes')}"
