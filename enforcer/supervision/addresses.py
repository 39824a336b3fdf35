"""Addresses of held calls as the kernel will take them, with a look at the caller's socket."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from errno import EBADF, EFAULT, ENOTSOCK

from enforcer.call import Decision
from enforcer.supervision.messages import Duplicate
from enforcer.syscalls.memory import Refused
from enforcer.syscalls.sockaddr import Address, Look, Socket, meant_address, plain_text, refusal

_INTERNET = (socket.AF_INET, socket.AF_INET6)

_MOST_MEANINGS = 8192
_meanings: dict[tuple[str, bytes], Address] = {}
"""Addresses that mean the same on every socket, by call and bytes."""


def meant_by(raw: bytes, call: str, descriptor: int, duplicate: Duplicate) -> Address:
    """What `raw` means as an address of `call` on the caller's socket `descriptor`.

    What it means on any socket is worked out once; for connect(2) a judge knows what it permitted.
    """

    if call == "connect":
        text = plain_text(raw)
        if text is not None:
            return Address(text, raw)

    def look() -> Socket | None:
        return _socket_of(descriptor, duplicate)

    address = meant_address(raw, call, look) if call == "connect" else _known(raw, call, look)
    wrong = descriptor_refusal(descriptor, duplicate) if address.text is None else 0
    return address._replace(errno=wrong) if wrong else address


def _known(raw: bytes, call: str, look: Look) -> Address:
    known = _meanings.get((call, raw))
    if known is not None:
        return known
    is_asked = False

    def asked() -> Socket | None:
        nonlocal is_asked
        is_asked = True
        return look()

    address = meant_address(raw, call, asked)
    if not is_asked and address.text is not None:
        if len(_meanings) >= _MOST_MEANINGS:
            _meanings.clear()
        _meanings[call, raw] = address
    return address


def early_refusal(call: str, descriptor: int, duplicate: Duplicate) -> int:
    """Why the kernel refuses the descriptor before it reads an address; 0: it does not.

    __sys_connect takes a file for a socket until it has copied the address.
    """
    wrong = descriptor_refusal(descriptor, duplicate)
    return 0 if (call, wrong) == ("connect", ENOTSOCK) else wrong


def descriptor_refusal(descriptor: int, duplicate: Duplicate) -> int:
    """Why a descriptor of the caller's is no socket: an errno, or 0."""
    own = duplicate(descriptor)
    if own < 0:
        return -own
    try:
        if fcntl.fcntl(own, fcntl.F_GETFL) & os.O_PATH:
            return EBADF
        return 0 if stat.S_ISSOCK(os.fstat(own).st_mode) else ENOTSOCK
    finally:
        os.close(own)


def texts_of(call: str, address: Address) -> Mapping[str, Sequence[str | None]]:
    """The texts that rules see of an address that is no path, on which file names say nothing."""
    texts = {"sockaddr": (address.text,)}
    return texts | {"filename": ("",)} if call == "bind" and address.text is None else texts


def missing_path(
    raw: bytes, call: str, descriptor: int, duplicate: Duplicate, number: int
) -> Refused:
    """Why nothing can be sent to a path where no socket is; `number` says so of UNIX sockets.

    A socket of another family never walks the path.
    """
    found = _socket_of(descriptor, duplicate)
    if found is None:
        return Refused(descriptor_refusal(descriptor, duplicate) or number)
    if found.family == socket.AF_UNIX:
        return Refused(number)
    return Refused(refusal(raw, call, found))


def in_kernel_terms(decision: Decision, *addresses: Address) -> Decision:
    """A refusal for want of a text, with the errno that the kernel has for such an address."""
    if decision.rule is not None or decision.errno != EFAULT:
        return decision
    found = next((address.errno for address in addresses if address.text is None), 0)
    return replace(decision, errno=found) if found else decision


def _socket_of(descriptor: int, duplicate: Duplicate) -> Socket | None:
    own = duplicate(descriptor)
    if own < 0:
        return None
    try:
        asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, own)
    except OSError:
        # Python asks a descriptor for its name: ENOTSOCK of a file, EBADF of an O_PATH descriptor.
        os.close(own)
        return None
    try:
        family = asked.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
        kind = asked.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
        source = b""
        if family in _INTERNET:
            source = socket.inet_pton(family, asked.getsockname()[0].split("%")[0])
    except OSError:
        return None
    finally:
        os.close(asked.detach())
    return Socket(family=family, kind=kind, source=source)
