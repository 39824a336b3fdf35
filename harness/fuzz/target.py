"""The actor as a target: started bare or under a backend, told step by step or left to a batch."""

from __future__ import annotations

import functools
import os
import select
import signal
import socket
import struct
import time
from pathlib import Path

from enforcer.arch import native
from enforcer.events import NullLog
from enforcer.mechanisms.contract import MechanismName, Options, Plan
from enforcer.policy.ast import Policy
from harness import process
from harness.backends import backend, mechanism
from harness.fuzz.steps import CHANNEL, SHARED, TASKS, Image, Operation, Slot, Step

STEP_S = 30.0
"""How long one step may take before the target is said to hang."""

CLONE_VFORK = 0x4000
_PLACE = struct.Struct("=I")
_LAUNCH_FAILED = 71


class TargetError(RuntimeError):
    """The target could not be started, hung, or ended before its time; the message says which."""


class Target:
    """A tree of tasks. `pids` are those that are known to live, by the number of the task.

    Bare when `policy` is None. Raises TargetError when it does not start.
    """

    def __init__(
        self, program: Path, image: Image, name: str, policy: Policy | None, directory: Path
    ) -> None:
        self.image = image
        self.name = name
        self.pids: dict[int, int] = {}
        ends = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(TASKS)]
        self.channels = [ours for ours, _ in ends]
        theirs = [end for _, end in ends]
        arrival, on_the_way = os.pipe()
        plan = None if policy is None else plan_of(name, policy)
        command = [str(program), str(image.size)]

        def body() -> int:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for standard in range(3):
                os.dup2(nothing, standard)
            os.dup2(image.fd, SHARED)
            for task, end in enumerate(theirs):
                os.dup2(end.fileno(), CHANNEL + task)
            first = CHANNEL + TASKS
            if plan is None:
                os.dup2(on_the_way, first, inheritable=False)
                first += 1
            os.closerange(3, SHARED)
            os.closerange(first, 1 << 16)
            os.chdir(directory)
            os.umask(0o022)
            if plan is None:
                os.execv(program, command)
            backend(name).launch(plan, command, NullLog())
            return _LAUNCH_FAILED

        self.main = process.fork(body)
        for end in theirs:
            end.close()
        os.close(on_the_way)
        if plan is None:
            # Its directory and descriptors are looked at from outside before the first step.
            os.read(arrival, 1)
        os.close(arrival)
        self.pids[0] = self.main
        self._pending: dict[int, int] = {}

    def close(self) -> None:
        for channel in self.channels:
            channel.close()

    def tell(self, place: int, task: int, newborn: int | None = None) -> int:
        """Have a step made; its result. Raises TargetError when the task hangs or is gone.

        `newborn` is the task that the step makes.
        """
        self._send(task, place)
        answers = {task} if newborn is None else {task, newborn}
        done = self._receive(answers, place)
        if newborn is None:
            return self.image.result(place)
        if done == newborn:
            # A parent by vfork answers when its child has ended or has a new image.
            if self.image.registers(place)[0] & CLONE_VFORK:
                self._pending[newborn] = task
            else:
                self._receive({task}, place)
        elif self.image.result(place) >= 0:
            self._receive({newborn}, place)
        if self.image.result(place) > 0:
            self.pids[newborn] = self.image.result(place)
        return self.image.result(place)

    def suspended(self) -> set[int]:
        """Parents by vfork whose children have neither ended nor a new image."""
        return set(self._pending.values())

    def arrived(self) -> None:
        """Wait until the first task waits to be told. Raises TargetError."""
        self.image.put(Step(0, "store", (Slot(0), 0), Operation.STORE))
        self.tell(0, 0)

    def released(self, task: int) -> None:
        """The task has ended or has a new image: a parent that waited for that goes on."""
        parent = self._pending.pop(task, None)
        if parent is not None:
            self._receive({parent}, None)

    def _send(self, task: int, place: int) -> None:
        try:
            self.channels[task].send(_PLACE.pack(place), socket.MSG_NOSIGNAL)
        except OSError as error:
            raise TargetError(f"task {task} is gone: {error}") from None

    def _receive(self, tasks: set[int], place: int | None) -> int:
        """The task of those that says first that the step is made."""
        by_fd = {self.channels[task].fileno(): task for task in tasks}
        poller = select.poll()
        for fd in by_fd:
            poller.register(fd, select.POLLIN)
        # The one whose input is closed is the fuzzer: nobody waits for us any more.
        poller.register(0, 0)
        deadline = time.monotonic() + STEP_S
        while True:
            left = deadline - time.monotonic()
            ready = poller.poll(max(left, 0) * 1000)
            for fd, _ in ready:
                if fd == 0:
                    raise SystemExit(1)
                data = self.channels[by_fd[fd]].recv(_PLACE.size)
                if not data:
                    raise TargetError(f"task {by_fd[fd]} ended at step {place}")
                if place is None or _PLACE.unpack(data)[0] == place:
                    return by_fd[fd]
            if left <= 0:
                raise TargetError(f"tasks {sorted(tasks)} hang at step {place}")

    def wait_batch(self) -> None:
        """Wait for the end of the first task, as long as steps are made.

        Raises TargetError when it hangs or is killed.
        """
        pidfd = os.pidfd_open(self.main)
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.register(0, 0)
        turn = -1
        while not (ready := poller.poll(STEP_S * 1000)) and turn != self.image.turn:
            turn = self.image.turn
        os.close(pidfd)
        if (0, select.POLLHUP) in ready:
            raise SystemExit(1)
        if not ready:
            raise TargetError(f"hangs at step {self.image.turn} under {self.name}")
        status = os.waitstatus_to_exitcode(os.waitpid(self.main, 0)[1])
        if status:
            raise TargetError(f"ended with {status} at step {self.image.turn} under {self.name}")


@functools.lru_cache(maxsize=4)
def plan_of(name: str, policy: Policy) -> Plan:
    """Whatever of the policy the backend can enforce; cover() says what that is."""
    if name in list(MechanismName):
        return mechanism(name).compile([policy], native().abis, Options(partial=True))
    return backend(name).compile([policy], native().abis)


def end_all() -> None:
    """As init of a pid namespace: kill and reap every other process of it."""
    while True:
        process.kill(-1)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def supervisors(first: int) -> tuple[int, ...]:
    """As init of a pid namespace in which only the target's first task runs: the processes beside.

    Those are what watches over the target.
    """
    return tuple(pid for pid in processes() if pid not in (1, first))


def processes() -> list[int]:
    """Every process of the pid namespace."""
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]


def stop(pid: int) -> None:
    """SIGKILL to a process that another one reaps, and wait until it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    select.select([pidfd], [], [], STEP_S)
    os.close(pidfd)
