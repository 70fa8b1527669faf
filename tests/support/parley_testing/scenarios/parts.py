"""What one process makes for itself to run turns: its stores, and the parts around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from parley.events.dynamodb import DynamoDbEventLog
from parley.events.log import EventLog
from parley.events.sqlite import SqliteEventLog
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.repository.fair_use import UNBOUNDED, UserBudget
from parley.usage.prices import Prices
from parley.wake_queue import WakeQueue
from parley_testing.account.moto import REGION
from parley_testing.scenarios.turns import Scenario
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench


@dataclass(frozen=True)
class Place:
    """Where both stores are.

    Attributes:
        database_url: Postgres.
        sqlite: The file that memory is in, or None where it is in DynamoDB.
        dynamodb: The address of DynamoDB, and `table` the table in it.
    """

    database_url: str
    sqlite: str | None = None
    dynamodb: str | None = None
    table: str = ""


@contextmanager
def new_store(place: Place) -> Iterator[AgentSessionStore]:
    """Open this process's way to memory."""
    if place.sqlite is not None:
        with closing(SqliteStore(Path(place.sqlite), wait_seconds=HANG_SECONDS)) as store:
            yield store
        return
    with closing(_dynamodb(place)) as client:
        yield DynamoDbStore(client, place.table)


@contextmanager
def new_log(place: Place) -> Iterator[EventLog]:
    """Open this process's way to the turns' event logs, which are where memory is."""
    if place.sqlite is not None:
        with closing(SqliteEventLog(Path(place.sqlite), wait_seconds=HANG_SECONDS)) as log:
            yield log
        return
    with closing(_dynamodb(place)) as client:
        yield DynamoDbEventLog(client, place.table)


def _dynamodb(place: Place) -> Any:
    return boto3.client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=place.dynamodb,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(max_pool_connections=4),
    )


class Parts(Workbench):
    """A workbench that names its points as a deployment does: nobody watches its store."""

    def __init__(
        self,
        database: Database,
        store: AgentSessionStore,
        scenario: Scenario,
        asked: Path,
        *,
        events: EventLog | None = None,
        wake_queue: WakeQueue | None = None,
        user_budget: UserBudget = UNBOUNDED,
        prices: Prices | None = None,
    ) -> None:
        super().__init__(
            database,
            store,
            scenario.script(asked),
            agent=scenario.agent() if scenario.agent is not None else None,
            events=events,
            wake_queue=wake_queue,
            user_budget=user_budget,
            prices=prices,
        )
        self.store = store
        self.executor = replace(self.executor, store=store)
        self.sender = replace(self.sender, store=store, executor=self.executor)
        self.session_worker = replace(self.session_worker, store=store, executor=self.executor)
        self.canceller = replace(self.canceller, open_store=lambda: store)
