"""Performing a call for a task: its names pinned, judged, and the act done on what was pinned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from errno import EACCES, EFAULT
from functools import cache
from types import MappingProxyType

from enforcer.kernel.openat2 import AT_FDCWD
from enforcer.kernel.paths import AT_EACCESS
from enforcer.kernel.raw import NATIVE_ABI
from enforcer.pin.acts import (
    attributes,
    entries,
    extended,
    file_attributes,
    handles,
    looking,
    watches,
)
from enforcer.pin.channel import Answer, Deputed
from enforcer.pin.glance import GLANCES, by_text, glance
from enforcer.pin.identity import is_acting
from enforcer.pin.opening import Judge
from enforcer.pin.pinned import Pinned
from enforcer.pin.remote import Facts, RemoteView, carry_out, is_deputed
from enforcer.pin.request import Act, Request
from enforcer.pin.resolution import resolve, resolve_open_file
from enforcer.pin.view import View, as_caller
from enforcer.supervision.memory import UnreadableMemory
from enforcer.syscalls import syscall
from enforcer.syscalls.model import Argument, Follow

_ACTS: Mapping[str, Act] = {
    **entries.ACTS,
    **attributes.ACTS,
    **extended.ACTS,
    **file_attributes.ACTS,
    **handles.ACTS,
    **looking.ACTS,
    **watches.ACTS,
}
_CHECKS: Mapping[str, Act] = {
    **entries.CHECKS,
    **attributes.CHECKS,
    **extended.CHECKS,
    **file_attributes.CHECKS,
    **handles.CHECKS,
    **looking.CHECKS,
    **watches.CHECKS,
}
_ASK_REAL_IDS = frozenset({"access", "faccessat", "faccessat2"})
_BOUND_BY_LANDLOCK = frozenset({*entries.ACTS, "truncate", "truncate64"})
"""Calls that a Landlock domain may forbid; those that look, or change attributes, it never does."""
_NOTHING: Mapping[int, bytes] = MappingProxyType({})
_TO_BE_DONE = 1 << 32
"""No call that is prepared has such a result."""


def performs(call: str) -> bool:
    """Whether `perform` can do this call."""
    return call in _ACTS


def performed() -> frozenset[str]:
    """The calls that `perform` can do."""
    return frozenset(_ACTS)


def perform(
    view: View,
    abi: str,
    call: str,
    args: Sequence[int],
    judge: Judge,
    given: Mapping[int, bytes] = _NOTHING,
) -> int:
    """Do `call` for the task on pinned objects: what the kernel would return, a result or -errno.

    `args` are the six registers of `abi` (a multiplexed call is split before). Memory is read once
    unless `given` (register -> bytes) has it. `judge` is not asked about a call that cannot come to
    name anything (unreadable or empty name, bad descriptor). Credentials as in open_judged. May
    block where the call does. Raises TargetGone, OutOfReach, and KeyError for a call that it does
    not do.
    """
    how = GLANCES.get(call) if abi == NATIVE_ABI else None
    if how is not None:
        text = given.get(how.name)
        try:
            text = view.read_string(args[how.name]) if text is None else text
        except UnreadableMemory:
            text = None
        if text is not None:
            result = glance(how, view, args, text, by_text(judge))
            if result is not None:
                return result
            given = {**given, how.name: text}
    return perform_walking(view, abi, call, args, judge, given)


def perform_walking(
    view: View,
    abi: str,
    call: str,
    args: Sequence[int],
    judge: Judge,
    given: Mapping[int, bytes] = _NOTHING,
) -> int:
    """As `perform`, where a glance was not enough."""

    def act() -> int:
        if not is_deputed():
            return _perform(Request(view, abi, call, args, given), judge)
        asked = abi, call, tuple(args), dict(given)
        found, _ = carry_out(_perform_there, view, judge, *asked)
        assert isinstance(found, int)
        return found

    if is_acting() or view.has_supervisors_rights:
        return act()
    asks_real = call in _ASK_REAL_IDS and not (call == "faccessat2" and args[3] & AT_EACCESS)
    return as_caller(
        view,
        act,
        asks_real=asks_real,
        is_bound=call in _BOUND_BY_LANDLOCK,
    )


def prepare(
    view: View,
    abi: str,
    call: str,
    args: Sequence[int],
    judge: Judge,
    given: Mapping[int, bytes] = _NOTHING,
) -> Request | int:
    """As `perform`, up to the act itself: what `finish` takes, or a result where there is none.

    A task of other namespaces has all of it done at once, by its deputy. Raises as `perform`.
    """
    request = Request(view, abi, call, args, given)

    def act() -> int:
        if is_deputed():
            return perform(view, abi, call, args, judge, given)
        result = _without_act(request, judge)
        return _TO_BE_DONE if result is None else result

    try:
        result = as_caller(view, act, is_bound=call in _BOUND_BY_LANDLOCK)
    except UnreadableMemory as error:
        result = -error.errno
    except BaseException:
        request.close()
        raise
    if result == _TO_BE_DONE:
        return request
    request.close()
    return result


def finish(request: Request) -> int:
    """The act that `prepare` left, by any thread of the supervisor: a result or -errno."""

    def act() -> int:
        return _ACTS[request.call](request)

    try:
        return as_caller(request.view, act, is_bound=request.call in _BOUND_BY_LANDLOCK)
    except UnreadableMemory as error:
        return -error.errno
    finally:
        request.close()


def _perform_there(
    deputed: Deputed,
    facts: Facts,
    abi: str,
    call: str,
    args: Sequence[int],
    given: Mapping[int, bytes],
) -> Answer:
    view = RemoteView(deputed, facts)
    return _perform(Request(view, abi, call, args, given), view.judge), ()


def _perform(request: Request, judge: Judge) -> int:
    try:
        result = _without_act(request, judge)
        return _ACTS[request.call](request) if result is None else result
    except UnreadableMemory as error:
        return -error.errno
    finally:
        request.close()


def _without_act(request: Request, judge: Judge) -> int | None:
    """Names pinned and judged: a result of the call, or None where it is to be done."""
    for argument in _paths(request.call, request.abi.name):
        pinned = _pin(request, argument)
        request.pins.append(pinned)
        if pinned.unplaced:
            return -judge((), 0)
        if not pinned.name:
            return min(_check(request) or -pinned.errno, 0)
    errno = _judged(request, judge)
    if errno:
        return -errno
    wrong = _check(request)
    if wrong:
        return min(wrong, 0)
    for pinned in request.pins:
        if pinned.errno:
            return -pinned.errno
    if request.view.validate is not None:
        request.view.validate()  # it was the task's memory that names were read from
    return None


@cache
def _paths(call: str, abi: str) -> tuple[Argument, ...]:
    return tuple(argument for argument in syscall(call, abi).arguments if argument.is_name)


def _check(request: Request) -> int:
    check = _CHECKS.get(request.call)
    return 0 if check is None else check(request)


def _judged(request: Request, judge: Judge) -> int:
    names = tuple(pinned.name for pinned in request.pins)
    missing = sum(pinned.missing << place for place, pinned in enumerate(request.pins))
    errno = judge(names, missing)
    same = request.view.same_objects
    for place, pinned in enumerate(request.pins):
        aliases = pinned.others
        if same is not None and pinned.fd >= 0:
            aliases += same.of(pinned.fd)
        for alias in aliases:
            errno = errno or judge((*names[:place], alias, *names[place + 1 :]), missing)
    return errno


def _pin(request: Request, argument: Argument) -> Pinned:
    """Read one name and resolve it as the model says."""
    if argument.named:
        return resolve_open_file(request.view, request.int32(argument.index))
    dirfd = AT_FDCWD if argument.dirfd is None else request.int32(argument.dirfd)
    flags = 0 if argument.follow_argument is None else request.uint32(argument.follow_argument)
    empty = argument.empty or bool(flags & argument.empty_flag)
    is_null = not request.pointer(argument.index) and argument.index not in request.given
    name = b""
    if is_null and argument.null:
        if dirfd == AT_FDCWD:
            return Pinned(name=b"", errno=EFAULT)
        return resolve_open_file(request.view, dirfd)
    if not (is_null and argument.nullable and empty):
        try:
            name = request.string(argument.index)
        except UnreadableMemory as error:
            return Pinned(name=b"", errno=error.errno)
    if argument.opened and empty and not name and dirfd >= 0:
        return resolve_open_file(request.view, dirfd)
    match argument.follow:
        case Follow.NEVER:
            follow = False
        case Follow.UNLESS_FLAG:
            follow = not flags & argument.follow_flag
        case Follow.IF_FLAG:
            follow = bool(flags & argument.follow_flag)
        case Follow.ALWAYS | Follow.OPEN:
            follow = True
    if argument.layout:
        return Pinned(name=b"", errno=EACCES)
    return resolve(
        request.view,
        dirfd,
        name,
        follow=follow,
        entry=argument.parent,
        empty=empty,
        creates=False,
    )
