"""Names by which a target that may look into any process opens what procfs shows of its tracer.

The tracer is not dumpable, so that procfs gives its memory to CAP_SYS_PTRACE alone (mem_open and
__ptrace_may_access). A target with that capability must not open such names itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from enforcer.kernel import procfs
from enforcer.supervision.exposure import looks_into_processes

_NUMBER = re.compile(rb"/(\d+)(?=/|\Z)")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class OwnEntries:
    """What one tracer knows of them. `is_target`: whether a number is surely a target's.

    Any other number may be a thread's that the tracer begins before the kernel looks, so it is
    enough to make the tracer open the file itself, and look at what it has got (pin.ourselves).
    """

    def __init__(self, is_target: Callable[[int], bool]) -> None:
        self._is_target = is_target
        self._places: tuple[bytes, ...] = ()
        if looks_into_processes():
            self._places = mount_points(procfs.read(os.getpid(), "mountinfo"))

    def may_have(self, name: bytes) -> bool:
        """Whether an absolute name without links may lead to them."""
        if not name.startswith(self._places):
            return False
        return any(not self._is_target(int(number)) for number in _NUMBER.findall(name))


def mount_points(mountinfo: bytes) -> tuple[bytes, ...]:
    """Where procfs is mounted, with a slash behind each, by /proc/PID/mountinfo (proc(5)).

    Read by position: names in it have their blanks and line ends escaped (show_mountinfo).
    """
    found = []
    for line in mountinfo.splitlines():
        fields = line.split(b" ")
        if b"-" in fields and fields[fields.index(b"-", 6) + 1] == b"proc":
            point = _ESCAPED.sub(lambda digits: bytes([int(digits[1], 8)]), fields[4])
            found.append(point.rstrip(b"/") + b"/")
    return tuple(found)
