"""A process that dies while a stream of its has a place."""

from __future__ import annotations

import os
import signal
from uuid import UUID

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.streams import Place
from parley.repository.transcript import Transcript


def take_and_die(url: str, session_id: UUID, turn_id: UUID) -> None:
    """Follow a turn of alice's, who may hold two streams, and be killed."""
    database = Database(lambda: url, statement_timeout=10)
    place = Place(new_id(), 2, 900.0)
    Transcript(database).turn("alice", session_id, turn_id, place=place)
    os.kill(os.getpid(), signal.SIGKILL)
