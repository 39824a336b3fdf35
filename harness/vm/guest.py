"""The host's end of the guest agent: start programs, pass their streams, store files."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.vm.frames import FRAME_MAX, Decoder, Frame, FrameError, FrameType, encode
from harness.vm.qemu import Qemu

CHUNK = FRAME_MAX // 2
FIRST_FREE = 16  # lower ids name programs that outlive a conversation
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Refused(Exception):
    """The guest could not do what was asked (no such program, disk full...)."""


@dataclass
class Running:
    """A program in the guest. `status` is its wait status, None while it runs."""

    id: int
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    status: int | None = None


class Guest:
    """A conversation with the agent in one virtual machine. Every wait has a limit."""

    def __init__(self, qemu: Qemu, timeout_s: float) -> None:
        self.qemu = qemu
        self._socket: socket.socket = qemu.connect("agent", timeout_s)
        self._socket.setblocking(False)
        self._decoder = Decoder()
        self._frames: list[Frame] = []
        self._running: dict[int, Running] = {}
        self._next = FIRST_FREE

    def close(self) -> None:
        self._socket.close()

    def wait_ready(self, timeout_s: float) -> None:
        """Until the agent says that it serves. Raises LostVM."""
        self._expect(FrameType.READY, 1, timeout_s)

    def ping(self, payload: bytes, timeout_s: float = 10.0) -> bytes:
        """What the agent sends back for `payload`."""
        number = self._number()
        self._send(Frame(FrameType.PING, number, payload), timeout_s)
        return self._expect(FrameType.PONG, number, timeout_s).payload

    def synchronise(self, timeout_s: float = 10.0) -> None:
        """Give the guest the host's time and fresh randomness (after a restore)."""
        now = time.time_ns()
        payload = struct.pack("<QI", *divmod(now, 1_000_000_000)) + os.urandom(32)
        number = self._number()
        self._send(Frame(FrameType.SYNC, number, payload), timeout_s)
        self._expect(FrameType.DONE, number, timeout_s)

    def put(self, path: str, content: bytes, mode: int = 0o644, timeout_s: float = 60.0) -> None:
        """Store a file in the guest. Raises Refused, LostVM."""
        number = self._number()
        head = struct.pack("<I", mode) + path.encode() + b"\0"
        self._send(Frame(FrameType.PUT_OPEN, number, head), timeout_s)
        for at in range(0, len(content), CHUNK):
            chunk = content[at : at + CHUNK]
            self._send(Frame(FrameType.PUT_DATA, number, chunk), timeout_s)
        self._send(Frame(FrameType.PUT_CLOSE, number), timeout_s)
        self._expect(FrameType.DONE, number, timeout_s)

    def start(
        self,
        command: Sequence[str],
        *,
        directory: str = "/",
        env: Mapping[str, str] | None = None,
        number: int | None = None,
        timeout_s: float = 10.0,
    ) -> Running:
        """Start a program; its output gathers in the result while the guest is served.

        `number` is the id by which a later conversation may `adopt` it.
        """
        number = self._number() if number is None else number
        variables = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **(env or {})}
        strings = (
            directory,
            str(len(command)),
            *command,
            *(f"{name}={value}" for name, value in variables.items()),
        )
        running = Running(number)
        self._running[number] = running
        payload = b"".join(os.fsencode(each) + b"\0" for each in strings)
        self._send(Frame(FrameType.START, number, payload), timeout_s)
        self._expect(FrameType.DONE, number, timeout_s)
        return running

    def adopt(self, number: int) -> Running:
        """A program that was started before the machine was saved."""
        running = Running(number)
        self._running[number] = running
        return running

    def input(self, running: Running, data: bytes, timeout_s: float = 60.0) -> None:
        """Write to the program's standard input."""
        for at in range(0, len(data), CHUNK):
            self._send(Frame(FrameType.INPUT, running.id, data[at : at + CHUNK]), timeout_s)

    def end_input(self, running: Running) -> None:
        self._send(Frame(FrameType.INPUT_END, running.id), 10.0)

    def read_line(self, running: Running, timeout_s: float) -> bytes:
        """The next line that the program prints. Raises LostVM; Refused if it ended without."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in running.stdout:
            if running.status is not None:
                raise Refused(f"the program ended: {bytes(running.stderr[-2000:])!r}")
            self._serve(deadline, "a line of output")
        line, _, rest = bytes(running.stdout).partition(b"\n")
        running.stdout[:] = rest
        return line

    def wait(self, running: Running, timeout_s: float) -> int:
        """Until the program has ended and its output is here; its wait status. Raises LostVM."""
        deadline = time.monotonic() + timeout_s
        while running.status is None:
            self._serve(deadline, "the program's end")
        return running.status

    def run(
        self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> Running:
        """Start a program, give it its input, wait for its end."""
        running = self.start(command, timeout_s=timeout_s)
        self.input(running, stdin, timeout_s)
        self.end_input(running)
        self.wait(running, timeout_s)
        return running

    def relay(self, running: Running, stdin: int, stdout: int, stderr: int) -> int:
        """Connect a program to three of our descriptors until it ends; its wait status."""
        open_input = True
        while running.status is None:
            port = self._socket.fileno()
            watched = [port, *([stdin] if open_input else [])]
            readable, _, _ = select.select(watched, [], [], 1.0)
            if stdin in readable:
                data = os.read(stdin, CHUNK)
                open_input = bool(data)
                if data:
                    self.input(running, data)
                else:
                    self.end_input(running)
            if port in readable:
                self._receive(0.0)
            for buffer, descriptor in ((running.stdout, stdout), (running.stderr, stderr)):
                os.write(descriptor, buffer)
                buffer.clear()
            if not self.qemu.alive():
                raise self.qemu.lost("the machine ended")
        return running.status

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _expect(self, kind: FrameType, number: int, timeout_s: float) -> Frame:
        deadline = time.monotonic() + timeout_s
        while True:
            for frame in self._frames:
                if frame.id == number and frame.type in {kind, FrameType.REFUSED}:
                    self._frames.remove(frame)
                    if frame.type is FrameType.REFUSED:
                        raise Refused(frame.payload.decode("utf-8", "replace"))
                    return frame
            self._serve(deadline, kind.name)

    def _send(self, frame: Frame, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        data = memoryview(encode(frame))
        while data:
            _, writable, _ = select.select([], [self._socket], [], 0.01)
            if writable:
                try:
                    data = data[self._socket.send(data) :]
                except OSError as error:
                    raise self.qemu.lost(f"the guest's port: {error}") from error
            self._receive(0.0)
            if time.monotonic() > deadline:
                raise self.qemu.lost("the guest does not read its port")

    def _serve(self, deadline: float, what: str) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise self.qemu.lost(f"no answer in time: {what}")
        self._receive(min(left, 1.0))
        if not self.qemu.alive():
            raise self.qemu.lost(f"the machine ended before {what}")

    def _receive(self, timeout_s: float) -> None:
        readable, _, _ = select.select([self._socket], [], [], timeout_s)
        if not readable:
            return
        try:
            data = self._socket.recv(1 << 20)
            if not data:
                raise self.qemu.lost("the guest's port was closed")
            frames = self._decoder.feed(data)
        except (OSError, FrameError) as error:
            raise self.qemu.lost(f"the guest's port: {error}") from error
        for frame in frames:
            running = self._running.get(frame.id)
            if frame.type is FrameType.OUTPUT and running:
                running.stdout += frame.payload
            elif frame.type is FrameType.ERRORS and running:
                running.stderr += frame.payload
            elif frame.type is FrameType.EXIT and running:
                running.status = int.from_bytes(frame.payload, "little")
                del self._running[frame.id]
            else:
                self._frames.append(frame)
