"""``python -m l2cli``, and what the ``l2norm`` script calls.

It holds what must come before the command is imported, and nothing else.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until the command listens there is nothing to clean up: Ctrl-C may end it on the spot.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from l2cli.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
