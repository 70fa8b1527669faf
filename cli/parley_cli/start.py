"""Where the `parley` command begins: with little, since the rest takes its time to import."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command; Ctrl-C ends it as a signal does, from the first moment on."""
    # A signal that is ignored, as in a job in the background of some shells, stays so.
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from parley_cli.main import app
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        sys.exit("parley: the command is not installed: pip install 'parley-serverless[dev]'")

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
