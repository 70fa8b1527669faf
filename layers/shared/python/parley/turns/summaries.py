"""What is shown of a session's summary, to its user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from parley.ids import Voucher, conversation_key
from parley.memory.store import AgentSessionStore
from parley.memory.summary import text_of
from parley.repository.summaries import SummaryRepository
from parley.repository.turns import Usage


@dataclass(frozen=True, slots=True)
class ShownSummary:
    """A session's summary.

    Attributes:
        text: What it says; None if there is none, or the store has lost it.
        to: The number of the last turn that it is of.
        made_at: Since when it counts.
        pending: Whether turns were left behind that no summary covers.
        usage: What making the session's summaries came to.
    """

    text: str | None
    to: int
    made_at: datetime | None
    pending: bool
    usage: Usage


@dataclass(frozen=True, slots=True)
class SummaryReader:
    """Reads summaries. Methods block; the store is opened only where there is one."""

    summaries: SummaryRepository
    open_store: Callable[[], AgentSessionStore]

    def read(self, user_id: str, session_id: UUID) -> ShownSummary:
        """Read a session's summary.

        Raises:
            NotFound: The user has no such session.
            StoreUnavailable: A store cannot serve now.
        """
        known = self.summaries.of_session(user_id, session_id)
        text = None
        if known.voucher is not None:
            text = self._text(conversation_key(user_id, session_id), known.voucher)
        pending = known.pending or (known.voucher is not None and text is None)
        return ShownSummary(text, known.to, known.made_at, pending, known.usage)

    def _text(self, conversation: str, voucher: Voucher) -> str | None:
        for stored in self.open_store().read(conversation, [voucher.turn]):
            if stored.attempt == voucher.attempt:
                return text_of(stored.memory)
        return None
