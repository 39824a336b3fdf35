"""Calls that a rule permits with other ids: the tracer makes them, and the target gets the result.

A call that no rule permits so goes on to its ordinary handler, where it is judged again.
"""

from __future__ import annotations

from contextlib import suppress

from enforcer.call import Elevation
from enforcer.mechanisms.ptrace.act import Act
from enforcer.mechanisms.ptrace.calls.general import General
from enforcer.mechanisms.ptrace.calls.opens import Opens, opening_of
from enforcer.mechanisms.ptrace.calls.sockets import Sockets
from enforcer.mechanisms.ptrace.held import Handler, HeldCall
from enforcer.mechanisms.ptrace.path_sockets import bind_for, connect_for, pin_socket, reach_for
from enforcer.pin import resolve_as_caller
from enforcer.pin.elevation import acting_with
from enforcer.pin.identity import OutOfReach
from enforcer.supervision.addresses import meant_by, texts_of
from enforcer.supervision.elevation import OPENS, REACHES
from enforcer.supervision.messages import path_of
from enforcer.syscalls.arguments import follows_open, read_address, signed
from enforcer.syscalls.memory import Refused, UnreadableMemory


class Elevated:
    """The attempts with other ids."""

    def __init__(self, act: Act, general: General, opens: Opens, sockets: Sockets) -> None:
        self.act = act
        self.general = general
        self.opens = opens
        self.sockets = sockets

    def handler(self, ordinary: Handler) -> Handler:
        """A handler that tries each elevation before `ordinary`."""

        def handle(call: HeldCall) -> None:
            for elevation in call.policy.elevations(call.name):
                if self.is_done(call, elevation):
                    return
            ordinary(call)

        return handle

    def is_done(self, call: HeldCall, elevation: Elevation) -> bool:
        """Make the call with these ids if the policy permits it so; False: nothing was done."""
        attempt = self.perform
        if call.name in OPENS:
            attempt = self.open
        elif call.name in REACHES:
            attempt = self.reach
        call.elevation = elevation
        with suppress(UnreadableMemory, Refused, OutOfReach), acting_with(call.view, elevation):
            if attempt(call):
                return True
        call.elevation = call.decision = None
        return False

    def is_granted(self, call: HeldCall) -> bool:
        """Whether the last decision permits the call with the ids that it is tried with."""
        return call.decision is not None and call.decision.elevation == call.elevation

    def perform(self, call: HeldCall) -> bool:
        """A call that the tracer does itself in any case."""
        general = self.general
        result = general.perform(call, general.judge(call), general.given(call))
        if not self.is_granted(call) or call.decision is None:
            return False
        if self.act.note(call, call.decision):
            self.act.cancel(call, result)
        return True

    def open(self, call: HeldCall) -> bool:
        """An open whose descriptor is handed over: it is judged once more when it is made."""
        opening = opening_of(call)
        name = call.read_string(call.args[opening.place])
        follow = follows_open(opening.flags)
        with resolve_as_caller(call.view, opening.dirfd, name, follow=follow) as pinned:
            if not pinned.name:
                return False
            self.act.decide(call, self.opens.values(call, pinned.name, opening=opening))
        if not self.is_granted(call):
            return False
        self.opens.deliver(call, opening, name)
        return True

    def reach(self, call: HeldCall) -> bool:
        """bind or connect, on a duplicate of the task's socket."""
        raw = read_address(call, call.args[1], call.args[2])
        path = path_of(raw)
        if path is not None:
            return self.reach_path(call, raw, path)
        meant = meant_by(raw, call.name, signed(call.args[0]), call.view.duplicate)
        decision = self.act.decide(call, texts_of(call.name, meant))
        if not self.is_granted(call):
            return False
        self.act.note(call, decision)
        self.sockets.by_tracer(
            call, None, lambda: reach_for(call.task, call.name, call.args[0], meant.raw)
        )
        return True

    def reach_path(self, call: HeldCall, raw: bytes, path: bytes) -> bool:
        """The same by the path of a socket."""
        binds = call.name == "bind"
        pinned = pin_socket(call.task, path, entry=binds)
        names = (pinned.name,)
        texts = {"sockaddr": names, "filename": names}
        decision = self.act.decide(call, texts, int(pinned.missing))
        if not self.is_granted(call) or pinned.errno:
            pinned.close()
            return False
        self.act.note(call, decision)
        task, register = call.task, call.args[0]
        if binds:
            self.sockets.by_tracer(call, pinned, lambda: bind_for(task, register, pinned, raw))
        else:
            self.sockets.by_tracer(call, pinned, lambda: connect_for(task, register, pinned))
        return True
