"""The composition root: builds what the functions need from settings.

Nothing is opened here: the first statement connects, the first read opens the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from parley.config import Settings
from parley.manifest import manifest
from parley.memory.expiry import TimeToLive
from parley.memory.store import SUMMARIES_KEPT
from parley.memory.window import vouched_turns
from parley.once import made_once
from parley.repository.database import Database
from parley.repository.fair_use import FairUse
from parley.repository.sessions import SessionRepository
from parley.repository.transcript import Transcript
from parley.secrets import Secret, database_url
from parley.timing import DAY_SECONDS
from parley.usage.told import nanodollars

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from pydantic import SecretStr

    from parley.agents.provider import Providers
    from parley.aws_clients import Clients
    from parley.cleanup.cleaner import Cleaner
    from parley.cleanup.escalations import Escalations, SnsTopic
    from parley.cleanup.forgetting import Forgetter
    from parley.cleanup.outbox import Outbox
    from parley.events.fanout import FanOut
    from parley.events.log import EventLog
    from parley.events.reader import Follower
    from parley.memory.store import AgentSessionStore
    from parley.repository.audit import AuditRepository
    from parley.repository.expired_sessions import Ages
    from parley.repository.fair_use import UserBudget
    from parley.repository.streams import StreamPlaces
    from parley.repository.summaries import SummaryRepository
    from parley.repository.turns import TurnRepository
    from parley.repository.user_budgets import UserBudgets
    from parley.runner.execute import TurnExecutor
    from parley.runner.summaries import Summariser
    from parley.turns.cancel import Canceller
    from parley.turns.decide import Decider
    from parley.turns.notes import Noter
    from parley.turns.recover import Recovery
    from parley.turns.send import Sender
    from parley.turns.summaries import SummaryReader
    from parley.turns.wakeup import Waker
    from parley.turns.worker import SessionWorker
    from parley.users.erasure import Eraser
    from parley.users.export import Exporter
    from parley.users.renaming import Renamer
    from parley.wake_queue import SqsWakeQueue


@dataclass(frozen=True)
class Composition:
    """The parts of one process, each made once, when it is first asked for."""

    settings: Settings

    def prepare_sending(self) -> None:
        """Make what the first message needs, while a function starts: imports the Agents SDK."""
        self.wake_queue.prepare()
        _ = self.sender

    def prepare_reading(self) -> None:
        """Make what most requests that run no agent need, while a function starts."""
        _ = self.sessions, self.transcript, self.canceller

    @property
    def message_max_chars(self) -> int:
        """How many characters a message may have."""
        return self.settings.message_max_chars

    @made_once
    def database(self) -> Database:
        """The way to Postgres: as the run-time role, or as the owner where there is none."""
        settings = self.settings
        url, arn = settings.database_runtime_url, settings.database_runtime_secret_arn
        if url is None and arn is None:
            return self.owned_database
        return self._database(url, arn)

    @made_once
    def owned_database(self) -> Database:
        """The way to Postgres as the database's owner, for migrations."""
        settings = self.settings
        return self._database(settings.database_url, settings.database_secret_arn, as_owner=True)

    def _database(
        self, url: SecretStr | None, arn: str | None, *, as_owner: bool = False
    ) -> Database:
        timeout = self.settings.database_statement_timeout_seconds
        if url is not None:
            return Database(url.get_secret_value, statement_timeout=timeout, as_owner=as_owner)
        secret = Secret(arn or "")
        return Database(
            lambda: database_url(secret.value),
            renew=secret.renew,
            statement_timeout=timeout,
            as_owner=as_owner,
        )

    def runtime_url(self) -> str | None:
        """Return the run-time role's URL, for making it; None where the deployment has none.

        Raises:
            StoreUnavailable: Its secret cannot be had.
        """
        settings = self.settings
        if settings.database_runtime_url is not None:
            return settings.database_runtime_url.get_secret_value()
        arn = settings.database_runtime_secret_arn
        return None if arn is None else database_url(Secret(arn).value)

    @made_once
    def store(self) -> AgentSessionStore:
        """The agent-session store."""
        settings = self.settings
        life = TimeToLive(settings.agent_session_retention_days * DAY_SECONDS)
        if settings.agent_session_store == "sqlite" and settings.agent_session_db_path:
            from parley.memory.sqlite import SqliteStore

            return SqliteStore(settings.agent_session_db_path, life=life)
        from parley.memory.dynamodb import DynamoDbStore

        return DynamoDbStore(self._dynamodb, settings.agent_session_table or "", life)

    @made_once
    def _dynamodb(self) -> DynamoDBClient:
        return self._aws.of("dynamodb")

    @made_once
    def _aws(self) -> Clients:
        from parley.aws_clients import Clients

        return Clients()

    def clients(self) -> Sequence[Any]:
        """Return AWS's clients that were made so far."""
        return tuple(self._aws.made)

    @made_once
    def events(self) -> EventLog:
        """The turns' event logs, which are kept where memory is."""
        settings = self.settings
        if settings.agent_session_store == "sqlite" and settings.agent_session_db_path:
            from parley.events.sqlite import SqliteEventLog

            return SqliteEventLog(settings.agent_session_db_path)
        from parley.events.dynamodb import DynamoDbEventLog

        return DynamoDbEventLog(self._dynamodb, settings.agent_session_table or "")

    @made_once
    def fanout(self) -> FanOut:
        """Wakes who follows a turn in the process that carries it out."""
        from parley.events.fanout import FanOut

        return FanOut()

    @made_once
    def follower(self) -> Follower:
        """Follows turns."""
        from parley.events.reader import Follower

        return Follower(lambda: self.events, self.transcript, self.fanout, self.waker)

    @made_once
    def stream_places(self) -> StreamPlaces:
        """How many streams users hold."""
        from parley.repository.streams import StreamPlaces

        return StreamPlaces(self.database, self.settings.user_max_streams)

    @made_once
    def wake_queue(self) -> SqsWakeQueue:
        """Wakes the worker."""
        from parley.wake_queue import SqsWakeQueue

        return SqsWakeQueue(lambda: self._aws.of("sqs"), self.settings.wake_queue_url or "")

    @made_once
    def waker(self) -> Waker:
        """Wakes from a turn; not in a process that was given no queue."""
        from parley.turns.wakeup import Waker

        return Waker(self.wake_queue if self.settings.wake_queue_url else None)

    @made_once
    def sessions(self) -> SessionRepository:
        """The sessions."""
        return SessionRepository(self.database, self._fair_use)

    @made_once
    def transcript(self) -> Transcript:
        """What was said."""
        return Transcript(self.database)

    @made_once
    def forgetter(self) -> Forgetter:
        """Removes memory."""
        from parley.cleanup.forgetting import Forgetter

        return Forgetter(
            self.sessions,
            lambda: self.store,
            self.settings.agent_session_max_messages,
            self.settings.agent_session_max_bytes,
            self.settings.agent_session_low_mark_percent,
        )

    @made_once
    def turns(self) -> TurnRepository:
        """The life of turns."""
        from parley.repository.turns import TurnRepository

        return TurnRepository(
            self.database, window=self._window, fair_use=self._fair_use, budget=self._user_budget
        )

    @property
    def _user_budget(self) -> UserBudget:
        from parley.repository.fair_use import UserBudget

        settings = self.settings
        return UserBudget(
            settings.user_tokens_per_day,
            settings.user_tokens_per_month,
            settings.budget_answer_tokens,
            nanodollars(settings.user_usd_per_day),
            nanodollars(settings.user_usd_per_month),
            settings.deployment_tokens_per_day,
            settings.deployment_tokens_per_month,
            nanodollars(settings.deployment_usd_per_day),
            nanodollars(settings.deployment_usd_per_month),
        )

    @property
    def _fair_use(self) -> FairUse:
        settings = self.settings
        return FairUse(
            open_turns=settings.user_max_open_turns,
            turns_per_minute=settings.user_turns_per_minute,
            sessions=settings.user_max_sessions,
            metadata_bytes=settings.user_max_metadata_bytes,
            streams=settings.user_max_streams,
        )

    @made_once
    def canceller(self) -> Canceller:
        """Cancels turns."""
        from parley.repository.tool_calls import ToolCallRepository
        from parley.turns.cancel import Canceller

        tool_calls = ToolCallRepository(self.database)
        return Canceller(
            self.database,
            self.turns,
            self.transcript,
            tool_calls,
            lambda: self.store,
            self.waker,
            lambda: self.events,
        )

    @made_once
    def decider(self) -> Decider:
        """Decides on what turns ask for."""
        from parley.turns.decide import Decider

        return Decider(self.database, self.waker)

    @made_once
    def noter(self) -> Noter:
        """Leaves administrators' notes in sessions."""
        from parley.turns.notes import Noter

        return Noter(self.database, lambda: self.store)

    @property
    def _window(self) -> int:
        return vouched_turns(self.settings.agent_session_max_messages)

    @made_once
    def executor(self) -> TurnExecutor:
        """Carries out turns. Asking for it imports the Agents SDK."""
        from parley.agents import registry
        from parley.repository.tool_calls import ToolCallRepository
        from parley.runner.agent_run import AgentRunner
        from parley.runner.execute import Limits, TurnExecutor
        from parley.turns.budget import TurnBudget
        from parley.turns.caps import Caps, ServerLimits

        settings = self.settings
        return TurnExecutor(
            database=self.database,
            turns=self.turns,
            transcript=self.transcript,
            tool_calls=ToolCallRepository(self.database),
            store=self.store,
            load_agent=registry.load,
            make_context=registry.make_context,
            runner=AgentRunner(self._providers.of, self._providers.prices, self._providers.brought),
            limits=Limits(
                turn_seconds=settings.turn_timeout_seconds,
                crashes=settings.turn_max_crashes,
                memory_items=settings.agent_session_max_messages,
                memory_bytes=settings.agent_session_max_bytes,
                memory_low_mark=settings.agent_session_low_mark_percent,
                caps=Caps(
                    settings.tool_output_max_bytes,
                    settings.tool_calls_max_per_step,
                    8 * settings.model_answer_max_chars,
                ),
                budget=TurnBudget(
                    settings.turn_max_model_calls,
                    settings.turn_max_tokens,
                    settings.budget_answer_tokens,
                    nanodollars(settings.turn_max_usd),
                ),
                user_budget=self._user_budget,
                servers=ServerLimits(
                    settings.mcp_timeout_seconds, settings.mcp_tools_believed_seconds
                ),
                approval_seconds=settings.approval_expires_days * DAY_SECONDS,
            ),
            waker=self.waker,
            open_log=lambda: self.events,
            fanout=self.fanout,
            summaries=self.summaries,
            summarised=self._summarised,
        )

    @made_once
    def summaries(self) -> SummaryRepository:
        """Which summaries of sessions count."""
        from parley.repository.summaries import SummaryRepository

        return SummaryRepository(self.database, self._user_budget)

    @made_once
    def summary_reader(self) -> SummaryReader:
        """Reads summaries for who they are of."""
        from parley.turns.summaries import SummaryReader

        return SummaryReader(self.summaries, lambda: self.store)

    @property
    def _summarised(self) -> frozenset[str]:
        """Of which agents' sessions summaries are made."""
        usual = self.settings.memory_summary
        return frozenset(
            name
            for name, offer in manifest().agents.items()
            if (offer.memory_summary or usual) == "on"
        )

    @made_once
    def summariser(self) -> Summariser:
        """Makes summaries. Asking for it imports the Agents SDK."""
        from parley.agents.summary_models import SummaryModels
        from parley.repository.summaries import SummaryRepository
        from parley.runner.summaries import Summariser

        # The other workers are left for turns: a model for summaries may be slow.
        at_once = max(1, self.settings.worker_concurrency // 2)
        return Summariser(
            SummaryRepository(self.database, self._user_budget, at_once),
            self.transcript,
            self.store,
            SummaryModels(self._providers, self.settings.memory_summary_model).of,
            self._summarised,
            self.waker,
        )

    @made_once
    def _providers(self) -> Providers:
        from parley.agents.provider import Providers

        return Providers(self.settings)

    @made_once
    def sender(self) -> Sender:
        """Sends messages. Asking for it imports the Agents SDK."""
        from parley.turns.send import Sender

        return Sender(
            self.turns,
            self.transcript,
            self.store,
            self.executor,
            self._window + SUMMARIES_KEPT,
            self.waker,
            self.settings.agent_session_max_bytes,
        )

    @made_once
    def session_worker(self) -> SessionWorker:
        """Carries on sessions for which a worker is woken. Asking for it imports the Agents SDK."""
        from parley.turns.worker import SessionWorker

        return SessionWorker(
            self.turns,
            self.store,
            self.executor,
            self._window + SUMMARIES_KEPT,
            self.waker,
            self.settings.agent_session_max_bytes,
        )

    @made_once
    def recovery(self) -> Recovery:
        """Wakes a worker for what was left behind."""
        from parley.repository.waiting import WaitingSessions
        from parley.turns.recover import Recovery

        return Recovery(WaitingSessions(self.database), self.waker)

    @made_once
    def escalations(self) -> Escalations:
        """Tells somebody of escalations, where there is a topic."""
        from parley.cleanup.escalations import Escalations

        arn = self.settings.escalation_topic_arn
        return Escalations(self.database, (lambda: self._topic) if arn else None)

    @made_once
    def _topic(self) -> SnsTopic:
        from parley.cleanup.escalations import SnsTopic

        return SnsTopic(self._aws.of("sns"), self.settings.escalation_topic_arn or "")

    @made_once
    def outbox(self) -> Outbox:
        """Removes the memory that is left to it."""
        from parley.cleanup.outbox import Outbox

        return Outbox(self.database, self.store)

    @made_once
    def cleaner(self) -> Cleaner:
        """Removes what is past its time."""
        from parley.cleanup.cleaner import Cleaner
        from parley.cleanup.retention import Retention

        retention = Retention(self.database, lambda: self.store, _ages(self.settings))
        return Cleaner(self.database, retention)

    @made_once
    def eraser(self) -> Eraser:
        """Erases users."""
        from parley.users.erasure import Eraser

        return Eraser(self.database, lambda: self.store)

    @made_once
    def renamer(self) -> Renamer:
        """Renames users."""
        from parley.users.renaming import Renamer

        return Renamer(self.database, lambda: self.store)

    @made_once
    def user_budgets(self) -> UserBudgets:
        """What users may spend."""
        from parley.repository.user_budgets import UserBudgets

        return UserBudgets(self.database, self._user_budget)

    @made_once
    def audit_records(self) -> AuditRepository:
        """The records of what administrators do."""
        from parley.repository.audit import AuditRepository

        return AuditRepository(self.database)

    @made_once
    def exporter(self) -> Exporter:
        """Exports users."""
        from parley.users.export import Exporter

        return Exporter(self.database, lambda: self.store, lambda: self.events)


def _ages(settings: Settings) -> Ages:
    from parley.repository.expired_sessions import Ages

    day, hour = 86_400, 3_600
    return Ages(
        closed_sessions=settings.session_retention_days * day,
        empty_sessions=settings.empty_session_retention_hours * hour,
        audit_records=settings.audit_retention_days * day,
    )
