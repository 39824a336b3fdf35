"""Put the calling process under a filter and execute the command in it.

From the load on every call of this process is judged by the filter, which may deny anything. So
what still has to be done, reading the kernel's own account and logging it, is done by a witness, a
detached process that is not confined; the two meet in a shared page, without a call.

    launcher                      witness
    go ---------------------------> waits for the page
    load, probe, page := loaded
    spins on the page               reads /proc/PID/status, logs, page := seen
    execve                          ends
"""

from __future__ import annotations

import mmap
import os
import select
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from enforcer.cbpf.instruction import Code, Instruction, Program, assemble
from enforcer.condition import LOW_HALF
from enforcer.events import EventKind, EventLog
from enforcer.kernel.execve import PreparedExecve, find_command
from enforcer.kernel.seccomp import (
    SeccompStatus,
    errno_of_call,
    load_filter,
    no_new_privs,
    status,
)
from enforcer.mechanisms.contract import LaunchError
from enforcer.supervision.launch import (
    Handshake,
    log_descriptors,
    restore_signals,
    start_supervisor,
)

_SPINS = 200_000_000
"""About ten seconds without looking at a clock, which would be a call."""

_FILTER_MODE = 2
_LOADED = 1
_FAILED = 2
_SEEN = 1
_REFUSED = 2


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A call that exists nowhere; only the filter answers it by `errno`, which is no error's."""

    number: int
    errno: int


class _Page:
    """The page that launcher and witness share: each writes one state, the launcher an errno."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def launcher(self) -> int:
        return self._memory[0]

    @property
    def witness(self) -> int:
        return self._memory[_WITNESS]

    @property
    def errno(self) -> int:
        return int(_ERRNO.unpack_from(self._memory, _ERRNO_AT)[0])

    def put_launcher(self, state: int, errno: int) -> None:
        _ERRNO.pack_into(self._memory, _ERRNO_AT, errno)
        self._memory[0] = state

    def put_witness(self, state: int) -> None:
        self._memory[_WITNESS] = state


_WITNESS = 1
_ERRNO_AT = 4
_ERRNO = struct.Struct("=i")


def launch_filtered(
    program: Program,
    passes: Sequence[int],
    probe: Probe,
    *,
    big_endian: bool,
    flags: int,
    command: Sequence[str],
    log: EventLog,
) -> NoReturn:
    """Load `program` and execute `command`; see Mechanism.launch.

    `passes` are the values in the program that stand for the halves of the launcher's own execve.
    """
    environment = [f"{key}={value}" for key, value in os.environ.items()]
    prepared = PreparedExecve(find_command(command[0]), command, environment)
    code = assemble(opened(program, passes, prepared.registers), big_endian=big_endian)
    page = _Page()

    def serve(handshake: Handshake) -> None:
        before = status(handshake.target)
        handshake.ready()
        handshake.wait_go()
        page.put_witness(_testify(handshake.target, before, page, probe, log))

    witness = start_supervisor(serve, keep=log_descriptors(log), name="witness")
    witness.wait_ready()
    witness.go()
    witness.close()
    restore_signals()
    try:
        no_new_privs()
        load_filter(code, flags)
    except OSError as error:
        page.put_launcher(_FAILED, error.errno or 0)
        raise LaunchError(f"the kernel refuses the filter: {error}") from error
    page.put_launcher(_LOADED, errno_of_call(probe.number))
    for _ in range(_SPINS):
        if page.witness:
            break
    if page.witness != _SEEN:
        raise LaunchError("the filter is loaded but no witness confirms that it is at work")
    raise prepared.execute()


def opened(program: Program, passes: Sequence[int], registers: Sequence[int]) -> Program:
    """The program with the halves of `registers`, low ones first, in the places of `passes`."""
    halves = [half for register in registers for half in (register & LOW_HALF, register >> 32)]
    real = dict(zip(passes, halves, strict=False))
    return tuple(
        Instruction(op.code, real[op.k], op.jt, op.jf)
        if op.code == Code.JEQ and op.k in real
        else op
        for op in program
    )


def _testify(target: int, before: SeccompStatus, page: _Page, probe: Probe, log: EventLog) -> int:
    """Wait for the launcher, log what the kernel says of it, and judge it."""
    death = select.poll()
    death.register(os.pidfd_open(target), select.POLLIN)
    while page.launcher == 0 and not death.poll(0):
        os.sched_yield()
    if page.launcher != _LOADED:
        return _REFUSED
    after = status(target)
    evidence = {
        "mechanism": "seccomp",
        "target": target,
        "mode_before": before.mode,
        "mode": after.mode,
        "filters_before": before.filters,
        "filters": after.filters,
        "no_new_privs": after.no_new_privs,
        "probe": probe.number,
        "probe_errno": page.errno,
    }
    if not _is_confined(before, after) or page.errno != probe.errno:
        log.emit(EventKind.DETECTION, reason="the filter is not at work", **evidence)
        return _REFUSED
    log.emit(EventKind.ENFORCING, **evidence)
    return _SEEN


def _is_confined(before: SeccompStatus, after: SeccompStatus) -> bool:
    if after.mode != _FILTER_MODE:
        return False
    if before.filters is None or after.filters is None:
        return True
    return after.filters == before.filters + 1
