"""`enforcer`, and `python -m enforcer`."""

from __future__ import annotations

import sys

from enforcer.cli import cli


def main() -> None:
    """The console script."""
    sys.exit(cli(prog_name="enforcer"))


if __name__ == "__main__":
    main()
