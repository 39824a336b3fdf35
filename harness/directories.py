"""Where the laboratory keeps things for its user: as the XDG specification says."""

from __future__ import annotations

from pathlib import Path

import platformdirs

NAME = "interposition-lab"


def cache_directory() -> Path:
    """What can be made again, programs and images: under XDG_CACHE_HOME, else ~/.cache."""
    return platformdirs.user_cache_path(NAME, appauthor=False)


def state_directory() -> Path:
    """Results and findings: under XDG_STATE_HOME, else ~/.local/state."""
    return platformdirs.user_state_path(NAME, appauthor=False)
