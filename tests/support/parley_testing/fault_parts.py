"""What one process makes for itself to run turns: its stores, and the parts around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from parley.doorbell import Doorbell
from parley.events.dynamodb import DynamoDbEventLog
from parley.events.log import EventLog
from parley.events.sqlite import SqliteEventLog
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley_testing.aws import REGION
from parley_testing.fault_scenarios import Scenario
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
        with closing(SqliteStore(Path(place.sqlite), wait_seconds=10)) as store:
            yield store
        return
    with closing(_dynamodb(place)) as client:
        yield DynamoDbStore(client, place.table)


@contextmanager
def new_log(place: Place) -> Iterator[EventLog]:
    """Open this process's way to the turns' event logs, which are where memory is."""
    if place.sqlite is not None:
        with closing(SqliteEventLog(Path(place.sqlite), wait_seconds=10)) as log:
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
        doorbell: Doorbell | None = None,
    ) -> None:
        super().__init__(
            database,
            store,
            scenario.script(asked),
            agent=scenario.agent() if scenario.agent is not None else None,
            events=events,
            doorbell=doorbell,
        )
        self.store = store
        self.carrier = replace(self.carrier, store=store)
        self.sender = replace(self.sender, store=store, carrier=self.carrier)
        self.head_runner = replace(self.head_runner, store=store, carrier=self.carrier)
        self.canceller = replace(self.canceller, open_store=lambda: store)
