"""Addresses of held calls as the kernel will take them, with a look at the caller's socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from errno import EFAULT

from enforcer.call import Decision
from enforcer.supervision.messages import Duplicate
from enforcer.syscalls.memory import Refused
from enforcer.syscalls.sockaddr import Address, Socket, meant_address, refusal

_INTERNET = (socket.AF_INET, socket.AF_INET6)


def meant_by(raw: bytes, call: str, descriptor: int, duplicate: Duplicate) -> Address:
    """What `raw` means as an address of `call` on the caller's socket `descriptor`."""
    return meant_address(raw, call, lambda: _socket_of(descriptor, duplicate))


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
    if found is None or found.family == socket.AF_UNIX:
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
    # With all four arguments nothing is looked up, and nothing can fail.
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, own)
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
