"""What a cell's works speak: JSON objects in, JSON objects out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

Answer = Mapping[str, object]
Exchange = Callable[[Answer], Mapping[str, object]]
"""Gives an answer and waits for the next question of the same session."""

Work = Callable[[Mapping[str, object], Path, Exchange], Answer]
"""What a walled-in process does with a question; the path is that of its private file system."""
