"""`python -m tests.mutants`, which `ci/mutants` calls in the tree's root."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.process import end_as_interrupted
from tests.mutants.command import main

if __name__ == "__main__":
    end_as_interrupted()
    try:
        sys.exit(main(sys.argv[1:], Path.cwd()))
    except KeyboardInterrupt:
        sys.exit(130)
