"""What runs in a guest ask of who has it: calls to be removed, modules to be brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.vm.archive import ArchiveError
from harness.vm.cache import CacheFull
from harness.vm.guest import Guest, Refused
from harness.vm.machines import MachineError
from harness.vm.module import built
from harness.vm.removing import NotRemoved, Remover
from harness.vm.snapshot import Base


@dataclass
class Outside:
    """The host's end, for one guest. `version` is the kernel's as `--kernel` names it."""

    guest: Guest
    base: Base
    version: str
    _remover: Remover | None = field(default=None, init=False)

    def carry_out(self, question: Mapping[str, object]) -> Mapping[str, object]:
        """The answer; `error` says why there is none. Raises LostVM."""
        try:
            if "module" in question:
                return {"path": self._bring(str(question["module"]))}
            self._remover = self._remover or Remover(self.guest, self.base.machine)
            return self._remover.carry_out(question)
        except (ArchiveError, CacheFull, MachineError, NotRemoved, Refused, OSError) as error:
            return {"error": str(error)}

    def _bring(self, name: str) -> str:
        """Where the module is in the guest."""
        content = built(name, self.base.machine, self.base.kernel, self.version, _in_silence)
        path = f"/run/{name}.ko"
        self.guest.put(path, content)
        return path


def _in_silence(text: str) -> None:
    """In the middle of a case nobody is told."""
