"""Whether this kernel swaps a page out when it is told to (madvise(2), MADV_PAGEOUT)."""

from __future__ import annotations

import ctypes
import mmap
import struct
from pathlib import Path

_MADV_PAGEOUT = 21  # Python has it since 3.13 only
_PAGEMAP = Path("/proc/self/pagemap")
_ENTRY = struct.Struct("=Q")
_PRESENT = 1 << 63


def is_paged_out() -> bool:
    """Try it on a page of this process's own, as pagemap tells (Documentation/admin-guide/mm).

    Without swap there is no way out of memory for it. Raises OSError, where the kernel lacks the
    advice (5.4) or pagemap.
    """
    with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page[:] = b"x" * mmap.PAGESIZE
        page.madvise(_MADV_PAGEOUT)
        bytes_of_it = (ctypes.c_char * mmap.PAGESIZE).from_buffer(page)
        place = ctypes.addressof(bytes_of_it) // mmap.PAGESIZE
        del bytes_of_it  # the mapping cannot be closed before
        with _PAGEMAP.open("rb", buffering=0) as entries:
            entries.seek(place * _ENTRY.size)
            (entry,) = _ENTRY.unpack(entries.read(_ENTRY.size))
    return not entry & _PRESENT
