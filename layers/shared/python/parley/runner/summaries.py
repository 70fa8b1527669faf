"""Making summaries: what a session's window has left behind, told by a model.

A worker does it after a turn, so that nobody waits for it, and a turn never fails of it: until
there is one, the agent is shown its window without. Turn-protocol, section 3b has the rules.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import ceil
from typing import Any
from uuid import UUID

from agents import Model, ModelSettings
from agents.models.interface import ModelTracing

from parley.errors import Fenced, ParleyError, StoreUnavailable
from parley.failpoints import failpoint
from parley.ids import Voucher, conversation_key
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.memory.summary import summary_memory, text_of
from parley.observability import log_keys, logger, summary_ended, traced
from parley.project_variables import renew_environment, secrets_are_old
from parley.repository.summaries import NoPlace, SummaryRepository, Taken
from parley.repository.transcript import Transcript
from parley.repository.turns import ModelStep, Usage, tokens_of
from parley.runner.brought_models import name_of
from parley.runner.model_answer import recorded
from parley.runner.model_faults import billed, fault_of, no_answer
from parley.runner.model_retry import asked
from parley.runner.summary_prompt import INSTRUCTIONS, question
from parley.runner.told_tokens import Heard, hearing
from parley.store_threads import begin_call
from parley.text import storable
from parley.threads import in_thread, in_thread_with_retry
from parley.timing import LONGEST_DELAY_SECONDS, SUMMARY_LEASE_SECONDS, SUMMARY_SECONDS
from parley.tracing import subsegment
from parley.turns.budget import UnknownPrice
from parley.turns.finalize import usage_of
from parley.turns.wakeup import Waker
from parley.usage.prices import Prices
from parley.usage.spent import Spent
from parley.usage.tokens import Tokens

INPUT_BYTES = 200_000
"""How much text one summary takes in at most; a longer past is taken in by several."""

LEAST_INPUT_BYTES = 4_000
"""How much a model must be able to take in; if that is too long for it, no summary is made."""

_MARGIN_SECONDS = 15


@dataclass(frozen=True, slots=True)
class SummaryModel:
    """Who is asked for an agent's summaries.

    Attributes:
        model: The model.
        settings: What it is asked with.
        prices: What it costs.
        called: What it is called; as it says itself if empty.
    """

    model: Model
    settings: ModelSettings
    prices: Prices = field(default_factory=Prices)
    called: str = ""

    @property
    def name(self) -> str:
        """What the model is called."""
        return storable(self.called or name_of(self.model))

    def spent(self, tokens: Tokens) -> Spent:
        """Return what a call came to."""
        return Spent.on_call(self.name, tokens, self.prices.cost(self.name, tokens))


class Making:
    """A summary in the making, for one process.

    Attributes:
        taken: Which.
        usage: What it has come to so far, also of what came to nothing.
        is_left: Whether it is in the agent-session store, with its usage.
    """

    def __init__(self, taken: Taken, held_until: float) -> None:
        """Hold a summary until a moment of the wall clock, which goes on in a frozen process."""
        self.taken = taken
        self.usage = Usage()
        self.is_left = False
        self._untold = 0
        self._held_until = held_until

    @property
    def conversation(self) -> str:
        """The key of the session's memory."""
        return conversation_key(self.taken.user_id, self.taken.session_id)

    def check(self) -> None:
        """Raise `Fenced` if somebody else may hold it by now."""
        if time.time() > self._held_until:
            raise Fenced(self.taken.to, self.taken.attempt)

    def count(self, spent: Spent, expected: int = 0) -> None:
        """Add what a call came to; so many tokens as are `expected`, where its server told none."""
        self.usage = self.usage.plus(spent)
        if spent.uncounted:
            self._untold += expected

    @property
    def spent(self) -> tuple[int, int]:
        """The tokens and the nanodollars that count for budgets."""
        told = self.usage.input_tokens + self.usage.output_tokens
        return told + self._untold, self.usage.in_all.cost or 0

    def add_step(self, step: ModelStep) -> None:
        """Add what became of a call of the model."""
        self.usage = replace(self.usage, steps=(*self.usage.steps, step))


class _Lost(ParleyError):
    """The summary before is not in the store: the next one begins anew."""

    def __init__(self, voucher: Voucher) -> None:
        super().__init__("the summary before is not there, or cannot be read")
        self.voucher = voucher


@dataclass(frozen=True, slots=True)
class Summariser:
    """Makes summaries.

    Attributes:
        model_of: Gives who is asked for an agent's summaries, by the agent's name.
        agents: Of which agents' sessions summaries are made.
        input_bytes: How much text one takes in at most.
    """

    summaries: SummaryRepository
    transcript: Transcript
    store: AgentSessionStore
    model_of: Callable[[str], SummaryModel]
    agents: Collection[str]
    waker: Waker = field(default_factory=Waker)
    input_bytes: int = INPUT_BYTES

    async def take(self, session_id: UUID) -> Making | None:
        """Take the making of a session's next summary; None if there is none to make.

        Where as many are made as may be at a time, it is left for a while, and a worker woken then.

        Raises:
            StoreUnavailable: Postgres cannot serve now; it may have been taken all the same, for
                as long as a lease.
        """
        if not self.agents:
            return None
        held_until = time.time() + SUMMARY_LEASE_SECONDS - _MARGIN_SECONDS
        taken = await in_thread(
            self.summaries.take, session_id, self.agents, max_bytes=self.input_bytes
        )
        if isinstance(taken, NoPlace):
            logger().info("a summary waits for others", session_id=str(session_id))
            delay = ceil(taken.pause) + 1
            await self.waker.wake(session_id, user_id=taken.user_id, delay=delay)
            return None
        return None if taken is None else Making(taken, held_until)

    async def make(self, making: Making, *, seconds: float) -> bool:
        """Make a summary that was taken, and have it count.

        One that cannot be made is left for a while, longer each time; a worker is woken then if
        the queue can wait for so long, and else by a turn of the session.

        Args:
            making: What was taken.
            seconds: How long this invocation has.

        Returns:
            Whether there is one that counts now.

        Raises:
            StoreUnavailable: Postgres cannot serve now; when the lease is over, it is to be taken
                again.
        """
        log_keys(session_id=str(making.taken.session_id))
        started = time.monotonic()
        outcome = "failed"
        try:
            with subsegment("summary", session_id=str(making.taken.session_id)):
                async with asyncio.timeout(min(seconds, SUMMARY_SECONDS)):
                    memory = await self._memory(making)
            outcome = await self._keep(making, memory)
        except Fenced:
            outcome = "replaced"
            if not making.is_left:  # who finds it counts it
                await self._count(making)
        except _Lost as lost:
            outcome = "lost"
            logger().warning("a summary is made anew from the transcript", reason=str(lost))
            taken = making.taken
            await in_thread(self.summaries.lose, taken.user_id, taken.session_id, lost.voucher)
            await self._wake(taken)
        except Exception as error:
            logger().warning(
                "a summary could not be made", agent=making.taken.agent, **traced(error)
            )
            await self._put_off(making)
        finally:
            await self._leave(making.taken.place)
            summary_ended(
                outcome=outcome,
                agent=making.taken.agent,
                seconds=time.monotonic() - started,
                usage=making.usage,
            )
        return outcome == "made"

    async def _memory(self, making: Making) -> TurnMemory | None:
        """Return the summary, which an earlier attempt may have left; None of no turns."""
        taken = making.taken
        if taken.attempt > 1:
            making.check()
            claimed = await in_thread_with_retry(
                self.store.claim, making.conversation, taken.key, taken.attempt
            )
            left = None if claimed.done is None else claimed.done.memory
            if left is not None and text_of(left) is not None:
                making.usage, making.is_left = usage_of(left), True
                return left
        notes = await self._notes(making)
        if not taken.numbers:
            return None
        if secrets_are_old():
            await begin_call(renew_environment)
        who = self.model_of(taken.agent)
        if taken.counts_money and who.prices.rate(who.name) is None:
            raise UnknownPrice(who.name)
        text = await self._asked(making, who, notes)
        usage = making.usage
        spent = [each.to_json() for each in usage.spent]
        return summary_memory(text, usage.counts(), [*usage.steps], spent)

    async def _notes(self, making: Making) -> str | None:
        """Read the summary before.

        Raises:
            _Lost: There is to be one, and the store has none that can be read.
        """
        before = making.taken.before
        if before is None:
            return None
        for stored in await in_thread_with_retry(
            self.store.read, making.conversation, [before.turn]
        ):
            if stored.attempt == before.attempt and (text := text_of(stored.memory)) is not None:
                return text
        raise _Lost(before)

    async def _asked(self, making: Making, who: SummaryModel, notes: str | None) -> str:
        """Ask the model; with half as much to take in as long as it says that it is too much."""
        max_bytes = self.input_bytes
        while True:
            taken = making.taken
            told = await in_thread_with_retry(
                self.transcript.of_turns,
                taken.user_id,
                taken.session_id,
                taken.numbers,
                max_bytes=2 * self.input_bytes,
            )
            turns = [told[number][0] for number in taken.numbers if number in told]
            try:
                return await self._answer(making, who, question(notes, turns, max_bytes=max_bytes))
            except Exception as error:
                fault = fault_of(error)
                if fault is None or fault.code != "context_overflow":
                    raise
                max_bytes //= 2
                if max_bytes < LEAST_INPUT_BYTES:
                    raise
            making.check()
            narrower = await in_thread(
                self.summaries.take,
                taken.session_id,
                self.agents,
                max_bytes=max_bytes,
                instead=taken,
            )
            if not isinstance(narrower, Taken):
                raise Fenced(taken.to, taken.attempt)
            logger().warning("a summary takes in less, since it was too much", bytes=max_bytes)
            making.taken = narrower

    async def _answer(self, making: Making, who: SummaryModel, asks: str) -> str:
        begun = 0.0
        heard = Heard()

        def ended(error: Exception | None, tokens: Tokens | None) -> None:
            spent = None if tokens is None else who.spent(tokens)
            making.add_step(
                ModelStep(
                    name=who.name,
                    error=None if error is None else type(error).__name__,
                    milliseconds=round((time.monotonic() - begun) * 1000),
                    ended_at=datetime.now(UTC).isoformat(),
                    spent=None if spent is None else spent.to_json(),
                )
            )
            if spent is not None:
                making.count(spent, tokens_of(len(asks.encode()) + len(said.encode())))

        said = ""

        async def once() -> str:
            nonlocal begun, heard, said
            begun, heard = time.monotonic(), Heard()
            failpoint("before a summary's model call")
            making.check()  # nobody pays for an answer that cannot be kept
            with hearing(heard):
                response = await who.model.get_response(
                    INSTRUCTIONS,
                    [{"role": "user", "content": asks}],
                    who.settings,
                    [],
                    None,
                    [],
                    ModelTracing.DISABLED,
                    previous_response_id=None,
                    conversation_id=None,
                    prompt=None,
                )
            heard.answer(response.usage)
            record = recorded(response, set())
            text = said = _said(record["output"])
            if not text:  # a refusal, or a call of a tool that it was not offered
                raise no_answer(record["usage"])
            return text

        def failed(error: Exception) -> None:
            ended(error, heard.of_failure(billed(error)))

        text = await asked(once, who.model, failed, again=True)
        ended(None, heard.tokens or Tokens())
        failpoint("after a summary's model call")
        return text

    async def _keep(self, making: Making, memory: TurnMemory | None) -> str:
        """Record a summary and have it count; tell what came of it."""
        taken = making.taken
        making.check()
        voucher: Voucher | None = taken.before
        if memory is not None:
            voucher = Voucher(taken.key.number, taken.attempt, taken.id)
            if not making.is_left:
                await in_thread_with_retry(
                    self.store.finish, making.conversation, taken.key, taken.attempt, memory
                )
                making.is_left = True
        more = await in_thread(self.summaries.keep, taken, voucher, making.usage, making.spent)
        if more is None:
            if not await self._is_named(making):
                await self._count(making)
            return "replaced"
        kept = [each.turn_id for each in (voucher, taken.before) if each is not None]
        await self._tidy(making, kept)
        if more:
            await self._wake(taken)
        return "made"

    async def _count(self, making: Making) -> None:
        """Count what was paid for a summary that counts for nobody."""
        if making.usage.model_calls == 0:
            return
        try:
            await in_thread(self.summaries.count, making.taken, making.usage, making.spent)
        except StoreUnavailable as error:
            logger().warning("what a summary took is not counted", reason=str(error))

    async def _is_named(self, making: Making) -> bool:
        """Remove what nobody vouches for: the session was cleared or deleted meanwhile.

        Unless somebody else goes on with the same summary, who has a use for it; tell whether.
        """
        taken = making.taken
        named = await in_thread(self.summaries.named, taken.user_id, taken.session_id)
        if named is not None:
            await self._tidy(making, named)
            return taken.id in named
        try:
            await in_thread(self.store.forget, making.conversation)
        except StoreUnavailable as error:
            logger().warning("memory is left to the outbox", reason=str(error))
        return False

    async def _tidy(self, making: Making, keep: Collection[UUID]) -> None:
        """Remove other summaries; what a turn that is under way was told of is kept."""
        try:
            await in_thread(self.store.forget_summaries, making.conversation, keep=keep)
        except StoreUnavailable as error:
            logger().warning("summaries are left to the next one", reason=str(error))

    async def _leave(self, place: UUID | None) -> None:
        if place is None:
            return
        try:
            await in_thread(self.summaries.leave, place)
        except StoreUnavailable as error:  # it is free again when its time is up
            logger().warning("the place of a summary could not be left", reason=str(error))

    async def _put_off(self, making: Making) -> None:
        # What the next attempt finds is counted when that counts.
        usage, spent = (Usage(), (0, 0)) if making.is_left else (making.usage, making.spent)
        put_off = await in_thread(self.summaries.put_off, making.taken, usage, spent)
        if put_off is None:
            if not making.is_left:
                await self._count(making)
            return
        logger().warning(
            "a summary is left for a while",
            agent=making.taken.agent,
            failures=put_off.failures,
            seconds=round(put_off.pause),
        )
        delay = ceil(put_off.pause) + 1
        if delay <= LONGEST_DELAY_SECONDS:
            await self._wake(making.taken, delay=delay)

    async def _wake(self, taken: Taken, *, delay: int = 0) -> None:
        await self.waker.wake(taken.session_id, user_id=taken.user_id, delay=delay)


def _said(output: list[dict[str, Any]]) -> str:
    parts = (
        part
        for item in output
        if item.get("type") == "message"
        for part in item.get("content") or ()
        if part.get("type") == "output_text"
    )
    return "".join(part.get("text") or "" for part in parts).strip()


def plain_settings(own: ModelSettings | None) -> ModelSettings:
    """Return the settings that a summary is asked for with.

    Of an agent's own, what is about its server and about privacy: not what it may call, how long it
    answers or in which tone.
    """
    if own is None:
        return ModelSettings()
    return ModelSettings(
        store=own.store,
        extra_headers=own.extra_headers,
        extra_query=own.extra_query,
        extra_body=own.extra_body,
    )
