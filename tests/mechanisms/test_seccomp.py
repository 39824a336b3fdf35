"""The seccomp mechanism: cover and plans, and real commands under real filters."""

from __future__ import annotations

import errno
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from enforcer.arch import ABIS, native
from enforcer.call import Action, Elevation, Transition
from enforcer.cbpf import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    AbiTable,
    FilterSpec,
    SeccompData,
    SpecClause,
    always,
    assemble,
    check,
    compile_filter,
    disassemble,
    evaluate,
    simulate,
)
from enforcer.cbpf.corpus import corpus
from enforcer.condition import LOW_HALF, TRUE, WORD, All, Any, Compare, Not, Operator
from enforcer.events import FileLog, NullLog
from enforcer.kernel.seccomp import errno_of_call, load_filter, no_new_privs
from enforcer.mechanisms.contract import LaunchError, Options, Plan
from enforcer.mechanisms.seccomp import MECHANISM, PROBE, Seccomp
from enforcer.policy.ast import (
    Dialect,
    Expression,
    Policy,
    Predicate,
    RegisterSymbol,
    Rule,
)
from enforcer.syscalls import number, table
from tests.mechanisms.int80 import Int80

ROOT = Path(__file__).parents[2]
ABIS_HERE = native().abis
IS_X86_64 = native().name == "x86_64" and sys.maxsize > LOW_HALF
STRICT = Options()


def policy(*rules: Rule, default: Action = Action.PERMIT) -> Policy:
    return Policy(binary=None, dialect=Dialect.STRICT, rules=rules, default=default)


def rule(
    action: Action,
    *calls: str,
    when: Expression | None = None,
    log: bool = False,
    number: int = 0,
    predicate: Predicate | None = None,
    elevation: Elevation | None = None,
    transition: Transition = Transition.SWITCH,
) -> Rule:
    return Rule(
        calls=calls,
        when=when,
        action=action,
        errno=number,
        log=log,
        predicate=predicate,
        elevation=elevation,
        transition=transition,
    )


def deny(*calls: str, when: Expression | None = None, number: int = errno.EACCES) -> Rule:
    return rule(Action.DENY, *calls, when=when, number=number)


def argument(index: int, value: int, mask: int = WORD) -> RegisterSymbol:
    return RegisterSymbol(argument=index, operator=Operator.EQ, value=value, mask=mask)


class Run:
    """A command under a plan, in a forked child: its status, output and the log's events."""

    def __init__(self, plan: Plan, command: Sequence[str], scratch: Path) -> None:
        output, log = scratch / "output", scratch / "log"
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                opened = os.open(output, append)
                os.dup2(opened, 1)
                os.dup2(opened, 2)
                MECHANISM.launch(plan, command, FileLog(os.open(log, append)))
            except OSError as error:
                status = 64 + (error.errno or 0)
            except LaunchError:
                status = 98
            finally:
                os._exit(status)
        self.pid = pid
        self.status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.output = output.read_text()
        self.events = [json.loads(line) for line in log.read_text().splitlines()]


def run(made: Policy, command: Sequence[str], scratch: Path, options: Options = STRICT) -> Run:
    return Run(MECHANISM.compile([made], ABIS_HERE, options), command, scratch)


def python(source: str) -> list[str]:
    return [sys.executable, "-S", "-c", source]


def test_probe_finds_this_kernel_usable() -> None:
    """Nothing is missing where these tests run."""
    assert MECHANISM.probe() == ()


def answer(plan: Plan, name: str, abi: str = "") -> int:
    program = disassemble(bytes.fromhex(str(plan.data["program"])))
    check(program)
    native_abi = ABIS[abi] if abi else ABIS_HERE[0]
    nr = number(native_abi.name, name)
    assert nr is not None
    return simulate(program, SeccompData(nr, native_abi.audit_arch))[0]


def test_permitted_command_runs_as_bare(tmp_path: Path) -> None:
    """Under a policy that permits everything output and status are the command's own."""
    done = run(policy(), ["sh", "-c", "echo out; exit 7"], tmp_path)
    assert (done.status, done.output) == (7, "out\n")


def test_witness(tmp_path: Path) -> None:
    """The log holds the kernel's own account of this run and the filter's answer to the probe."""
    done = run(policy(), ["true"], tmp_path)
    start, enforcing = done.events
    assert (start["event"], start["mechanism"]) == ("start", "seccomp")
    assert enforcing["event"] == "enforcing"
    assert enforcing["target"] == done.pid
    assert enforcing["mode"] == 2
    assert enforcing["filters"] == enforcing["filters_before"] + 1
    assert enforcing["no_new_privs"] is True
    assert enforcing["probe_errno"] == PROBE.errno != 0


def test_denials_reach_the_program(tmp_path: Path) -> None:
    """With the policy's own errno, and only where its registers match."""
    source = (
        "import os\n"
        "for act in (lambda: os.mkdir('x'), lambda: os.kill(0, 0), lambda: os.kill(1, 99)):\n"
        "    try: act(); print('done')\n"
        "    except OSError as error: print(error.errno)\n"
    )
    made = policy(deny("mkdir", "mkdirat", number=61), deny("kill", when=argument(1, 99)))
    assert run(made, python(source), tmp_path).output == "61\ndone\n13\n"


def test_kill_ends_the_process(tmp_path: Path) -> None:
    """A kill decision is SIGSYS for the whole process."""
    killing = policy(rule(Action.KILL, "mkdir", "mkdirat"))
    done = run(killing, python("import os; os.mkdir('x')"), tmp_path)
    assert done.status == -signal.SIGSYS


@pytest.mark.parametrize("action", [Action.DENY, Action.KILL])
def test_launch_under_a_policy_that_refuses_every_further_execve(
    action: Action, tmp_path: Path
) -> None:
    """The command starts, what it would execute does not."""
    made = policy(rule(action, "execve", "execveat", number=errno.ENOEXEC))
    source = (
        "import os\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    try: os.execv('/bin/true', ['true'])\n"
        "    except OSError as error: os._exit(error.errno)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = run(made, python(source), tmp_path)
    expected = errno.ENOEXEC if action is Action.DENY else -signal.SIGSYS
    assert (done.status, done.output) == (0, f"{expected}\n")


def test_launch_when_every_call_kills(tmp_path: Path) -> None:
    """Once it is filtered the launcher makes no call but the command's execve."""
    done = run(policy(default=Action.KILL), ["true"], tmp_path)
    assert [event["event"] for event in done.events] == ["start", "enforcing"]
    assert done.status == -signal.SIGSYS


def test_signals_are_the_commands_own(tmp_path: Path) -> None:
    """Python ignores SIGPIPE; the command must not inherit that."""
    done = run(policy(), ["sh", "-c", "grep SigIgn /proc/self/status"], tmp_path)
    assert int(done.output.split()[1], 16) & 1 << (signal.SIGPIPE - 1) == 0


def test_missing_command_is_an_oserror(tmp_path: Path) -> None:
    """ENOENT comes back to who launched."""
    for command in ("/nonexistent/command", "no-such-command-in-path"):
        assert run(policy(), [command], tmp_path).status == 64 + errno.ENOENT


def test_refused_filter_is_a_launch_error(tmp_path: Path) -> None:
    """A kernel that does not take the filter stops the launch before the command."""
    plan = MECHANISM.compile([policy()], ABIS_HERE, Options())
    bad = Plan(mechanism="seccomp", machine="", data={**plan.data, "program": "00" * 8})
    assert Run(bad, ["echo", "never"], tmp_path).status == 98


def test_filter_that_does_not_answer_the_probe_is_a_launch_error(tmp_path: Path) -> None:
    """A filter that is loaded but allows everything is found out by the witness."""
    allow = compile_filter(FilterSpec((), ALLOW))
    plan = MECHANISM.compile([policy()], ABIS_HERE, Options())
    weak = Plan(
        mechanism="seccomp", machine="", data={**plan.data, "program": assemble(allow).hex()}
    )
    done = Run(weak, ["echo", "never"], tmp_path)
    assert (done.status, done.output) == (98, "")
    assert done.events[-1]["event"] == "detection"


def test_filter_that_kills_its_launcher_starts_nothing() -> None:
    """Death at the probe is noticed by the witness, which then claims nothing.

    The log is a pipe, at whose end the witness is gone; the launcher stays a zombie until then.
    """
    kill = compile_filter(FilterSpec((), KILL_PROCESS))
    plan = MECHANISM.compile([policy()], ABIS_HERE, Options())
    killing = Plan(
        mechanism="seccomp", machine="", data={**plan.data, "program": assemble(kill).hex()}
    )
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            MECHANISM.launch(killing, ["false"], FileLog(writing))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        events = [json.loads(line)["event"] for line in stream]
    assert events == ["start"]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGSYS


def test_launch_needs_the_standard_library_only() -> None:
    """Guests have nothing else: no site-packages, not even their directory."""
    source = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import enforcer.mechanisms.seccomp, enforcer.mechanisms.none\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", source], check=False, timeout=60)
    assert done.returncode == 0


def test_leaky_variants_override_one_method(tmp_path: Path) -> None:
    """A weakness is planted by overriding `spec`."""

    class Deaf(Seccomp):
        def spec(self, policies: Sequence[Policy], abis: Sequence[object]) -> FilterSpec:
            return FilterSpec((AbiTable(ABIS_HERE[0], _allowed(), ALLOW),), ALLOW)

    plan = Deaf().compile([policy(deny("mkdir"))], ABIS_HERE, Options())
    assert answer(plan, "mkdir") == ALLOW


def _allowed() -> dict[int, tuple[SpecClause, ...]]:
    return {nr: always(ALLOW) for nr in table(ABIS_HERE[0].name).values()}


UNUSED = tuple(range(20_000, 20_040))
"""Numbers of no call, on which everything can be tried."""


def _trial(abi: str) -> AbiTable:
    """Every real call allowed; unused numbers answered by conditions of every kind."""
    calls = {nr: always(ALLOW) for nr in table(abi).values()}
    values = (5, 1 << 31, LOW_HALF, 1 << 32 | 5, 7 << 32, 1 << 63, WORD)
    operators = list(Operator)
    for index, nr in enumerate(UNUSED):
        first = Compare(index % 6, operators[index % 6], values[index % 7])
        second = Compare((index + 1) % 6, operators[index % 5], values[index % 3], LOW_HALF)
        third = Compare(index % 6, Operator.EQ, 8 << 32 | 4, 0xF_0000_000C)
        calls[nr] = (
            SpecClause(All((first, Not(second))), ERRNO(200 + index)),
            SpecClause(Any((third, second)), ERRNO(300 + index)),
            SpecClause(first, ERRNO(400 + index)),
            SpecClause(TRUE, ERRNO(500 + index)),
        )
    return AbiTable(ABIS[abi], calls, ERRNO(errno.ENOSYS))


@pytest.mark.skipif(not IS_X86_64, reason="machine code for x86-64")
@pytest.mark.parametrize("abi", ["x86_64", "i386"])
def test_kernel_answers_as_specified_in_bulk(abi: str) -> None:
    """One process, one filter, thousands of calls on every boundary, junk in upper halves."""
    spec = FilterSpec(tuple(_trial(each.name) for each in ABIS_HERE[:2]), KILL_PROCESS)
    code = assemble(compile_filter(spec))
    calls = [
        call
        for call in corpus(spec, draws=3)
        if call.arch == ABIS[abi].audit_arch and call.nr in UNUSED
    ]
    assert len(calls) > 5000
    results = mmap.mmap(-1, 2 * len(calls))
    pid = os.fork()
    if pid == 0:
        try:
            make = Int80().errno
            if abi == "x86_64":

                def make(number: int, registers: Sequence[int]) -> int:
                    return errno_of_call(number, *map(_signed, registers))

            no_new_privs()
            load_filter(code)
            for index, call in enumerate(calls):
                struct.pack_into("=H", results, 2 * index, make(call.nr, call.args))
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    found = struct.unpack(f"={len(calls)}H", results.read())
    expected = [evaluate(spec, call) & 0xFFFF for call in calls]
    differing = [
        (call, got, want)
        for call, got, want in zip(calls, found, expected, strict=True)
        if got != want
    ]
    assert differing == []


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def test_null_log_still_launches(tmp_path: Path) -> None:
    """The witness confirms also when nothing is logged."""
    plan = MECHANISM.compile([policy()], ABIS_HERE, Options())
    pid = os.fork()
    if pid == 0:
        try:
            MECHANISM.launch(plan, ["true"], NullLog())
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
