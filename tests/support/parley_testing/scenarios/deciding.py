"""A person who sends a message and approves whatever its turn asks for."""

from __future__ import annotations

from contextlib import suppress

from parley.errors import AlreadyDecided
from parley.repository.turns import TurnRequest
from parley.turns.decide import Decider
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench


async def answered(parts: Workbench, message: TurnRequest) -> str:
    """Send a message until it is answered, approve what is asked for, and return the reply."""
    decider = Decider(parts.database, parts.waker)
    while True:
        view = (await parts.sender.send(message, seconds=HANG_SECONDS)).view
        if view.reply is not None:
            return view.reply.content
        for asked in view.approvals:
            if asked.is_open:
                with suppress(AlreadyDecided):
                    await decider.decide(asked.id, "approved", by=message.user_id, may=())
