"""Somebody is told of an escalation: of each that was committed, and of no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import psycopg
import pytest
from moto import mock_aws

from parley.cleanup.escalations import Escalations, SnsTopic
from parley.errors import StoreUnavailable
from parley.repository.database import Database
from parley.repository.escalation import escalate
from parley.repository.scope import OfUser
from parley.repository.sessions import SessionRepository
from parley_testing.stores.aged import Aged

SECRET = "my secret diary"


class Inbox:
    """An SNS topic of moto's, whose messages a queue takes."""

    def __init__(self) -> None:
        self.sns: Any = boto3.client("sns", "eu-central-1")
        self.sqs = boto3.client("sqs", "eu-central-1")
        # Where memory is in moto, too, its account is that of more tests than this one.
        name = f"inbox-{uuid4()}"
        self.arn = self.sns.create_topic(Name=name)["TopicArn"]
        self._queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        self.sns.subscribe(
            TopicArn=self.arn, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )

    def messages(self) -> list[dict[str, Any]]:
        found = self.sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        return [json.loads(each["Body"]) for each in found.get("Messages", ())]


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Inbox()


@pytest.fixture
def escalations(database: Database, inbox: Inbox) -> Escalations:
    topic = SnsTopic(inbox.sns, inbox.arn)
    return Escalations(database, lambda: topic)


def left() -> float:
    return 60.0


def waiting(sql: psycopg.Connection) -> int:
    row = sql.execute("SELECT count(*) FROM escalation_notices").fetchone()
    assert row is not None
    return int(row[0])


def test_what_a_tool_escalates_is_told_once_and_without_what_was_said(
    database: Database, aged: Aged, inbox: Inbox, escalations: Escalations
) -> None:
    session_id = aged.session(days=0)
    with database.transaction(OfUser("alice")) as connection:
        escalate(connection, session_id, SECRET)

    assert [escalations.tell(left=left) for _ in range(2)] == [1, 0]

    (told,) = inbox.messages()
    assert told["Subject"] == "A conversation with todo asks for a person"
    message = json.loads(told["Message"])
    assert (message["type"], message["session_id"]) == ("session.escalated", str(session_id))
    assert message["escalated_at"]
    assert SECRET not in json.dumps(told)


def test_what_was_rolled_back_is_not_told(
    database: Database, aged: Aged, inbox: Inbox, escalations: Escalations
) -> None:
    session_id = aged.session(days=0)

    def fails() -> None:
        with database.transaction(OfUser("alice")) as connection:
            escalate(connection, session_id, SECRET)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()

    assert escalations.tell(left=left) == 0
    assert inbox.messages() == []


def test_what_a_user_escalates_is_told_too(
    database: Database, aged: Aged, escalations: Escalations
) -> None:
    session_id = aged.session(days=0)
    SessionRepository(database).change("alice", session_id, {"status": "escalated"})

    assert escalations.tell(left=left) == 1


def test_an_escalation_that_stands_is_not_told_again(
    database: Database, aged: Aged, escalations: Escalations
) -> None:
    session_id = aged.session(days=0)
    sessions = SessionRepository(database)
    sessions.change("alice", session_id, {"status": "escalated"})
    escalations.tell(left=left)
    sessions.change("alice", session_id, {"status": "escalated"})

    assert escalations.tell(left=left) == 0


def test_a_topic_that_cannot_be_told_is_told_by_the_next_run(
    database: Database, aged: Aged, inbox: Inbox, sql: psycopg.Connection
) -> None:
    session_id = aged.session(days=0)
    SessionRepository(database).change("alice", session_id, {"status": "escalated"})
    gone = SnsTopic(inbox.sns, inbox.arn + "-gone")

    assert Escalations(database, lambda: gone).tell(left=left) == 0
    assert waiting(sql) == 1
    topic = SnsTopic(inbox.sns, inbox.arn)
    assert Escalations(database, lambda: topic).tell(left=left) == 1
    assert waiting(sql) == 0


def test_one_that_dies_before_it_has_noted_what_it_told_tells_again(
    database: Database, aged: Aged, sql: psycopg.Connection
) -> None:
    session_id = aged.session(days=0)
    SessionRepository(database).change("alice", session_id, {"status": "escalated"})
    told: list[str] = []

    class Dies:
        def publish(self, subject: str, message: str) -> None:
            told.append(message)
            if len(told) == 1:
                raise KeyboardInterrupt

    topic = Dies()
    with pytest.raises(KeyboardInterrupt):
        Escalations(database, lambda: topic).tell(left=left)
    Escalations(database, lambda: topic).tell(left=left)

    assert (len(told), waiting(sql)) == (2, 0)


def test_one_that_is_escalated_anew_while_it_is_told_is_told_again(
    database: Database, aged: Aged
) -> None:
    session_id = aged.session(days=0)
    sessions = SessionRepository(database)
    sessions.change("alice", session_id, {"status": "escalated"})
    told: list[str] = []

    class Resolves:
        def publish(self, subject: str, message: str) -> None:
            if not told:
                for status in ("active", "escalated"):
                    sessions.change("alice", session_id, {"status": status}, by_administrator=True)
            told.append(message)

    topic = Resolves()
    escalations = Escalations(database, lambda: topic)

    assert [escalations.tell(left=left) for _ in range(2)] == [1, 1]


def test_a_deleted_session_is_not_told_of(
    database: Database, aged: Aged, escalations: Escalations
) -> None:
    session_id = aged.session(days=0)
    sessions = SessionRepository(database)
    sessions.change("alice", session_id, {"status": "escalated"})
    sessions.delete("alice", session_id)

    assert escalations.tell(left=left) == 0


def test_without_a_topic_nothing_is_kept_for_one_that_comes_later(
    database: Database, aged: Aged, sql: psycopg.Connection
) -> None:
    session_id = aged.session(days=0)
    SessionRepository(database).change("alice", session_id, {"status": "escalated"})

    assert Escalations(database, None).tell(left=left) == 0
    assert waiting(sql) == 0


def test_a_topic_that_is_not_there_is_a_store_that_cannot_serve(inbox: Inbox) -> None:
    with pytest.raises(StoreUnavailable, match="topic"):
        SnsTopic(inbox.sns, inbox.arn + "-gone").publish("x", "y")
