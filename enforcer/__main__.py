"""`enforcer`, and `python -m enforcer`."""

from __future__ import annotations

import signal
from typing import NoReturn

# While modules are loaded Ctrl-C kills silently, instead of showing where Python was.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from enforcer.cli import cli
from enforcer.cli.verbs import call


def main() -> NoReturn:
    """The console script."""
    call(cli, "enforcer")


if __name__ == "__main__":
    main()
