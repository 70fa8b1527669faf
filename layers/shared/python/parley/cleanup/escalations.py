"""Telling somebody of escalations: an outbox, which a trigger fills with the session's change.

Nothing is told of what was rolled back. What was told and not taken out, since the process died in
between, is told again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import to_json
from sqlalchemy import Row, text

from parley.errors import StoreUnavailable
from parley.observability import logger, traced
from parley.repository.database import Database
from parley.repository.scope import SERVICE

AT_ONCE = 50

_NOTED = text("""
SELECT n.session_id, n.created_at, s.agent, s.platform
FROM escalation_notices n JOIN sessions s ON s.id = n.session_id
ORDER BY n.created_at LIMIT :limit
""")

_TOLD = text("""
DELETE FROM escalation_notices WHERE session_id = :session_id AND created_at = :created_at
""")

_NOBODY = text("DELETE FROM escalation_notices")


class Topic(Protocol):
    """What tells people."""

    def publish(self, subject: str, message: str) -> None:
        """Tell them.

        Raises:
            StoreUnavailable: It cannot be told now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Escalations:
    """Tells of escalations. Methods block.

    Attributes:
        open_topic: Gives what tells people; None where nobody is to be told.
    """

    database: Database
    open_topic: Callable[[], Topic] | None

    def tell(self, *, left: Callable[[], float]) -> int:
        """Tell of what has been escalated, oldest first, and return of how many sessions.

        A topic that cannot be told ends it, and is logged; the next run tells.

        Args:
            left: Gives how many seconds there still are.

        Raises:
            StoreUnavailable: Postgres cannot serve now; what was not told stays to be told.
        """
        if self.open_topic is None:
            self.database.run(SERVICE, _NOBODY)
            return 0
        told = 0
        while left() > 0:
            noted = self.database.run(SERVICE, _NOTED, {"limit": AT_ONCE})
            for row in noted:
                if not self._told(row):
                    return told
                place = {"session_id": row.session_id, "created_at": row.created_at}
                self.database.run(SERVICE, _TOLD, place)
                told += 1
            if len(noted) < AT_ONCE:
                break
        return told

    def _told(self, row: Row[Any]) -> bool:
        assert self.open_topic is not None
        message = {
            "type": "session.escalated",
            "session_id": str(row.session_id),
            "agent": row.agent,
            "platform": row.platform,
            "escalated_at": row.created_at.isoformat(),
        }
        try:
            self.open_topic().publish(
                f"A conversation with {row.agent} asks for a person"[:100],
                to_json(message).decode(),
            )
        except StoreUnavailable as error:
            logger().error(
                "nobody was told of an escalation; the next run tells",
                session_id=str(row.session_id),
                reason=str(error),
                **traced(error),
            )
            return False
        return True


class SnsTopic:
    """Tells the subscribers of an SNS topic."""

    def __init__(self, client: Any, arn: str) -> None:
        """Keep the way to the topic.

        Args:
            client: SNS's.
            arn: The topic's.
        """
        self._client = client
        self._arn = arn

    def publish(self, subject: str, message: str) -> None:
        """Tell them: see `Topic`."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.publish(TopicArn=self._arn, Subject=subject, Message=message)
        except ClientError as error:
            raise StoreUnavailable("topic", error.response["Error"]["Code"]) from error
        except BotoCoreError as error:
            raise StoreUnavailable("topic", type(error).__name__) from error
