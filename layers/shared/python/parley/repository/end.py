"""The statements that end, keep or let go of a running turn; each names the attempt.

Each stands whole in `sql/`, in a file of its name.
"""

from __future__ import annotations

from parley.repository.statements import statement

COMPLETE = statement("complete")
COMPLETED_BEFORE = statement("completed_before")
STOP = statement("stop")
STOPPED_BEFORE = statement("stopped_before")
STOP_BARELY = statement("stop_barely")
FENCE = statement("fence")
HOLD_TOKENS = statement("hold_tokens")
RENEW = statement("renew")
RELEASE = statement("release")
