"""The start of the program, as `airvid` and as `python -m airvid`."""

import signal
from typing import NoReturn


def entry() -> NoReturn:
    """The console script."""
    # Until a command runs, Ctrl-C ends the process at once: as an exception, a module that is being loaded could
    # catch it, or Python would show a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from airvid.cli import main

    main.entry()


if __name__ == "__main__":
    entry()
