"""One process's parts: a deployment's own, around a scripted model and the test's agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from agents import Agent
from pydantic import SecretStr

from parley.agents import registry
from parley.composition import Composition
from parley.config import Settings
from parley.errors import AlreadyDecided, TurnFailed
from parley.fingerprints import fingerprint
from parley.ids import TurnKey, conversation_key, new_id
from parley.once import made_once
from parley.repository.approvals import USER, Decision, of_turn
from parley.repository.transcript import TurnView
from parley.repository.turns import TurnRequest
from parley.runner.agent_run import AgentRunner
from parley.testing.database import TestDatabase
from parley.testing.model import ScriptedProvider
from parley.testing.postgres import runtime_url
from parley.testing.recording import Recording
from parley.testing.result import CallDecided, Result, ToolCalled
from parley.testing.script import Asked
from parley.testing.turn import Turn
from parley.turns.context import TurnContext

if TYPE_CHECKING:
    from parley.events.sqlite import SqliteEventLog
    from parley.memory.sqlite import SqliteStore
    from parley.runner.execute import TurnExecutor

_SECONDS = 300.0


@dataclass(frozen=True)
class Sending:
    """The ids of a message, the same however often and by whichever process it is sent."""

    session_id: UUID
    turn_id: UUID
    message_id: UUID


@dataclass(frozen=True)
class Parts(Composition):
    """What a process needs to carry out one turn.

    Attributes:
        url: The database, as its owner has it.
        turn: The turn.
        recording: Keeps what the model is asked.
    """

    url: str
    turn: Turn
    recording: Recording

    @made_once
    def executor(self) -> TurnExecutor:
        """Carries out the turn."""
        made: TurnExecutor = super().executor
        scripted = ScriptedProvider(self.turn.model, self.recording)
        return replace(
            made,
            load_agent=lambda _: self.build_agent(),
            make_context=self._context,
            runner=AgentRunner(lambda _: scripted, asking=scripted.brought),
        )

    def build_agent(self) -> Agent[TurnContext]:
        """Return the agent.

        Raises:
            NotFound: There is none of this name.
            Exception: Whatever building it raises.
        """
        match self.turn.agent:
            case str() as name:
                return registry.load(name)
            case Agent() as agent:
                return agent
            case make:
                return make()

    def _context(self, name: str, context: TurnContext) -> Any:
        if self.turn.context is not None:
            return self.turn.context(context)
        return registry.make_context(name, context) if isinstance(self.turn.agent, str) else context

    def new_session(self) -> UUID:
        """Make a session for the turn and return its id."""
        agent = self.turn.agent if isinstance(self.turn.agent, str) else "tested"
        session, _ = self.sessions.create(
            new_id(),
            self.turn.user,
            agent=agent,
            name=None,
            platform="api",
            metadata={},
            idempotency_key=None,
            fingerprint=b"",
        )
        return session.id

    def carry_out(self, sending: Sending) -> None:
        """Send the message, and have its turn carried out by this process."""
        with suppress(TurnFailed):  # the turn says so itself
            _run(self._send(sending))

    async def _send(self, sending: Sending) -> None:
        turn = self.turn
        request = TurnRequest(
            user_id=turn.user,
            session_id=sending.session_id,
            turn_id=sending.turn_id,
            message_id=sending.message_id,
            text=turn.text,
            idempotency_key=str(sending.turn_id),
            fingerprint=fingerprint("message", session_id=sending.session_id, text=turn.text),
        )
        match turn.mode:
            case "wait":
                await self.sender.send(request, seconds=_SECONDS)
            case "stream":
                opened = await self.sender.open(request, seconds=_SECONDS)
                if opened.work is not None:
                    await opened.work
            case "background":
                await self.sender.queue(request)
                while await self.session_worker.run_next(sending.session_id, seconds=_SECONDS):
                    pass
        if turn.decides is not None:
            await self._decide(sending)

    async def _decide(self, sending: Sending) -> None:
        """Decide on what the turn asks for, and have it carried on, until it asks no more."""
        user = self.turn.user
        while True:
            view = self.transcript.turn(user, sending.session_id, sending.turn_id)
            if view.turn.status != "waiting":
                return
            for asked in view.approvals:
                if asked.is_open:
                    by = user if asked.decider == USER else "decider"
                    status = self._decision(asked.tool, _json(asked.arguments))
                    may = [asked.decider]
                    with suppress(AlreadyDecided):  # by a process that was killed
                        await self.decider.decide(asked.id, status, by=by, may=may)
            while await self.session_worker.run_next(sending.session_id, seconds=_SECONDS):
                pass

    def _decision(self, tool: str, arguments: Any) -> Decision:
        decides = self.turn.decides
        word = decides(tool, arguments) if callable(decides) else decides
        if word not in ("approve", "reject"):
            raise ValueError(f"decides is {word!r}; it is 'approve' or 'reject'")
        return "approved" if word == "approve" else "rejected"

    def result(self, sending: Sending, database: TestDatabase | None = None) -> Result:
        """Read what became of the turn.

        Args:
            sending: Its ids.
            database: Its database, if a connection to it is there already.
        """
        user, session_id = self.turn.user, sending.session_id
        view: TurnView = self.transcript.turn(user, session_id, sending.turn_id)
        page = self.transcript.messages(user, session_id, order="asc", limit=100, cursor=None)
        key = TurnKey(view.turn.number, view.turn.id)
        events = self.events.read(conversation_key(user, session_id), key)
        return Result(
            status=view.turn.status,
            reply=None if view.reply is None else view.reply.content,
            error=view.turn.error_code,
            error_detail=view.turn.error_detail,
            transcript=[(message.role, message.content) for message in page.items],
            tool_calls=_tool_calls(database or TestDatabase(self.url), sending.turn_id),
            asked=[Asked(**asked) for asked in self.recording.read("asked")],
            events=[event.type for event in events],
            session_id=session_id,
            approvals=[
                CallDecided(each.tool, _json(each.arguments), each.status)
                for each in of_turn(self.database, user, sending.turn_id)
            ],
        )

    def close(self) -> None:
        """Close what was opened."""
        self.database.close()
        cast("SqliteStore", self.store).close()
        cast("SqliteEventLog", self.events).close()


@contextmanager
def parts_of(url: str, memory: Path, turn: Turn, recording: Recording) -> Iterator[Parts]:
    """Make the parts of a process for a block; nothing is opened before it is used.

    Args:
        url: The database, as its owner has it.
        memory: The SQLite file with the agent-session memory.
        turn: The turn.
        recording: Keeps what the model is asked.
    """
    with closing(Parts(settings_of(url, memory), url, turn, recording)) as parts:
        yield parts


def settings_of(url: str, memory: Path) -> Settings:
    """Return the settings of a process on a test's database, as the run-time role, and memory."""
    return Settings(
        database_runtime_url=SecretStr(runtime_url(url)),
        agent_session_store="sqlite",
        agent_session_db_path=memory,
        offline_model=True,
    )


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; in a thread, where a test's own loop is running in this one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(copy_context().run, asyncio.run, work).result()


def _tool_calls(database: TestDatabase, turn_id: UUID) -> list[ToolCalled]:
    rows = database.rows(
        "SELECT call_id, name, arguments, output FROM tool_calls"
        " WHERE turn_id = %(turn)s ORDER BY created_at, call_id",
        {"turn": turn_id},
    )
    return [
        ToolCalled(
            row["call_id"],
            row["name"],
            _json(row["arguments"]),
            _returned(row["output"]),
            row["output"].get("error"),
        )
        for row in rows
    ]


def _returned(output: dict[str, Any]) -> Any:
    return _json(output["value"]) if "made_from" in output else output["value"]


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
