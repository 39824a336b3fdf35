"""How packages get beside the laboratory. Standard library only: this also runs inside guests."""

from __future__ import annotations

import sys
from pathlib import Path


def by_pip(*packages: str) -> str:
    """The command to type: pipx, which says so in each environment of its own, or pip."""
    is_pipx = (Path(sys.prefix) / "pipx_metadata.json").exists()
    return " ".join(["pipx inject interposition-lab" if is_pipx else "pip install", *packages])
