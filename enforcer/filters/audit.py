"""What a filter leaves open, in plain words, with the attack that goes that way.

Nothing here is a matter of opinion: each finding is two calls that do the same to the kernel, of
which the filter refuses one and permits the other, or a call that does others' work unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from enforcer.arch import by_audit_arch, native
from enforcer.arch.record import Abi
from enforcer.cbpf.spec import ACTION_MASK, ALLOW, LOG, SeccompData
from enforcer.filters.classes import CutShort
from enforcer.filters.meaning import FOREIGN_ARCH, answer_of, shown, strictest
from enforcer.filters.model import Filter
from enforcer.filters.walk import ways
from enforcer.syscalls import syscall, table
from enforcer.syscalls.constants import constants

UPPER_FAMILY = "abi/upper-family"
UPPER_COMMAND = "abi/upper-bits"
CLONE3 = "subset/clone3-namespace"
_WAYS: Mapping[str, str] = {
    "openat2": "subset/openat2-open",
    "execveat": "subset/execveat",
    "clone3": CLONE3,
    "renameat2": "indirect/rename-into-denied",
    "move_mount": "subset/new-mount-calls",
    "fsopen": "subset/new-mount-calls",
    "sendmmsg": "subset/datagram",
}
"""The attack that makes this call for another one that is refused."""
CARRIER = "subset/io-uring-open"
X32 = "abi/x32-bit"
COMPAT = "abi/int80-compat"
MULTIPLEXER = "abi/socketcall"
ATTACKS = frozenset(
    {UPPER_FAMILY, UPPER_COMMAND, CARRIER, X32, COMPAT, MULTIPLEXER, *_WAYS.values()}
)
"""Every attack that a finding names."""
_NEWUSER = "CLONE_NEWUSER"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One hole. `witness` is permitted, `refused` (if any) does the same and is not.

    `attack` goes this way; `is_proof` says that its plain attempt is refused by the filter, so that
    the laboratory can run it under the filter as it is.
    """

    title: str
    words: str
    attack: str = ""
    is_proof: bool = False
    witness: SeccompData | None = None
    refused: SeccompData | None = None

    def __str__(self) -> str:
        lines = [self.title, f"    {self.words}"]
        if self.refused is not None:
            lines.append(f"    refused:   {shown(self.refused)}")
        if self.witness is not None:
            lines.append(f"    permitted: {shown(self.witness)}")
        if self.attack:
            lines.append(f"    attack:    {self.attack}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All that was found, and the calls that could not be looked at to the end."""

    findings: tuple[Finding, ...]
    unproven: tuple[str, ...]


def audited(filter: Filter) -> Audit:
    """What the filter leaves open. Raises NotFollowed for a program that cannot be followed."""
    auditor = _Auditor(filter)
    found = (
        *auditor.upper_halves(),
        *auditor.carriers(),
        *auditor.other_names(),
        *auditor.other_abis(),
    )
    return Audit(findings=found, unproven=tuple(auditor.unproven))


class _Auditor:
    def __init__(self, filter: Filter) -> None:
        self.filter = filter
        self.native = filter.abis[0]
        self.unproven: list[str] = []
        self.permitted: dict[str, tuple[SeccompData, ...]] = {}
        self.refused: dict[str, tuple[SeccompData, ...]] = {}
        for name, nr in table(self.native.name).items():
            yes, no = self._outcomes(self.native, nr)
            self.permitted[name], self.refused[name] = yes, no

    def _outcomes(
        self, abi: Abi, nr: int
    ) -> tuple[tuple[SeccompData, ...], tuple[SeccompData, ...]]:
        """Calls that are permitted, and calls that are not, one for each way."""
        yes: list[SeccompData] = []
        no: list[SeccompData] = []
        try:
            for way in ways(self.filter.programs, nr, abi.audit_arch):
                permits = is_permitted(strictest(way.answers))
                (yes if permits else no).append(way.call)
        except CutShort as error:
            self.unproven.append(f"{shown(SeccompData(nr, abi.audit_arch))}: {error}")
        return tuple(yes), tuple(no)

    def permits(self, data: SeccompData) -> bool:
        return is_permitted(answer_of(self.filter, data))

    def upper_halves(self) -> Iterator[Finding]:
        """Refused values that pass with bits set which the kernel does not look at."""
        for name, calls in self.permitted.items():
            if not self.refused[name] or self.native.bits != 64:
                continue
            for register, width in self._narrow(name):
                found = self._wide(name, calls, register, width)
                if found is not None:
                    yield found

    def _narrow(self, name: str) -> list[tuple[int, int]]:
        arguments = syscall(name, self.native.name).arguments
        return [(each.index, each.mask) for each in arguments if each.width32]

    def _wide(
        self, name: str, calls: tuple[SeccompData, ...], register: int, mask: int
    ) -> Finding | None:
        known = self._known_pair(name, register)
        pairs = [known] if known else []
        pairs += [(_with(call, register, call.args[register] & mask), call) for call in calls]
        pairs += [
            (plain, _with(plain, register, plain.args[register] | 1 << 32))
            for plain in self.refused[name]
        ]
        for plain, wide in pairs:
            if plain.args == wide.args or self.permits(plain) or not self.permits(wide):
                continue
            attack = self._attack_of_upper(name, register, plain)
            argument = syscall(name, self.native.name).arguments[register].name
            return Finding(
                title=f"upper half: {name}, {argument}",
                words="the filter compares 64 bits, the kernel takes the lower ones only: what is "
                "refused passes with a bit set above them",
                attack=attack,
                is_proof=bool(attack),
                witness=wide,
                refused=plain,
            )
        return None

    def _known_pair(self, name: str, register: int) -> tuple[SeccompData, SeccompData] | None:
        """The values that the laboratory's attacks use, tried first."""
        known = {("socket", 0): "AF_VSOCK", ("ioctl", 1): "TIOCSTI"}.get((name, register))
        if known is None:
            return None
        registers = [0] * 6
        registers[register] = constants(self.native.name)[known]
        registers[1] = registers[1] or (1 if name == "socket" else 0)
        a, b, c, d, e, f = registers
        nr = table(self.native.name)[name]
        plain = SeccompData(nr, self.native.audit_arch, (a, b, c, d, e, f))
        return plain, _with(plain, register, plain.args[register] | 1 << 32)

    def _attack_of_upper(self, name: str, register: int, plain: SeccompData) -> str:
        known = self._known_pair(name, register)
        if known is None or known[0] != plain:
            return ""
        return UPPER_FAMILY if name == "socket" else UPPER_COMMAND

    def carriers(self) -> Iterator[Finding]:
        """Calls that perform others unseen by any filter."""
        for name, calls in self.permitted.items():
            if calls and syscall(name, self.native.name).carrier and name.endswith("_setup"):
                yield Finding(
                    title=f"carrier: {name}",
                    words="it performs openat, connect and other calls for the process, and none "
                    "of them comes to a filter",
                    attack=CARRIER,
                    witness=calls[0],
                )

    def other_names(self) -> Iterator[Finding]:
        """Calls that are refused, always or for some registers, and by another name are not."""
        for name, no in sorted(self.refused.items()):
            if not no:
                continue
            equal = syscall(name, self.native.name).equivalents
            others = [
                other
                for other in sorted(equal)
                if self.permitted.get(other) and not self.refused[other]
            ]
            if not others:
                continue
            attacks = [_WAYS[other] for other in others if other in _WAYS]
            how = "for some registers" if self.permitted[name] else "always"
            yield Finding(
                title=f"another name: {', '.join(others)} for {name}",
                words=f"{name} is refused {how}; never refused, and able to do the same: "
                f"{', '.join(others)}",
                attack=attacks[0] if attacks else "",
                is_proof=attacks[:1] == [CLONE3] and self._refuses_namespaces(),
                witness=self.permitted[others[0]][0],
                refused=no[0],
            )

    def _refuses_namespaces(self) -> bool:
        nr = table(self.native.name)["unshare"]
        flags = constants(self.native.name)[_NEWUSER] | constants(self.native.name)["CLONE_NEWNS"]
        return not self.permits(SeccompData(nr, self.native.audit_arch, (flags, 0, 0, 0, 0, 0)))

    def other_abis(self) -> Iterator[Finding]:
        """Calls that are refused, and by the ABIs beside the native one are not."""
        if self.permits(SeccompData(0, FOREIGN_ARCH)):
            yield Finding(
                title="other ABIs: permitted",
                words="a call of an architecture that the filter does not name is permitted",
                attack=COMPAT,
                witness=SeccompData(0, FOREIGN_ARCH),
            )
        for abi in self._others():
            yield from self._abi(abi)

    def _others(self) -> list[Abi]:
        found = {abi.name: abi for abi in native().abis}
        for abi in self.filter.abis:
            found |= {each.name: each for each in by_audit_arch(abi.audit_arch)}
        return [abi for abi in found.values() if abi.name != self.native.name]

    def _abi(self, abi: Abi) -> Iterator[Finding]:
        beside: list[tuple[str, SeccompData]] = []
        judged: set[str] = set()
        for name, nr in table(abi.name).items():
            yes, no = self._outcomes(abi, nr)
            if yes and not no:
                judged.add(name)
                if self.refused.get(name):
                    beside.append((name, yes[0]))
        attack = X32 if abi.nr_bit else COMPAT
        if beside:
            names = [name for name, _ in beside]
            listed = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if names[6:] else "")
            yield Finding(
                title=f"other ABI: {abi.name}",
                words=f"calls that the native ABI refuses, always or for some registers: {listed}",
                attack=attack,
                witness=beside[0][1],
            )
        for multiplexer in sorted(abi.multiplexers & judged):
            yield Finding(
                title=f"multiplexer: {abi.name} {multiplexer}",
                words="it makes every call behind it, with arguments that no filter sees",
                attack=MULTIPLEXER if multiplexer == "socketcall" else "",
                witness=SeccompData(table(abi.name)[multiplexer], abi.audit_arch, _FIRST_CODE),
            )


_FIRST_CODE = (1, 0, 0, 0, 0, 0)


def is_permitted(answer: int) -> bool:
    """Whether the kernel makes the call: ALLOW, or LOG."""
    return answer & ACTION_MASK in (ALLOW, LOG)


def _with(data: SeccompData, register: int, value: int) -> SeccompData:
    registers = list(data.args)
    registers[register] = value
    a, b, c, d, e, f = registers
    return SeccompData(data.nr, data.arch, (a, b, c, d, e, f))
