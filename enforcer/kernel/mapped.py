"""Memory of this process that ends where nothing can be read: what readers are tried on."""

from __future__ import annotations

import ctypes
import mmap

_PROT_NONE = 0


def address_of(pages: int) -> tuple[mmap.mmap, int]:
    """`pages` readable pages of this process, the next one not; the mapping and its address.

    Raises OSError.
    """
    region = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    first = ctypes.c_char.from_buffer(region)
    address = ctypes.addressof(first)
    del first
    libc = ctypes.CDLL(None, use_errno=True)
    end = ctypes.c_void_p(address + pages * mmap.PAGESIZE)
    if libc.mprotect(end, ctypes.c_size_t(mmap.PAGESIZE), _PROT_NONE):
        raise OSError(ctypes.get_errno(), "mprotect")
    return region, address
