"""Extended attributes by name, raw: a result or -errno."""

from __future__ import annotations

import ctypes

from enforcer.kernel.raw import ADDRESS, BYTES, INT, SIZE, raw_call

XATTR_NAME_MAX = 255
XATTR_SIZE_MAX = 65536
XATTR_LIST_MAX = 65536

setxattr = raw_call("setxattr", arguments=(BYTES, BYTES, BYTES, SIZE, INT))
removexattr = raw_call("removexattr", arguments=(BYTES, BYTES))
_getxattr = raw_call("getxattr", arguments=(BYTES, BYTES, ADDRESS, SIZE))
_listxattr = raw_call("listxattr", arguments=(BYTES, ADDRESS, SIZE))


def getxattr(path: bytes, name: bytes, size: int) -> tuple[int, bytes]:
    """The call's result and what it wrote. `size` 0 asks for the value's length."""
    if size == 0:
        return _getxattr(path, name, None, 0), b""
    buffer = ctypes.create_string_buffer(min(size, XATTR_SIZE_MAX))
    result = _getxattr(path, name, ctypes.addressof(buffer), len(buffer))
    return result, buffer.raw[: max(result, 0)]


def listxattr(path: bytes, size: int) -> tuple[int, bytes]:
    """The call's result and what it wrote. `size` 0 asks for the list's length."""
    if size == 0:
        return _listxattr(path, None, 0), b""
    buffer = ctypes.create_string_buffer(min(size, XATTR_LIST_MAX))
    result = _listxattr(path, ctypes.addressof(buffer), len(buffer))
    return result, buffer.raw[: max(result, 0)]
