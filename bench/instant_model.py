"""A model's server that answers at once, and looks no closer at what it is asked than it must.

It calls `add_task` where the last thing that was said is `TOOL`, and says a sentence or two
otherwise. The first line on standard output is its URL; it stops when standard input ends.
"""

from __future__ import annotations

import json
import sys
from itertools import count

from parley_testing.loopback import Handler, LoopbackServer
from parley_testing.models.answers import response
from parley_testing.models.steps import Called, Said

TOOL = "Please add a task: buy milk."
REPLY = "That is done. You have nothing else to do today, so there is time for a walk. " * 3
_NUMBERS = count(1)


class Answering(Handler):
    """Answers requests of the Responses API."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        number = next(_NUMBERS)
        wanted = body.rfind(TOOL.encode()) > body.rfind(b"function_call_output")
        step = (
            Called("add_task", {"title": "buy milk", "notes": None, "due_at": None}, f"c{number}")
            if wanted and body.rfind(TOOL.encode()) > body.rfind(REPLY[:40].encode())
            else Said(REPLY)
        )
        self.answer(json.dumps(response(step, number)).encode(), content_type="application/json")


if __name__ == "__main__":
    with LoopbackServer(Answering) as server:
        print(f"{server.url}/v1", flush=True)
        sys.stdin.read()
