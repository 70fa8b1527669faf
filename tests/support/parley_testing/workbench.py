"""The parts that carry out a turn, around a model and an agent of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

from agents import Agent, ModelProvider, ModelSettings

from parley.agents import registry
from parley.events.fanout import FanOut
from parley.events.log import EventLog
from parley.fingerprints import fingerprint
from parley.ids import conversation_key, new_id
from parley.memory.store import SUMMARIES_KEPT, AgentSessionStore
from parley.memory.window import LOW_MARK_PERCENT, vouched_turns
from parley.repository.database import Database
from parley.repository.fair_use import UNBOUNDED, UNLIMITED, FairUse, UserBudget
from parley.repository.sessions import SessionRepository
from parley.repository.streams import StreamPlaces
from parley.repository.summaries import SummaryRepository
from parley.repository.tool_calls import ToolCallRepository
from parley.repository.transcript import Transcript
from parley.repository.turns import Begun, NewSession, RunningTurn, TurnRepository, TurnRequest
from parley.runner.agent_run import AgentRunner
from parley.runner.brought_models import AskedModel, Asking
from parley.runner.execute import Limits, TurnExecutor
from parley.runner.summaries import INPUT_BYTES, Summariser, SummaryModel
from parley.turns.budget import TurnBudget
from parley.turns.cancel import Cancellation, Canceller
from parley.turns.caps import Caps, ServerLimits
from parley.turns.context import TurnContext
from parley.turns.send import Sender, Sent
from parley.turns.wakeup import Waker
from parley.turns.worker import SessionWorker
from parley.usage.prices import Prices
from parley.wake_queue import WakeQueue
from parley_testing.models.scripted import Script, ScriptedProvider
from parley_testing.waiting import HANG_SECONDS

SUMMARIES = "summaries"
"""The name of the model that a workbench's summaries are asked of."""


class WatchedStore:
    """An agent-session store that keeps what is called, and can do something before a call.

    Attributes:
        calls: The names of the methods called so far.
        before: What is done first when a method is called, by its name; it may raise.
    """

    def __init__(self, store: AgentSessionStore) -> None:
        self._store = store
        self.calls: list[str] = []
        self.before: dict[str, Callable[[], object]] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def called(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            if name in self.before:
                self.before[name]()
            return method(*arguments, **named)

        return called


class Workbench:
    """One process's parts: as many as a test wants may share a database and a store.

    Attributes:
        agent: Who answers; the registry's own if None.
    """

    def __init__(
        self,
        database: Database,
        store: AgentSessionStore,
        script: Script,
        *,
        agent: Agent[TurnContext] | None = None,
        memory_items: int = 200,
        crashes: int = 3,
        turn_seconds: float = HANG_SECONDS,
        events: EventLog | None = None,
        wake_queue: WakeQueue | None = None,
        provider: ModelProvider | None = None,
        context: Callable[[TurnContext], Any] = lambda turn: turn,
        memory_bytes: int = 1_000_000,
        memory_low_mark: int = LOW_MARK_PERCENT,
        caps: Caps | None = None,
        summarised: bool = False,
        summary_bytes: int = INPUT_BYTES,
        summaries_at_once: int = 0,
        fair_use: FairUse = UNLIMITED,
        budget: TurnBudget | None = None,
        user_budget: UserBudget = UNBOUNDED,
        servers: ServerLimits | None = None,
        prices: Prices | None = None,
        asking: Asking = AskedModel,
    ) -> None:
        self.agent = agent
        self.database = database
        self.watched = WatchedStore(store)
        self.store = cast("AgentSessionStore", self.watched)
        self.model = ScriptedProvider(script)
        window = vouched_turns(memory_items)
        read = window + SUMMARIES_KEPT
        agents = ["todo"] if summarised else []
        self.turns = TurnRepository(database, window=window, fair_use=fair_use, budget=user_budget)
        self.sessions = SessionRepository(database)
        self.transcript = Transcript(database)
        self.places = StreamPlaces(database, fair_use.streams)
        self.tool_calls = ToolCallRepository(database)
        self.fanout = FanOut()
        self.waker = Waker(wake_queue)
        open_log = None if events is None else lambda: events
        self.executor = TurnExecutor(
            database=database,
            turns=self.turns,
            transcript=self.transcript,
            tool_calls=self.tool_calls,
            store=self.store,
            load_agent=lambda name: self.agent or registry.load(name),
            runner=AgentRunner(
                lambda _: provider or self.model, lambda _: prices or Prices(), asking
            ),
            limits=Limits(
                turn_seconds,
                crashes,
                memory_items,
                memory_bytes,
                memory_low_mark,
                caps or Caps(),
                budget or TurnBudget(),
                user_budget,
                servers or ServerLimits(),
            ),
            make_context=lambda _, turn: context(turn),
            waker=self.waker,
            open_log=open_log,
            fanout=self.fanout,
            summaries=SummaryRepository(database, user_budget, summaries_at_once),
            summarised=agents,
        )
        self.summaries = SummaryRepository(database, user_budget, summaries_at_once)
        self.summariser = Summariser(
            self.summaries,
            self.transcript,
            self.store,
            lambda _: SummaryModel(
                self.model.get_model(SUMMARIES), ModelSettings(), prices or Prices()
            ),
            agents,
            self.waker,
            summary_bytes,
        )
        self.sender = Sender(
            self.turns,
            self.transcript,
            self.store,
            self.executor,
            read,
            self.waker,
            memory_bytes,
        )
        self.session_worker = SessionWorker(
            self.turns, self.store, self.executor, read, self.waker, memory_bytes
        )
        self.canceller = Canceller(
            database,
            self.turns,
            self.transcript,
            self.tool_calls,
            lambda: self.store,
            self.waker,
            open_log,
        )

    def new_session(self, user: str = "alice", agent: str = "todo") -> UUID:
        """Make a session and give its id."""
        session, _ = self.sessions.create(
            new_id(),
            user,
            agent=agent,
            name=None,
            platform="api",
            metadata={},
            idempotency_key=None,
            fingerprint=b"",
        )
        return session.id

    def begin(self, session_id: UUID, text: str = "hello", **fields: Any) -> RunningTurn:
        """Begin a turn that nobody carries out."""
        begun = self.turns.begin(request(session_id, text, **fields))
        assert begun.turn is not None, begun
        return begun.turn

    async def send(
        self, session_id: UUID, text: str = "hello", *, seconds: float = HANG_SECONDS, **fields: Any
    ) -> Sent:
        """Send a message and wait for its reply."""
        sent = await self.sender.send(request(session_id, text, **fields), seconds=seconds)
        assert isinstance(sent, Sent), sent
        return sent

    async def summarise(self, session_id: UUID) -> bool | None:
        """Make the session's next summary; tell whether it counts, None if none was to be made."""
        making = await self.summariser.take(session_id)
        return None if making is None else await self.summariser.make(making, seconds=HANG_SECONDS)

    async def cancel(self, turn: RunningTurn) -> Cancellation:
        """Cancel a turn, as its user."""
        return await self.canceller.cancel(turn.user_id, turn.session_id, turn.id)

    async def execute(
        self, turn: RunningTurn, *, seconds: float = HANG_SECONDS, logged: bool = False
    ) -> Any:
        """Carry out a turn that was begun."""

        async def read() -> Any:
            return self.store.read_newest(conversation_key(turn.user_id, turn.session_id), 100)

        return await self.executor.execute(turn, read(), seconds=seconds, logged=logged)


def request(
    session_id: UUID,
    text: str = "hello",
    *,
    user: str = "alice",
    key: str | None = None,
    opens: NewSession | None = None,
) -> TurnRequest:
    """Make a request for a turn, with ids of its own."""
    return TurnRequest(
        user_id=user,
        session_id=session_id,
        turn_id=new_id(),
        message_id=new_id(),
        text=text,
        idempotency_key=key,
        fingerprint=fingerprint(
            "message", session_id=session_id if opens is None else "", text=text
        ),
        opens=opens,
    )


def held(begun: Begun) -> RunningTurn:
    """Return the turn that a begin got hold of."""
    assert begun.turn is not None, begun
    return begun.turn
