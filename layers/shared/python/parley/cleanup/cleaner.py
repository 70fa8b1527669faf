"""The cleanup as it is asked for, and how far the whole of it got."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from parley.cleanup.report import CleanupReport
from parley.cleanup.retention import CleanupRequest, Retention
from parley.errors import InvalidField, StoreUnavailable
from parley.observability import cleanup_ended, logger
from parley.repository.database import Database
from parley.repository.progress import note_progress, read_progress

_REPORT: TypeAdapter[CleanupReport] = TypeAdapter(CleanupReport)


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Cleans up, and notes how far the whole cleanup got. Methods block."""

    database: Database
    retention: Retention

    def clean(self, request: CleanupRequest, *, left: Callable[[], float]) -> CleanupReport:
        """Clean up what is asked for.

        Args:
            request: What. If it is everything, what came of it is noted.
            left: Gives how many seconds there still are.

        Returns:
            What this call did. What is noted counts the calls before that it went on from as well.

        Raises:
            InvalidField: The cursor is not one that such a cleanup gave.
            StoreUnavailable: A store cannot serve now. What was done is done.
        """
        if not request.whole:
            return self.retention.run(request, left=left)
        earlier = self._earlier(request.cursor)
        try:
            report = self.retention.run(request, left=left)
        except InvalidField:
            raise  # noted, the cursor would be gone on with each hour
        except Exception as error:
            self._note_failure(request.cursor, earlier, error)
            raise
        cleanup_ended(done=report.done, seconds=report.seconds, kinds=report.kinds)
        so_far = report
        if "kinds" in earlier:  # it may have failed before it did anything
            so_far = report.after(_REPORT.validate_python(earlier))
        self._note(request.cursor, report.next_cursor, summary(so_far))
        return report

    def go_on(self, *, left: Callable[[], float]) -> CleanupReport | None:
        """Go on with the whole cleanup where its time was up; None if it came to its end.

        Raises:
            StoreUnavailable: A store cannot serve now.
        """
        progress = read_progress(self.database, "retention")
        if progress is None or progress.cursor is None:
            return None
        return self.clean(CleanupRequest(cursor=progress.cursor), left=left)

    def _earlier(self, cursor: str | None) -> dict[str, Any]:
        """Return the report of the run that this one goes on from, or an empty one."""
        progress = None if cursor is None else read_progress(self.database, "retention")
        if progress is None or progress.cursor != cursor:
            return {}
        return progress.report or {}

    def _note_failure(
        self, cursor: str | None, earlier: Mapping[str, Any], error: Exception
    ) -> None:
        said = str(error) if isinstance(error, StoreUnavailable) else type(error).__name__
        try:
            self._note(cursor, cursor, {**earlier, "error": said})
        except StoreUnavailable as refusal:
            # The caller is told of the first error, which is likely the same.
            logger().warning("a failed cleanup could not be noted", reason=str(refusal))

    def _note(self, begun_from: str | None, cursor: str | None, report: Mapping[str, Any]) -> None:
        note_progress(
            self.database, "retention", begun=begun_from is None, cursor=cursor, report=report
        )


def summary(report: CleanupReport) -> dict[str, Any]:
    """Return the report as JSON, without the sessions that a dry run lists."""
    said: dict[str, Any] = to_jsonable_python(asdict(replace(report, sessions=[])))
    del said["sessions"]
    return said | {"done": report.done}
