"""This machine as a place: a warm agent process that forks one walled-in run after the other."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Protocol

from enforcer.arch import native
from enforcer.arch.record import Abi
from harness.model import Observation
from harness.places.agent import MARGIN_S, observation_from_json
from harness.places.isolation import Isolation, available
from harness.places.layout import Layout, coverable_root
from harness.process import ProcessTimeout, Server
from harness.scratch import Scratch

FIRST_PLAIN_PORT = 40_000


class PlaceError(Exception):
    """The place failed, not the case: the verdict is broken."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a case's runs."""

    observations: tuple[Observation, ...]
    isolation: str


class Place(Protocol):
    """Where cases run."""

    @property
    def name(self) -> str: ...

    @property
    def kernel(self) -> str: ...

    @property
    def abis(self) -> tuple[Abi, ...]:
        """The ABIs that its kernel serves: plans are compiled for all of them."""
        ...

    @property
    def machine(self) -> str:
        """What results of this place depend on beside the case, as a digest."""
        ...

    @property
    def patience(self) -> float:
        """How many times longer than on real hardware a run may take."""
        ...

    def layout(self) -> Layout:
        """Where the objects of the next case will be."""
        ...

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        """Carry out a request's runs. Raises PlaceError."""
        ...

    def close(self) -> None: ...


def answer_of(reply: Mapping[str, Any]) -> Answer:
    """The agent's JSON answer. Raises PlaceError when it refused the case."""
    if "error" in reply:
        raise PlaceError(f"the agent refused the case: {reply['error']}")
    return Answer(
        observations=tuple(map(observation_from_json, reply["observations"])),
        isolation=reply["isolation"],
    )


class LocalPlace:
    """This machine. The agent is started at the first case and again whenever it was lost."""

    name = "local"
    patience = 1.0

    def __init__(self) -> None:
        self.kernel = kernel_release()
        self.machine = this_machine()
        self.abis = native().abis
        self._agent: Server | None = None
        self._root = coverable_root()
        self._own: Scratch | None = None
        # Workers of a pool run finalizers, not what atexit knows.
        Finalize(None, self.close, exitpriority=1)

    def layout(self) -> Layout:
        if self._root is not None and available() is not Isolation.PLAIN:
            return Layout(root=self._root)
        if self._own is None:
            self._own = Scratch()
        return Layout(root=self._own.path)

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        if self._agent is None:
            command = [sys.executable, "-m", "harness.places.agent"]
            self._agent = Server(command, env=_agent_environment())
        try:
            reply = json.loads(self._agent.ask(json.dumps(request), timeout_s + MARGIN_S))
        except (EOFError, ProcessTimeout) as error:
            self._agent = None
            raise PlaceError(f"the agent of this machine was lost: {error}") from error
        return answer_of(reply)

    def close(self) -> None:
        """End the agent and everything it runs."""
        if self._agent is not None:
            self._agent.close()
            self._agent = None
        if self._own is not None:
            self._own.close()
            self._own = None


def kernel_release() -> str:
    """The running kernel as `major.minor`."""
    return ".".join(platform.release().split("-")[0].split(".")[:2])


@functools.cache
def this_machine() -> str:
    """This machine as a digest: its kernel's build, its processors, how runs are walled in here."""
    processors = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    models = sorted(set(re.findall(r"^(?:model name|CPU part|uarch|cpu)\s*:.*$", processors, re.M)))
    parts = (*platform.uname(), str(os.cpu_count()), *models, available().value)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def machine_in_words() -> str:
    """This machine for the readers of a report."""
    kernel = platform.uname()
    return f"{kernel.system} {kernel.release} {kernel.machine}, {os.cpu_count()} processors"


def _agent_environment() -> dict[str, str]:
    """The agent finds the modules that this process found, and writes no byte code."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
