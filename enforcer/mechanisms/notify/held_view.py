"""How whoever makes a held call sees names."""

from __future__ import annotations

from typing import Protocol

from enforcer.mechanisms.notify.shared import Shared
from enforcer.pin import View
from enforcer.pin.domain import Domain
from enforcer.pin.standing import Standing
from enforcer.syscalls.memory import PATH_MAX


class Caller(Protocol):
    """The worker that holds the call, as far as it matters here."""

    shared: Shared
    tid: int
    is_changing: bool

    def validate(self) -> None: ...

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes: ...


class HeldView(View):
    """A view of whoever makes the held call; its process is asked for when it matters."""

    __slots__ = ("_worker",)

    def __init__(self, worker: Caller) -> None:
        session = worker.shared
        super().__init__(
            worker.tid,
            0,
            fixed_root=session.is_root_fixed,
            fixed_credentials=session.are_credentials_fixed,
            validate=worker.validate,
            same_objects=session.same_objects,
            places=session.places,
            tells_missing=session.tells_missing,
            pidfds=session.pidfds,
        )
        self._worker = worker

    def read_string(self, address: int, limit: int = PATH_MAX) -> bytes:
        """As the worker reads names. Raises UnreadableMemory."""
        return self._worker.read_string(address, limit)

    def umask(self) -> int:
        """The task's file mode creation mask. Raises TargetGone."""
        known = self._worker.shared.umask
        return super().umask() if known is None else known

    def standing(self) -> Standing:
        """Who the task is. Raises TargetGone."""
        worker = self._worker
        return worker.shared.standings.of(
            self.tid, self.ask_standing, is_changing=worker.is_changing
        )

    @property
    def domain(self) -> Domain | None:
        """The domain in which acts are done for the task. Raises TargetGone."""
        return self._worker.shared.domains.of(self)

    @domain.setter
    def domain(self, value: Domain | None) -> None:
        """Nothing is kept: the session knows."""

    @property
    def tgid(self) -> int:
        return self.standing().tgid

    @tgid.setter
    def tgid(self, value: int) -> None:
        """Nothing is kept: a thread that executes takes its leader's number."""
