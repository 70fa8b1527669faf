"""A function in a process of its own: each line is an event, and each report is told on one."""

from __future__ import annotations

import json
import sys

from parley_testing.api.handlers import Context, load_function

REPORT = "REPORT "
"""How a line begins that has a report; metrics are written there too."""

if __name__ == "__main__":
    function = load_function(sys.argv[1])
    for line in sys.stdin:
        print(REPORT + json.dumps(function.handler(json.loads(line), Context())), flush=True)
