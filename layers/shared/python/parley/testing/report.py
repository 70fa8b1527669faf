"""What killing a turn's process came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from parley.errors import ParleyError
from parley.testing.result import Result


@dataclass(frozen=True)
class Finding:
    """Something that happened twice, was lost or came out otherwise.

    Attributes:
        point: Where the process was killed; empty if it was not.
        sentence: What was found.
    """

    point: str
    sentence: str


@dataclass(frozen=True)
class Report:
    """What became of a turn that was killed at each of its points, and carried on.

    Attributes:
        result: What it came to without a kill.
        points: Where it was killed.
        missed: Where it was not killed, since that run of it did not come by: of tools that run at
            once, any may be ahead.
        findings: What is wrong; none if the turn survives.
        advice: What to do about it.
        model_calls_repeated: How many model calls were in flight at a kill, and made again.
    """

    result: Result
    points: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    model_calls_repeated: int = 0

    def __str__(self) -> str:
        head = f"The turn was killed at {len(self.points)} points and carried on by a new process."
        if not self.points:
            head = "The turn was not killed."
        if not self.findings:
            return f"{head} Nothing happened twice, and nothing was lost."
        where: dict[str, list[str]] = {}
        for finding in self.findings:
            where.setdefault(finding.sentence, []).append(finding.point)
        told = [f"  {sentence}{_when(points)}" for sentence, points in where.items()]
        return "\n".join([f"{head} It does not survive:", *told, *self.advice])


def _when(points: list[str]) -> str:
    if not any(points):
        return ""
    more = f" and at {len(points) - 4} more points" if len(points) > 4 else ""
    return f"\n    when killed: {'; '.join(points[:4])}{more}"


class NotSurvived(ParleyError, AssertionError):
    """A turn does not survive; the message says what happened twice or was lost, and where."""

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report
