"""Names resolved once, in one task's view, to an object; the call then acts on that object.

Results are the kernel's: a number >= 0 or -errno. `lexical`, `open_judged`, `resolve` and `perform`
are what mechanisms use; a Judge answers 0 to permit or the errno to refuse with.
"""

from __future__ import annotations

from enforcer.pin.domain import Domains, domain_from
from enforcer.pin.kept_view import KeptView
from enforcer.pin.lexical import lexical
from enforcer.pin.opening import Judge, open_for_reading, open_judged, wrong_flags
from enforcer.pin.performing import finish, perform, performed, performs, prepare
from enforcer.pin.pinned import Pinned
from enforcer.pin.resolution import resolve, resolve_as_caller
from enforcer.pin.view import TargetGone, View

__all__ = [
    "Domains",
    "Judge",
    "KeptView",
    "Pinned",
    "TargetGone",
    "View",
    "domain_from",
    "finish",
    "lexical",
    "open_for_reading",
    "open_judged",
    "perform",
    "performed",
    "performs",
    "prepare",
    "resolve",
    "resolve_as_caller",
    "wrong_flags",
]
