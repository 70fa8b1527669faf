"""A queue's messages: sent, hidden, received, given up; in this process's memory only."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from parley.errors import ParleyError
from parley_local.template import Queue

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""How soon a message whose handler failed is delivered again.

On AWS it takes the rest of the queue's visibility time-out, which is hours; somebody who mends a
function on a laptop waits for the next try.
"""


class UnknownReceipt(ParleyError):
    """No message in flight has been received under this handle."""


@dataclass
class Message:
    """One message. Times are in seconds since 1970; `visible_at` is when it may be received."""

    body: str
    sent_at: float
    visible_at: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    receives: int = 0
    first_received_at: float | None = None
    receipt: str | None = None
    put_back: bool = False
    group: str | None = None
    in_work: bool = False


class QueueState:
    """The messages of one queue, for one event loop. Order is not promised, as on SQS."""

    def __init__(
        self,
        settings: Queue,
        *,
        bury: Callable[[Message], None],
        clock: Callable[[], float] = time.time,
        retry: float = RETRY_SECONDS,
    ) -> None:
        """Make an empty queue.

        Args:
            settings: As the template has them.
            bury: Takes a message that was received in vain as often as it may. One that it
                raises OSError for stays here, and is tried again.
            clock: The time, in seconds since 1970.
            retry: Seconds after which a message whose handler failed is delivered again.
        """
        self.settings = settings
        self._bury = bury
        self._clock = clock
        self._retry = retry
        self._messages: dict[str, Message] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._messages)

    def send(self, body: str, delay: float | None = None, group: str | None = None) -> Message:
        """Take a message; it may be received after `delay` seconds, the queue's own without.

        Messages of one group do not make those of others wait.
        """
        now = self._clock()
        wait = self.settings.delay if delay is None else delay
        message = Message(body, sent_at=now, visible_at=now + wait, group=group)
        self._messages[message.id] = message
        self._changed.set()
        return message

    async def receive(self) -> Message:
        """Wait for a message that may be received, and hide it from others for a while."""
        while True:
            self._changed.clear()
            if (message := self.take()) is not None:
                return message
            due = min((each.visible_at for each in self._messages.values()), default=None)
            try:
                async with asyncio.timeout(None if due is None else max(0, due - self._clock())):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def take(self) -> Message | None:
        """Receive a message that is visible now, if there is one; bury those that are through."""
        now = self._clock()
        limit = self.settings.receives
        visible = [each for each in self._messages.values() if each.visible_at <= now]
        for message in [each for each in visible if each.receives >= (limit or inf)]:
            self._give_up(message)
            visible.remove(message)
        # As SQS's fair queues do: first those of the group of which least is being worked on.
        in_work = Counter(each.group for each in self._messages.values() if each.in_work)
        in_work[None] = 0
        if visible:
            message = min(visible, key=lambda each: (in_work[each.group], each.visible_at))
            message.receives += 1
            message.first_received_at = message.first_received_at or now
            message.receipt = str(uuid.uuid4())
            message.put_back = False
            message.in_work = True
            message.visible_at = now + self.settings.visibility
            return message
        return None

    def _give_up(self, message: Message) -> None:
        try:
            self._bury(message)
        except OSError as error:
            # A full disk, say: it is kept here until it can be kept there.
            log.error("Message %s cannot be put aside: %s", message.id, error)
            message.visible_at = self._clock() + max(self._retry, 1)
        else:
            del self._messages[message.id]

    def delete(self, receipt: str) -> None:
        """Forget a message that is done; a late receipt, after another receive, does nothing."""
        for message in self._messages.values():
            if message.receipt == receipt:
                del self._messages[message.id]
                return

    def fail(self, receipt: str) -> None:
        """Have a message delivered again soon, unless its handler said itself when."""
        for message in self._messages.values():
            if message.receipt != receipt:
                continue
            message.in_work = False
            if not message.put_back:
                message.visible_at = min(message.visible_at, self._clock() + self._retry)
            self._changed.set()

    def change_visibility(self, receipt: str, seconds: float) -> None:
        """Hide a message in flight for so many seconds from now.

        Raises:
            UnknownReceipt: No message that is hidden was received under this handle last.
        """
        now = self._clock()
        for message in self._messages.values():
            if message.receipt == receipt and message.visible_at > now:
                message.visible_at = now + seconds
                message.put_back = True
                self._changed.set()
                return
        raise UnknownReceipt(receipt)
