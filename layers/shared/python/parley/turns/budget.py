"""What a turn may spend on the model: an amount is held before each call, and settled after it.

What calls of earlier attempts came to stands in their records, and counts as if this attempt had
made them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from parley.errors import ParleyError
from parley.repository.fair_use import in_money
from parley.repository.turns import Known, spent_of, tokens_of
from parley.usage.tokens import Tokens
from parley.usage.told import dollars


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


class UnknownPrice(ParleyError):
    """What calls cost is bounded, and what the next one would cost is not known.

    Attributes:
        model: The model's name.
    """

    def __init__(self, model: str) -> None:
        super().__init__(f"the model {model} has no price")
        self.model = model


@dataclass(frozen=True, slots=True)
class TurnBudget:
    """What one turn may spend over all its attempts; 0 is no limit.

    Attributes:
        model_calls: Calls of the model, those of agents inside tools among them, and each try of
            one that failed.
        tokens: Tokens that are sent and received.
        usd: What the calls cost, in nanodollars.
        answer_tokens: What an answer is taken to come to beforehand, where the agent sets no
            `max_tokens`; and after it, where the server does not tell.
    """

    model_calls: int = 0
    tokens: int = 0
    answer_tokens: int = 4_096
    usd: int = 0


class TurnSpending:
    """What a turn has spent and holds. For the one thread that its model is asked in."""

    def __init__(self, budget: TurnBudget) -> None:
        """Begin with nothing spent."""
        self._budget = budget
        self._calls = 0
        self._tokens = 0
        self._calls_held = 0
        self._tokens_held = 0
        self._cost = 0
        self._cost_held = 0
        self._kept = (0, 0)

    def expected(self, sent_bytes: int, answer_tokens: int | None) -> Tokens:
        """Return what a call is taken to come to before it is made.

        Args:
            sent_bytes: How large its request is.
            answer_tokens: The most that its answer may have, where that is known.
        """
        answer = answer_tokens or self._budget.answer_tokens
        return Tokens(input=tokens_of(sent_bytes), output=answer)

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters for the turn what a call is taken to come to."""
        return self._budget.tokens > 0 or self.counts_money

    @property
    def counts_money(self) -> bool:
        """Whether it matters for the turn what a call costs."""
        return self._budget.usd > 0

    @property
    def cost(self) -> int:
        """What calls cost that are over, in nanodollars, as far as it was counted."""
        return self._cost

    @property
    def cost_held(self) -> int:
        """What calls are expected to cost that are made now."""
        return self._cost_held

    @property
    def tokens(self) -> int:
        """What calls took that are over, as far as it was counted."""
        return self._tokens

    @property
    def tokens_held(self) -> int:
        """What calls are expected to take that are made now."""
        return self._tokens_held

    @contextmanager
    def held(self, tokens: int, cost: int = 0) -> Iterator[None]:
        """Hold what a call is taken to come to until it is over.

        Args:
            tokens: How many.
            cost: In nanodollars.

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
        taken, most = self._cost + self._cost_held, self._budget.usd
        if most and taken + cost > most:
            detail = (
                f"The turn may cost {dollars(most)} US dollars and has cost {dollars(taken)}; the"
                f" next call of the model was expected to cost {dollars(cost)}."
            )
            raise BudgetExceeded("turn_max_usd", detail)
        self._calls_held += 1
        self._tokens_held += tokens
        self._cost_held += cost
        try:
            yield
        finally:
            self._calls_held -= 1
            self._tokens_held -= tokens
            self._cost_held -= cost

    @property
    def known(self) -> Known:
        """What is known of the calls, for who lets the turn go."""
        kept, kept_cost = self._kept
        return Known(kept, kept_cost, self._tokens - kept, self._cost - kept_cost)

    def keep(self, tokens: int, cost: int) -> None:
        """Take what calls came to that are recorded now, for the next attempt too."""
        self._kept = (self._kept[0] + tokens, self._kept[1] + cost)

    def settle(
        self, usage: Mapping[str, Any] | None, tokens: int, cost: int = 0
    ) -> tuple[int, int]:
        """Count a call that is over, of this attempt or an earlier one.

        Args:
            usage: What the server told of it; None or zeros where it told nothing.
            tokens: What it was taken to come to, which counts then.
            cost: What it was taken to cost, in nanodollars, which counts where that is not known.

        Returns:
            The tokens and the nanodollars that count.
        """
        told = 0 if usage is None else usage["input_tokens"] + usage["output_tokens"]
        priced = None if usage is None else usage.get("spent", {}).get("cost")
        if usage is not None and spent_of(usage).uncounted:
            told = max(told, tokens)  # of one half nothing was told
        took, costs = told or tokens, cost if priced is None else priced
        self._calls += 1
        self._tokens += took
        self._cost += costs
        return took, costs


class NoRoom(Protocol):
    """A budget that has no room, as `Reached` and `LimitReached` tell of it."""

    @property
    def limit(self) -> str:
        """Its setting, in small letters."""

    @property
    def most(self) -> int:
        """What may be spent, in tokens or nanodollars."""

    @property
    def renews(self) -> float | None:
        """In how many seconds there is room again; None if never."""

    @property
    def used(self) -> int | None:
        """What is spent or held."""

    @property
    def held(self) -> int:
        """What of that is only held, for calls that are not over."""

    @property
    def expected(self) -> int:
        """What there was no room for; 0 if that is not known."""

    @property
    def renews_at(self) -> datetime | None:
        """When it begins anew."""


def no_room(budget: NoRoom) -> str:
    """Say which budget has no room, for how much, and what has to happen before it has."""
    whose = "You may" if budget.limit.startswith("user_") else "All users together may"
    period = budget.limit.rsplit("_", 1)[-1]
    tell: Callable[[int], str] = dollars if in_money(budget.limit) else str
    unit = "US dollars" if in_money(budget.limit) else "tokens"
    may = f"{whose} spend {tell(budget.most)} {unit} a {period}"
    if budget.most == 0:
        return f"{may}: nothing, until an administrator allows more."
    next_call = f"the next call of the model was expected to take {tell(budget.expected)}"
    if budget.renews is None:
        return (
            f"{may}, and {next_call}, which never fits: waiting is of no use. Say less, begin a"
            " new session, or have an administrator allow more."
        )
    used = budget.used or 0
    told = [f"{may}; {tell(used - budget.held)} are spent"]
    if budget.held:
        told[0] += f" and {tell(budget.held)} are held for calls that are not over"
    if budget.expected:
        told.append(next_call)
    only_held = budget.held > 0 and used - budget.held + budget.expected <= budget.most
    told.append("what they do not take comes back" if only_held else renewed(budget.renews_at))
    return "; ".join(told) + "."


def renewed(at: datetime | None) -> str:
    """Say when a budget of a day or a month begins anew."""
    if at is None:
        return "it does not renew by itself"
    return f"the next begins at {at.astimezone(UTC).isoformat(timespec='minutes')}"
