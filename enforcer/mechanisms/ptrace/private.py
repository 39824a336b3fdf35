"""Numbers that no kernel uses and that only the tracer and its launcher give meaning to."""

from __future__ import annotations

HELLO = 0x0EF0_0001
"""The launcher's first word under the filter: argument 0 is the listener's descriptor."""

DELIVER = 0x0EF0_0002
"""A stopped call is renumbered to this one to be held for its descriptor (USER_NOTIF)."""

AGAIN = 0x0EF0_0003
"""A task on its way back from a rewritten call asks for its call to be judged another way."""
