"""Gauges: how the deployment stands, told to CloudWatch."""

from __future__ import annotations

from parley.memory.store import AgentSessionStore
from parley.observability import gauges_read
from parley.repository.database import Database
from parley.repository.statistics import read_standing


def publish_gauges(database: Database, store: AgentSessionStore) -> None:
    """Look at both stores and measure what there is.

    To be called when a recovery is through: what is overdue then, no worker has come for.

    Raises:
        StoreUnavailable: A store cannot serve now.
    """
    standing, memory = read_standing(database), store.size()
    gauges_read(
        {
            "ActiveSessions": standing.active,
            "WaitingSessions": standing.waiting_sessions,
            "OverdueTurns": standing.overdue_turns,
            "OldestOpenTurn": standing.oldest_open_turn_seconds or 0.0,
            "OldestApproval": standing.oldest_approval_seconds or 0.0,
            "OutboxDue": standing.outbox_due,
            "OutboxAge": standing.outbox_seconds or 0.0,
            "DatabaseConnections": standing.connections,
            # Worked out here, since an alarm is paid by the metrics that it looks at.
            "DatabaseConnectionsUsed": 100 * standing.connections / standing.connections_limit,
            "DatabaseSize": standing.database_bytes,
            "MemorySize": memory.bytes,
            "MemoryItems": memory.items,
        }
    )
