"""Reading and writing a target's memory: byte-exact, each range once, failing closed.

A read can stall for as long as the target wishes (userfaultfd, a FUSE mapping): whoever cannot
afford that uses BoundedReader.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from errno import EFAULT, ENAMETOOLONG, EPERM, ESRCH
from queue import SimpleQueue
from typing import Protocol

from enforcer.kernel.process_memory import (
    PAGE,
    address_of,
    new_buffer,
    read_memory,
    read_short,
    read_text,
    write_memory,
    write_short,
)
from enforcer.syscalls.memory import PATH_MAX as PATH_MAX
from enforcer.syscalls.memory import UnreadableMemory as UnreadableMemory

_FIRST = 256
_VECTORS = 1024


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.text = new_buffer(PATH_MAX + 1)
        self.address = address_of(self.text)
        self.view = memoryview(self.text).cast("B")


_buffers = _Buffers()


def _fail(address: int, result: int, what: str) -> UnreadableMemory:
    if result in (-ESRCH, -EPERM):
        what = f"{what}: the target is gone or out of reach"
    return UnreadableMemory(address, EFAULT, what)


def read_string(pid: int, address: int, limit: int = PATH_MAX) -> bytes:
    """The NUL-terminated string at `address` of task `pid`, without its NUL.

    `limit` counts bytes with the NUL. Raises UnreadableMemory: EFAULT when the
    string runs into memory that cannot be read, ENAMETOOLONG when there is no NUL within `limit`.
    """
    known = read_text(pid, address)
    if known is not None and len(known) < limit:
        return known
    buffers = _buffers
    text = buffers.text
    size = _FIRST if limit > _FIRST else limit
    room = PAGE - address % PAGE
    if room < size:
        size = room
    result = read_memory(pid, address, buffers.address, size)
    if result > 0:
        found = text.value
        if len(found) < result:
            return found
    if result != size:
        raise _fail(address, result, "string not readable")
    start = bytes(memoryview(text)[:size])
    rest, place = text, buffers.address
    if limit > PATH_MAX:
        rest = new_buffer(limit + 1)
        place = address_of(rest)
    result = read_memory(pid, address + size, place, limit - size) if limit > size else 0
    if result > 0:
        found = rest.value
        if len(found) < result:
            return start + found
    if result == limit - size:
        raise UnreadableMemory(address, ENAMETOOLONG, f"no end within {limit} bytes")
    raise _fail(address + size, result, "string not readable up to its end")


def read_bytes(pid: int, address: int, size: int) -> bytes:
    """Exactly `size` bytes at `address`. Raises UnreadableMemory."""
    if size == 0:
        return b""
    short = read_short(pid, address, size)
    if short is not None:
        return short
    if size <= PATH_MAX:
        buffers = _buffers
        _transfer(read_memory, pid, address, buffers.address, size, "not readable")
        return bytes(buffers.view[:size])
    buffer = new_buffer(size)
    _transfer(read_memory, pid, address, address_of(buffer), size, "not readable")
    return buffer.raw


def write_bytes(pid: int, address: int, data: bytes) -> None:
    """Write all of `data` at `address`. Raises UnreadableMemory; a part may have been written."""
    size = len(data)
    if size == 0 or write_short(pid, address, data):
        return
    if size <= PATH_MAX:
        buffers = _buffers
        buffers.view[:size] = data
        _transfer(write_memory, pid, address, buffers.address, size, "not writable")
        return
    buffer = new_buffer(data)
    _transfer(write_memory, pid, address, address_of(buffer), size, "not writable")


def _transfer(
    move: Callable[[int, int, int, int], int],
    pid: int,
    address: int,
    buffer: int,
    size: int,
    failure: str,
) -> None:
    done = 0
    while done < size:
        chunk = min(size - done, (_VECTORS - 1) * PAGE)
        result = move(pid, address + done, buffer + done, chunk)
        if result != chunk:
            raise _fail(address + done, result, failure)
        done += chunk


class Reader(Protocol):
    """How memory is read; the module's functions and BoundedReader both fit."""

    def read_string(self, pid: int, address: int, limit: int = PATH_MAX) -> bytes: ...

    def read_bytes(self, pid: int, address: int, size: int) -> bytes: ...


class _Job:
    __slots__ = ("abandoned", "done", "error", "function", "result")

    def __init__(self, function: Callable[[], bytes]) -> None:
        self.function = function
        self.done = threading.Event()
        self.abandoned = False
        self.result = b""
        self.error: UnreadableMemory | None = None


class BoundedReader:
    """Reads in a helper thread, so that a page that never comes costs `limit_s` seconds at most.

    A stalled helper cannot be interrupted: it is left behind (it ends with its target) and the
    next read gets a new one. After `most_stalled` of them every read fails closed at once.
    """

    def __init__(self, limit_s: float = 1.0, most_stalled: int = 64) -> None:
        self.limit_s = limit_s
        self.most_stalled = most_stalled
        self._lock = threading.Lock()
        self._stalled = 0
        self._idle: list[SimpleQueue[_Job | None]] = []

    def read_string(self, pid: int, address: int, limit: int = PATH_MAX) -> bytes:
        """As the function of this name; UnreadableMemory (EFAULT) when the time is over."""
        return self._run(address, lambda: read_string(pid, address, limit))

    def read_bytes(self, pid: int, address: int, size: int) -> bytes:
        """As the function of this name; UnreadableMemory (EFAULT) when the time is over."""
        return self._run(address, lambda: read_bytes(pid, address, size))

    def close(self) -> None:
        """Let the idle helpers end."""
        with self._lock:
            idle, self._idle = self._idle, []
        for queue in idle:
            queue.put(None)

    def _run(self, address: int, function: Callable[[], bytes]) -> bytes:
        with self._lock:
            if self._stalled >= self.most_stalled:
                raise UnreadableMemory(address, EFAULT, "too many stalled reads")
            queue = self._idle.pop() if self._idle else self._start()
        job = _Job(function)
        queue.put(job)
        if not job.done.wait(self.limit_s):
            with self._lock:
                if not job.done.is_set():
                    job.abandoned = True
                    self._stalled += 1
            queue.put(None)
            raise UnreadableMemory(address, EFAULT, f"read stalled for {self.limit_s} s")
        with self._lock:
            self._idle.append(queue)
        if job.error is not None:
            raise job.error
        return job.result

    def _start(self) -> SimpleQueue[_Job | None]:
        queue: SimpleQueue[_Job | None] = SimpleQueue()
        threading.Thread(target=self._serve, args=(queue,), daemon=True).start()
        return queue

    def _serve(self, queue: SimpleQueue[_Job | None]) -> None:
        while (job := queue.get()) is not None:
            try:
                job.result = job.function()
            except UnreadableMemory as error:
                job.error = error
            with self._lock:
                job.done.set()
                self._stalled -= job.abandoned
