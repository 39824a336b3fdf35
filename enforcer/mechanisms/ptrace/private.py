"""Numbers that no kernel uses and that only the tracer and its launcher give meaning to.

s390x keeps 16 bits of a number that a tracer writes, arm 20 (and then knows fork by 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from errno import EACCES, EEXIST, EINVAL, ENOENT, ENOTDIR

from enforcer.supervision.greeting import GREETING

HELLO = GREETING
"""The launcher's first word under the filter: argument 0 is the listener's descriptor."""

DELIVER = 0x7EF2
"""A stopped call is renumbered to this one to be held for its descriptor (USER_NOTIF)."""

NO_CALL = -1
"""Renumbered to this, a call is not carried out."""

AGAIN = 0x7EF3
"""A task on its way back from a rewritten call asks for its call to be judged another way."""

ANSWERS: Mapping[int, int] = {
    -number: 0x7F00 + number for number in (0, ENOENT, EACCES, EEXIST, ENOTDIR, EINVAL)
}
"""Results and the numbers that the filter itself answers with them (ERRNO): a stopped call gets its
result by being renumbered, in one request (see looks.py)."""

ASKS = 0x6C61
"""SECCOMP_RET_DATA by which the tracer's own filter asks it. With other data the target's own does.

Of two filters that answer RET_TRACE the kernel passes on the data of the later one
(seccomp_run_filters), which is the target's.
"""
