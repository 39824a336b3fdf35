"""`harness`, and `python -m harness`."""

from __future__ import annotations

import sys

from harness.cli import cli


def main() -> None:
    """The console script."""
    sys.exit(cli(prog_name="harness"))


if __name__ == "__main__":
    main()
