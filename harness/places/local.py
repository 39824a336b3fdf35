"""This machine as a place: a warm agent process that forks one walled-in run after the other."""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from enforcer.arch import native
from enforcer.arch.record import Abi
from enforcer.kernel.namespaces import adopt_orphans
from enforcer.kernel.prctl import forbid_dumping
from harness.model import Observation, Outcome, RunKind
from harness.places.agent import MARGIN_S
from harness.places.ending import children, end_all
from harness.places.isolation import Isolation, available
from harness.places.layout import Layout, coverable_root
from harness.places.wire import NUMBER, Garbled, decode, fresh_number, parse_observation
from harness.process import ProcessTimeout, Server
from harness.scratch import Scratch

AGENT = (sys.executable, "-m", "harness.places.agent")
FIRST_PLAIN_PORT = 20_000  # below those that the kernel gives to clients (ip_local_port_range)
PLAIN_PAIRS = 6_000


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


Asked = tuple[Mapping[str, object], float]
"""A request, and how many seconds its answer may take."""


@runtime_checkable
class Sharing(Protocol):
    """A place of copies that are thrown away, one of which may serve several requests."""

    def run_each(self, asked: Sequence[Asked]) -> list[Answer]:
        """Carry them out one after the other. Raises PlaceError."""
        ...


def numbered(request: Mapping[str, object]) -> Mapping[str, object]:
    """The request with a number of its own, which its answer must repeat."""
    return {**request, NUMBER: fresh_number()}


def answer_of(line: bytes, asked: Mapping[str, Any]) -> Answer:
    """What the agent answered to a numbered request.

    Raises PlaceError when it refused the case, and when the line is not its answer.
    """
    try:
        reply = decode(line, asked[NUMBER])
        if "error" in reply:
            raise PlaceError(f"the agent refused the case: {reply['error']}")
        isolation = Isolation(str(reply.get("isolation")))
        found = reply.get("observations")
        if not isinstance(found, list) or not found:
            raise Garbled(f"it has no observations: {line[:200]!r}")
        observations = tuple(map(parse_observation, found))
    except ValueError as error:
        raise PlaceError(f"what came as the agent's answer is not believed: {error}") from error
    kinds = [str(observation.kind) for observation in observations]
    if kinds[-1] == RunKind.CONTROL_AGAIN:
        kinds.pop()  # the agent's own addition
    wanted = [str(run["kind"]) for run in asked["runs"]]
    lacking = [each.outcome for each in observations] == [Outcome.UNAVAILABLE]
    if not lacking and kinds != wanted[: len(kinds)]:
        what = f"it is of the runs {kinds}"
        raise PlaceError(f"what came as the agent's answer is not believed: {what}")
    return Answer(observations=observations, isolation=isolation.value)


class LocalPlace:
    """This machine. The agent is started at the first case and again whenever it was lost; where
    its targets could reach it, for every case.
    """

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
        # Without a network of its own a run must not meet the runs of other processes there.
        port = FIRST_PLAIN_PORT + os.getpid() % PLAIN_PAIRS * 2
        return Layout(root=self._own.path, port=port, allowed_port=port + 1)

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        """Nobody believes, or talks again to, an agent whose answer is not one."""
        asked = numbered(request)
        if available() is not Isolation.PLAIN:
            return self._ask(asked, timeout_s)
        if multiprocessing.parent_process() is not None:
            # A worker that carries cases out does nothing else, and nobody debugs it: its pipes
            # and its memory are closed to targets of the same user. Another process (pytest's,
            # a user's own program) is not ours to close: `Isolation.reachable` names it.
            forbid_dumping()
        known = children()
        adopt_orphans()
        try:
            return self._ask(asked, timeout_s)
        finally:
            # What its target left in an agent, in its pipes, or running without one is not there
            # for the next case.
            self._end_agent()
            end_all(known)
            adopt_orphans(adopt=False)

    def _ask(self, asked: Mapping[str, object], timeout_s: float) -> Answer:
        if self._agent is None:
            self._agent = Server(AGENT, env=_agent_environment())
        try:
            return answer_of(self._agent.ask(json.dumps(asked), timeout_s + MARGIN_S), asked)
        except (EOFError, ProcessTimeout) as error:
            self._agent = None
            raise PlaceError(f"the agent of this machine was lost: {error}") from error
        except PlaceError:
            self._end_agent()
            raise

    def _end_agent(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def close(self) -> None:
        """End the agent and everything it runs."""
        self._end_agent()
        if self._own is not None:
            self._own.close()
            self._own = None


def kernel_release() -> str:
    """The running kernel as `major.minor`."""
    return ".".join(platform.release().split("-")[0].split(".")[:2])


@functools.cache
def this_machine() -> str:
    """This kind of machine as a digest: its kernel's build, its processors, how runs are walled in
    here. What it is called makes no difference.
    """
    processors = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    models = sorted(set(re.findall(r"^(?:model name|CPU part|uarch|cpu)\s*:.*$", processors, re.M)))
    parts = (*platform.uname()._replace(node=""), str(os.cpu_count()), *models, available().value)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def machine_in_words() -> str:
    """This machine for the readers of a report."""
    kernel = platform.uname()
    return f"{kernel.system} {kernel.release} {kernel.machine}, {os.cpu_count()} processors"


def _agent_environment() -> dict[str, str]:
    """The agent finds the modules that this process found, and writes no byte code."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
