"""What an enforcer that fails says of it: the error, and the line that whoever wrote it looks for.

Mechanisms are subclassed by others, whose mistakes surface in our loops.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import enforcer

_LIBRARIES = (Path(enforcer.__file__).parent, Path(os.__file__).parent)


def told(error: BaseException) -> str:
    """Kind and text of an error, as they stand at the end of a traceback."""
    return f"{type(error).__name__}: {error}"


def place(error: BaseException) -> str:
    """FILE:LINE of the innermost frame outside of the enforcer and of Python's library, or where
    there is none, of the innermost one; empty for an error that was never raised.
    """
    # Not extract_tb, which reads the sources: whoever fails may have no descriptor left.
    walked = traceback.walk_tb(error.__traceback__)
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in walked]
    others = [(path, line) for path, line in frames if not _is_library(path)]
    return next((f"{path}:{line}" for path, line in reversed(others or frames)), "")


def _is_library(path: Path) -> bool:
    return any(path.is_relative_to(directory) for directory in _LIBRARIES)
