"""Where `make dev` begins: with little, since the rest takes its time to import."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run `make dev`; Ctrl-C ends it as a signal does until there is something to stop in order."""
    # A signal that is ignored, as in a job in the background of some shells, stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from parley_local.dev import main

    return main()


if __name__ == "__main__":
    sys.exit(main())
