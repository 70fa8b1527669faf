"""What a first request takes after a restore from a snapshot, into docs/performance.md.

    make bench-restored

Each function is frozen when it has started, and copied (`parley_testing.restored`): a copy's first
request is what SnapStart leaves to do. Beside it stands the second request of the same copy.
Medians of several copies; the ratio of the two first requests is what matters.
"""

from __future__ import annotations

import argparse
import json
import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench import restored_page
from bench.migrated import migrated
from bench.sending import CREDENTIALS
from bench.stream_setup import BENCH, Child

from parley_testing.restored import copies

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_SAID = {"text": "Hello"}
FIRST: tuple[tuple[str, tuple[str, str, Any]], ...] = (
    ("sessions", ("GET", "/sessions", None)),
    ("messages", ("POST", "/messages", _SAID)),
    ("stream", ("POST", "/messages/stream", _SAID)),
)


def main() -> None:
    """Measure, and write the page's section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    requests = {}
    with ExitStack() as stack:
        stack.enter_context(migrated())
        model = Child(stack, str(BENCH / "instant_model.py"))
        aws = Child(stack, str(BENCH / "counted_aws.py"), env=os.environ | CREDENTIALS)
        told = json.loads(aws.first)
        os.environ |= {
            **CREDENTIALS,
            "OPENAI_API_KEY": "bench",
            "OPENAI_BASE_URL": model.first,
            "AGENT_SESSION_STORE": "dynamodb",
            "AGENT_SESSION_TABLE": "memory",
            "AWS_ENDPOINT_URL": told["url"],
            "WAKE_QUEUE_URL": told["queue"],
        }
        for name, request in FIRST:
            before = copies(name, *[request] * rounds, snapshot=False)
            after = copies(name, *[request] * rounds)
            method, path, _ = request
            requests[f"`{name}`: `{method} {path}`"] = [
                median(each[what] for each in found.each)
                for found, what in ((before, "cpu"), (after, "cpu"), (after, "later"))
            ]
    machine = f"{datetime.now(UTC):%-d %B %Y}, load {os.getloadavg()[2]:.1f}"
    figures = {"rounds": rounds, "machine": machine, "requests": requests}
    restored_page.KEPT.write_text(json.dumps(figures, indent=1) + "\n")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(restored_page.replaced(page, restored_page.written()), encoding="utf-8")
    print(restored_page.written())


if __name__ == "__main__":
    main()
