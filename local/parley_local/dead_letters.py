"""Messages that were received in vain as often as they may be, kept where a person can see them."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

from parley_local.queue_state import Message

log = logging.getLogger(__name__)


class DeadLetters:
    """A file with a line of JSON for each message; it outlives `make dev`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, message: Message) -> None:
        """Write the message down, and say so in the log.

        Raises:
            OSError: The file cannot be written.
        """
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "message_id": message.id,
            "body": message.body,
            "group": message.group,
            "sent_at": datetime.fromtimestamp(message.sent_at, UTC).isoformat(
                timespec="milliseconds"
            ),
            "receives": message.receives,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        log.error(
            "Message %s was given up after %d receives; it is in %s.",
            message.id,
            message.receives,
            self._path,
        )

    def messages(self) -> list[tuple[str, str | None]]:
        """Return what the messages say and their groups, the oldest dead letter first.

        Raises:
            ValueError: A line is none of ours; the message names it.
        """
        if not self._path.exists():
            return []
        found: list[tuple[str, str | None]] = []
        for number, line in enumerate(self._path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                entry = json.loads(line)
                found.append((str(entry["body"]), entry.get("group")))
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{self._path}:{number} is no dead letter.") from error
        return found

    def clear(self) -> None:
        """Forget all of them."""
        self._path.unlink(missing_ok=True)
