"""Runs turns in the test's process, and kills copies of it. Importing this imports the SDK."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from parley.ids import new_id
from parley.testing.asking import Answer, ask
from parley.testing.database import TestDatabase
from parley.testing.ledger import Ledger
from parley.testing.parts import Parts, Sending, parts_of
from parley.testing.postgres import Databases
from parley.testing.recording import Recording
from parley.testing.report import NotSurvived, Report
from parley.testing.result import Result
from parley.testing.script import Script, ScriptEnded
from parley.testing.survival import Survival, World
from parley.testing.turn import Decides, Mode, Turn
from parley.testing.warm_up import warm_up


class Workbench:
    """One test's backend: a database and memory of its own.

    Attributes:
        database: The database, past Parley's code.
    """

    def __init__(self, databases: Databases, folder: Path) -> None:
        self._databases = databases
        self._folder = folder
        self._numbers = count(1)
        self._url = databases.copy()
        self._memory = folder / "memory.db"
        self._recording = Recording(folder / "run-0")
        self._ledgers: dict[str, Ledger] = {}
        self.database = TestDatabase(self._url)

    def close(self) -> None:
        """Remove the database."""
        self._databases.drop(self._url)

    def turn(
        self,
        agent: Any,
        text: str,
        *,
        model: Script,
        user: str = "alice",
        mode: Mode = "wait",
        session_id: UUID | None = None,
        context: Callable[[Any], Any] | None = None,
        decides: Decides | None = None,
    ) -> Turn:
        """Describe a turn; nothing is run yet.

        Args:
            agent: Its name in the registry, the agent itself, or a function that gives it.
            text: What the user says.
            model: What the model answers: see `says` and `calls`.
            user: Who says it.
            mode: How it is sent.
            session_id: The session that it is sent to, of an earlier result; a new one if None.
            context: Makes the agent's own context of the turn's.
            decides: What somebody who may decides on calls that need approval: `approve` or
                `reject`, or a function of the tool's name and the arguments that returns one of
                them. Without it the turn waits.
        """
        return Turn(agent, text, model, user, mode, session_id, context, decides)

    def ledger(self, name: str) -> Ledger:
        """Return what keeps effects elsewhere, such as mails; `survives` compares it."""
        return self._ledgers.setdefault(name, Ledger(name, self._recording))

    def run(self, turn: Turn) -> Result:
        """Run a turn in this process and return what became of it.

        Raises:
            ScriptEnded: The model was asked more often than the test has answers for.
            NotFound: There is no agent of this name.
            Exception: Whatever building the agent raises.
        """
        sending = self._sending(turn)
        self._recording.take("asked")  # of an earlier turn
        with self._parts(turn) as parts:
            parts.carry_out(sending)
            if wrong := self._recording.take("wrong"):
                raise ScriptEnded(wrong[0])
            return parts.result(sending)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str | None = "alice",
        scopes: Collection[str] = (),
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask one of the project's own routes, in this process, and return what it answers.

        Args:
            method: Such as `GET`.
            path: Such as `/notes`, without a query.
            body: Written as JSON; a text is sent as it is, and None is no body.
            user: Who asks; None for somebody without a token.
            scopes: What the token allows.
            query: The query's parameters.
            headers: The request's.
        """
        return ask(
            self._url,
            self._memory,
            method,
            path,
            user=user,
            scopes=scopes,
            body=body,
            query=query or {},
            headers=headers or {},
        )

    def survives(
        self,
        turn: Turn,
        *,
        status: Literal["completed", "failed", "waiting"] = "completed",
        effects: Callable[[TestDatabase], Any] | None = None,
        may_repeat: Collection[str] = (),
    ) -> Report:
        """Kill the process at every point of a turn, and carry the turn on in a new one.

        Each kill is of a copy of this process on copies of the database and of memory: nothing of
        it is seen here. What comes of each is compared with a run that is not killed.

        Args:
            turn: The turn.
            status: What it comes to.
            effects: Returns what is to be as it is without a kill; of the tables that are not
                Parley's, all rows are compared without it, but for columns with made-up values.
            may_repeat: Plain function tools that do no harm if they run twice.

        Returns:
            What was done.

        Raises:
            NotSurvived: Something happened twice, was lost, or came out otherwise; or the turn does
                not come to this status, even without a kill.
            ValueError: The turn calls no tool of a name in `may_repeat`.
            ScriptEnded: The model was asked more often than the test has answers for.
        """
        warm_up(self._databases, self._folder, turn.mode)
        sending = self._sending(turn)
        with self._databases.connected():
            base = self._world(self._url, self._memory)  # not even the undisturbed run is seen here
            survival = Survival(
                turn,
                sending,
                lambda: self._world(base.url, base.memory),
                self._drop,
                self._recording,
                self._databases.core,
                sorted(self._ledgers),
                effects,
                frozenset(may_repeat),
                status,
            )
            try:
                report = survival.report()
            finally:
                self._drop(base)
        if report.findings:
            raise NotSurvived(report)
        return report

    def _world(self, url: str, memory: Path) -> World:
        folder = self._folder / f"run-{next(self._numbers)}"
        folder.mkdir()
        copy = folder / "memory.db"
        for file in memory.parent.glob(f"{memory.name}*"):
            shutil.copy(file, folder / file.name)
        for name in self._ledgers:
            kept = self._recording.folder / f"ledger-{name}"
            if kept.exists():
                shutil.copy(kept, folder / kept.name)
        return World(self._databases.copy(url), copy, folder)

    def _drop(self, world: World) -> None:
        self._databases.drop(world.url)
        shutil.rmtree(world.folder)

    def _sending(self, turn: Turn) -> Sending:
        session_id = turn.session_id
        with self._parts(turn) as parts:
            parts.build_agent()  # what it raises is the test's to see, not the turn's to fail with
            if session_id is None:
                session_id = parts.new_session()
        return Sending(session_id, new_id(), new_id())

    def _parts(self, turn: Turn) -> AbstractContextManager[Parts]:
        return parts_of(self._url, self._memory, turn, self._recording)
