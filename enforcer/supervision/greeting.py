"""The launcher's first word under its filter, which only a supervisor answers.

A number of no ABI's table that yet lies within all of them: s390x turns away higher ones before any
filter sees them.
"""

from __future__ import annotations

GREETING = 415
