"""Where nothing keeps events: the first refusal is said, so that nobody looks for it elsewhere."""

from __future__ import annotations

import errno

from enforcer.events import EventKind, NullLog, decision_line
from enforcer.logs.voice import Voice

_REFUSALS = frozenset({"deny", "ask", "kill"})


class FirstRefusal(NullLog):
    """Says one refusal, and by which option all are seen. The herald makes the voice ready.

    ENOSYS of the mechanism's own (clone3) is what programs expect of an older kernel: none.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._has_said = False

    def emit(self, kind: EventKind, **fields: object) -> None:
        if self._has_said or kind is not EventKind.DECISION or fields["action"] not in _REFUSALS:
            return
        is_decided = fields["rule"] is not None or fields["reason"] == "default"
        if not is_decided and fields["errno"] == errno.ENOSYS:
            return
        self._has_said = True
        self._voice.say(decision_line(fields))
        self._voice.say("no log was chosen: more refusals are not shown (--log - shows all)")
