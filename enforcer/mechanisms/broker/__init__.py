"""A broker behind SIGSYS: no call of the target's opens a file, another process does it for it.

As Chromium's first sandbox and seccomp-nurse did. The handler is brought by a stub that maps the
program (stub.c), so that static programs have it too. A new program would not: none is executed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from enforcer.access.mediation import Mediation, judge
from enforcer.access.notes import TOO_MUCH_DENIED
from enforcer.access.tree import node_from_json
from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.kernel.execve import find_command
from enforcer.kernel.seccomp import actions_available, no_new_privs
from enforcer.mechanisms.broker import channel
from enforcer.mechanisms.broker.server import ABI, OPENING, Broker
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Missing,
    Options,
    Plan,
    PreparedName,
    Unavailable,
)
from enforcer.mechanisms.frame import told_start
from enforcer.mechanisms.preparing import Event, Met, Needs, Run, Stage
from enforcer.mechanisms.whole_calls import checked
from enforcer.policy.ast import Policy
from enforcer.supervision.launch import (
    Handshake,
    log_descriptors,
    restore_signals,
    start_supervisor,
)

STUB = Path(__file__).with_name("stub.c")
FLAGS = (
    *("-std=gnu11", "-Os", "-static-pie", "-fPIE", "-ffreestanding", "-fno-builtin", "-nostdlib"),
    *("-fno-stack-protector", "-fcf-protection=none"),
)
COMPILER = "cc"
EXECUTING = frozenset({"execve", "execveat"})
SAYS = Mediation(calls=frozenset(OPENING), refusals=frozenset({errno.EACCES}))
HIGH = 900
"""The target's end is put above the descriptors that programs use, below their usual limit."""
_ELF_X86_64 = (b"\x7fELF\x02\x01", b"\x3e\x00")


class SigsysBroker:
    """The mechanism."""

    name = PreparedName.BROKER
    needs = Needs(binaries=(COMPILER,), packages={"debian": "gcc libc6-dev"}, held=False)
    refusals = frozenset({errno.EACCES})
    logs = False

    def probe(self) -> tuple[Missing, ...]:
        """The stub is compiled where it runs."""
        missing = []
        if not actions_available():
            missing.append(Missing(feature="seccomp", mend="CONFIG_SECCOMP_FILTER"))
        if shutil.which(COMPILER) is None:
            mend = "apt-get install gcc libc6-dev"
            missing.append(Missing(feature=f"{COMPILER} is not installed", mend=mend))
        return tuple(missing)

    def settle(self) -> None:
        """Nothing of it is the machine's."""
        return

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Rules on names, of the calls that open."""
        if abis[0].name != ABI:
            reason = f"the handler is written for {ABI}"
            return (Cover(rule=None, extent=Extent.NONE, reason=reason, elsewhere=True),)
        *rules, rest = judge(policy, abis, SAYS)[1]
        found = [
            replace(cover, extent=Extent.NONE, reason=_NO_PROGRAM, errs=TOO_MUCH_DENIED)
            if EXECUTING.intersection(rule.calls)
            else cover
            for rule, cover in zip(policy.rules, rules, strict=True)
        ]
        if rest.extent is Extent.FULL:
            reason = f"{_NO_PROGRAM}; calls of other ABIs kill"
            rest = Cover(rule=None, extent=Extent.PARTIAL, reason=reason, errs=TOO_MUCH_DENIED)
        return (*found, rest)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The tree of the one policy. Raises Inexpressible."""
        covers = list(self.cover(policies[0], abis))
        if any(policy != policies[0] for policy in policies):
            reason = "it has one policy for all programs"
            covers.append(Cover(rule=None, extent=Extent.NONE, reason=reason))
        lost = checked(covers, options)
        tree = judge(policies[0], abis, SAYS)[0]
        data = {"tree": tree.to_json(), "inexpressible": lost}
        return Plan(mechanism=self.name, machine=abis[0].name, data=data)

    def describe(self, plan: Plan) -> str:
        """What may be opened for reading and writing, those above first."""
        lines = [
            f"{path}: {' '.join(sorted(node.here)) or 'nothing'}; "
            f"beneath it {' '.join(sorted(node.beneath)) or 'nothing'}\n"
            for path, node in node_from_json(plan.data["tree"]).walk()
        ]
        return "".join(lines)

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage, run: Run) -> Iterator[Plan]:
        """The stub, compiled of its source."""
        stub = stage.state / "stub"
        # What the compiler keeps meanwhile has no other place: every mount of before is read-only.
        run(("env", f"TMPDIR={stage.state}", COMPILER, *FLAGS, "-o", str(stub), str(STUB)), "")
        yield replace(plan, data={**plan.data, "stub": str(stub)})

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        """No gate: what executes another program cannot be confined already."""
        return ()

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Start the broker, and execute the stub."""
        program = find_command(command[0])
        with Path(program).open("rb") as file:
            head = file.read(20)
        if (head[:6], head[18:20]) != _ELF_X86_64:
            raise Unavailable(f"{Path(program).name} is no program for {ABI}")
        ours, theirs = channel.pair()
        told_start(plan, command, log)

        def serve(handshake: Handshake) -> None:
            handshake.ready()
            handshake.close()
            Broker(ours, node_from_json(plan.data["tree"]), log).serve()

        keep = (*log_descriptors(log), ours.fileno())
        launcher = start_supervisor(serve, keep=keep, name="broker")
        launcher.wait_ready()
        launcher.close()
        end = fcntl.fcntl(theirs, fcntl.F_DUPFD, HIGH)
        no_new_privs()
        restore_signals()
        stub = str(plan.data["stub"])
        os.execv(stub, [stub, str(end), program, "--", *command])

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        """It is in the log, written by the broker before the program began."""
        return ()

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        """The log is all there is."""
        return ()


_NO_PROGRAM = "no program is executed by another"
MECHANISM = SigsysBroker()
