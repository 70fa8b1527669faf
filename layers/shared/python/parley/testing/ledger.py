"""Effects elsewhere than in Postgres, as the world that a tool acts on would keep them."""

from __future__ import annotations

from typing import Any

from parley.failpoints import failpoint
from parley.testing.recording import Recording


class Ledger:
    """Keeps what tools did, also in processes that were killed. Stands in for a mail server.

    Give `add` to the code under test in place of what sends.
    """

    def __init__(self, name: str, recording: Recording) -> None:
        self.name = name
        self._recording = recording

    def add(self, *what: Any, key: str | None = None, **more: Any) -> None:
        """Keep an effect.

        Args:
            what: What is kept, with `more`; JSON values, or else their text.
            key: An idempotency key: of several effects with one key the first is kept, as a good
                service does.
            more: Kept by name.
        """
        failpoint(f"before {self.name}")
        if key is None or key not in [entry["key"] for entry in self._read()]:
            self._recording.add(self._file, {"what": what, "more": more, "key": key})
        failpoint(f"after {self.name}")

    @property
    def entries(self) -> list[Any]:
        """What was kept: the only argument of each, a list of several, or a dictionary by name."""
        return [_entry(entry["what"], entry["more"]) for entry in self._read()]

    @property
    def _file(self) -> str:
        return f"ledger-{self.name}"

    def _read(self) -> list[dict[str, Any]]:
        return self._recording.read(self._file)


def _entry(what: list[Any], more: dict[str, Any]) -> Any:
    if more:
        return {**dict(enumerate(what)), **more}
    return what[0] if len(what) == 1 else what
