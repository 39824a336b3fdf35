"""One program under a backend and as `decide` says, compared call by call, inside a cell.

What is expected is made, not predicted: the same program runs bare in a world of its own, each name
is looked up from outside, and what `decide` denies is left out. Where a backend may err by its own
cover() the bare run follows it, so that the calls after can still be compared.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from errno import EACCES, ECHILD, ENOSYS, EPERM
from pathlib import Path

from enforcer.arch import native
from enforcer.call import Action, Call, Decision
from enforcer.kernel import namespaces
from enforcer.mechanisms.contract import Cover, Extent, MechanismName
from enforcer.policy.ast import Policy, TextOperator, TextSymbol
from enforcer.policy.decide import decide
from enforcer.policy.order import judged_rules
from enforcer.policy.translators import known_syscall
from harness.backends import backend
from harness.fuzz.cases import LiveCase
from harness.fuzz.live import ERRNOS, in_world, steps_of
from harness.fuzz.meaning import Unknowable, meaning
from harness.fuzz.session import Answer, Exchange
from harness.fuzz.show import call_text, decision_text
from harness.fuzz.steps import (
    TASKS,
    UNTOUCHED,
    Argument,
    Image,
    Operation,
    Step,
    Struct,
    moved,
)
from harness.fuzz.strategies.boundaries import symbols
from harness.fuzz.target import Target, TargetError, end_all
from harness.fuzz.wire import from_json
from harness.fuzz.worlds import ROOT, make_world, seen
from harness.places import isolation as walls

_PIDS = frozenset({"clone", "clone3", "wait4", "getppid"})
_CONTENTS = frozenset({"read", "pread64", "readlink", "readlinkat", "getcwd"})
_DATA_BYTES = 640
_REFUSALS = frozenset({-EPERM, -EACCES, -ENOSYS, *(-each for each in ERRNOS)})
_ERRS_TO_PERMIT, _ERRS_TO_DENY = "permits too much", "denies too much"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of one program. `breach` is empty, or has the words of a Mismatch."""

    calls: int
    compared: int
    milliseconds: int
    apart: dict[str, int]
    breach: dict[str, str]


def prepare(question: Mapping[str, object], root: Path) -> None:
    """Nothing: every program has a policy of its own."""


def answer(question: Mapping[str, object], root: Path, exchange: Exchange) -> Answer:
    """A cell's work: `case` and `backend` of the question -> the fields of a Comparison."""
    case = from_json(question["case"])
    assert isinstance(case, LiveCase)
    return dict(vars(compare_case(case, str(question["backend"]), root)))


def compare_case(case: LiveCase, name: str, root: Path) -> Comparison:
    """As init of a pid namespace, with a private `root`."""
    world = root / "w"
    program = root / "bin" / "tasks"
    policy = in_world(case.policy, world)
    steps = [_possible(moved(step, ROOT, str(world)), name) for step in steps_of(case)]
    image = Image(len(steps), 4096 + len(steps) * _DATA_BYTES, told=False)
    for step in steps:
        image.put(step)
    make_world(world, case.world, program)
    started = time.monotonic()
    breach: dict[str, str] = {}
    try:
        target = Target(program, image, name, policy, world)
        target.wait_batch()
    except TargetError as error:
        place = min(image.turn, len(steps) - 1)
        breach = {
            "call": f"step {place}: {steps[place]}",
            "expected": "a result",
            "got": str(error),
            "signature": f"live, {name}, hangs or ends",
        }
    taken = int((time.monotonic() - started) * 1000)
    end_all()
    found = seen(root)
    _renew(root, program)
    make_world(world, case.world, program)
    reference = _Reference(policy, name, steps, image, world)
    if not breach:
        reference.run(program)
        breach = reference.breach or _trees(found, seen(root), name)
    end_all()
    return Comparison(
        calls=reference.made or len(steps),
        compared=reference.compared,
        milliseconds=taken,
        apart=reference.apart,
        breach=breach,
    )


class _Reference:
    """The bare run that does what `decide` says, and compares as it goes."""

    def __init__(
        self, policy: Policy, name: str, steps: list[Step], confined: Image, world: Path
    ) -> None:
        self.policy, self.name, self.steps = policy, name, steps
        self.confined, self.world = confined, world
        self.covers = backend(name).cover(policy, native().abis)
        self.image = Image(len(steps), 4096 + len(steps) * _DATA_BYTES, told=True)
        self.makers = dict(enumerate(range(TASKS)))
        self.made = self.compared = 0
        self.apart: dict[str, int] = {}
        self.breach: dict[str, str] = {}

    def run(self, program: Path) -> None:
        """Every step, until the first breach."""
        target = Target(program, self.image, "none", None, self.world)
        try:
            for place, step in enumerate(self.steps):
                self.image.put(step)
                self._step(target, place, step)
                if self.breach:
                    return
        finally:
            target.close()

    def _step(self, target: Target, place: int, step: Step) -> None:
        got = self.confined.result(place)
        maker = self.makers[step.task]
        if step.operation in (Operation.STORE, Operation.LOAD):
            target.tell(place, maker)
            return
        if maker != step.task and step.operation in (Operation.EXEC, Operation.EXIT):
            self.image.set_result(place, -ECHILD)
            return
        if step.operation is Operation.EXIT:
            target.tell(place, maker)
            return
        self.made += 1
        registers = self.image.registers(place)
        try:
            meant = meaning(step, registers, target.pids[maker])
        except Unknowable as error:
            self._follow(target, place, step, str(error))
            return
        decision = decide(self.policy, meant)
        permitted = decision.action is Action.PERMIT
        if permitted and got in _REFUSALS and (reason := self._may_err(meant, decision, got)):
            self._leave(place, step, -got)
            self.apart[reason] = self.apart.get(reason, 0) + 1
            return
        if permitted:
            self._make(target, place, step)
        else:
            self._leave(place, step, decision.errno)
        expected = self.image.result(place)
        same = got == expected or (step.call in _PIDS and got >= 0 and expected >= 0)
        if same and step.call in _CONTENTS and got > 0:
            same = self.confined.filled(place) == self.image.filled(place)
        if same:
            self.compared += 1
            return
        if reason := self._may_err(meant, decision, got):
            self._follow_error(target, place, step, permitted)
            self.apart[reason] = self.apart.get(reason, 0) + 1
            return
        self._broken(place, step, meant, decision, expected, got)

    def _make(self, target: Target, place: int, step: Step) -> None:
        maker = self.makers[step.task]
        if step.operation is Operation.CLONE:
            newborn = step.args[1]
            assert isinstance(newborn, int)
            born = target.tell(place, maker, newborn) >= 0
            self.makers[newborn] = newborn if born else maker
        else:
            target.tell(place, maker)

    def _leave(self, place: int, step: Step, errno: int) -> None:
        self.image.set_result(place, -errno)
        if step.operation is Operation.CLONE:
            newborn = step.args[1]
            assert isinstance(newborn, int)
            self.makers[newborn] = self.makers[step.task]

    def _follow_error(self, target: Target, place: int, step: Step, permitted: bool) -> None:
        """As the backend by its own cover(): refuse the call, or let a denied one through."""
        got = self.confined.result(place)
        if got in _REFUSALS:
            self._leave(place, step, -got)
        elif not permitted:
            self._make(target, place, step)

    def _follow(self, target: Target, place: int, step: Step, reason: str) -> None:
        """A call that cannot be judged from outside: bare as it was confined."""
        got = self.confined.result(place)
        if got in _REFUSALS:
            self._leave(place, step, -got)
            self.apart[reason] = self.apart.get(reason, 0) + 1
            return
        self._make(target, place, step)
        if got == self.image.result(place):
            self.compared += 1
            return
        if got >= 0 > self.image.result(place):
            self._broken(
                place,
                step,
                Call(name=step.call, abi="x86_64", args=self.image.registers(place)),
                Decision(action=Action.DENY, reason=reason),
                self.image.result(place),
                got,
            )
        self.apart[reason] = self.apart.get(reason, 0) + 1

    def _may_err(self, call: Call, decision: Decision, got: int) -> str:
        """Why cover() says that the backend may answer otherwise; empty: it may not."""
        model = known_syscall(call.name, call.abi)
        concerned: set[int | None] = {decision.rule}
        if model is not None:
            for judged in judged_rules(self.policy, model, call.abi):
                if judged.index == decision.rule:
                    break
                concerned.add(judged.index)
        permitted = decision.action is Action.PERMIT
        wanted = _ERRS_TO_DENY if permitted else _ERRS_TO_PERMIT
        refused_otherwise = not permitted and got in _REFUSALS
        for cover in self.covers:
            if cover.rule in concerned and _errs(cover, "" if refused_otherwise else wanted):
                return f"rule {cover.extent}: {cover.reason}"
        if permitted and _is_second_name(self.policy, call):
            return "a second name of an object that a rule denies by eq"
        return _documented(self.name, call, permitted, got)

    def _broken(
        self, place: int, step: Step, meant: Call, decision: Decision, expected: int, got: int
    ) -> None:
        contents = ""
        if got == expected:
            contents = f" {self.image.filled(place)!r}"
        self.breach = {
            "call": f"step {place}, task {step.task}: {call_text(meant)} by {step.args}",
            "expected": f"{decision_text(decision)}; result {expected}{contents}",
            "got": f"{got} ({self.name})"
            + (f" {self.confined.filled(place)!r}" if contents else ""),
            "signature": f"live, {self.name}, {step.call}",
        }
        if contents:
            self.breach["got"] += f" {self.confined.filled(place)!r}"
        if got == UNTOUCHED:
            self.breach["got"] = f"was not made ({self.name})"


def _errs(cover: Cover, wanted: str) -> bool:
    """Whether a rule is not enforced in full and may err so; an empty word asks for any way."""
    return cover.extent is not Extent.FULL and (not wanted or cover.errs in (wanted, ""))


def _is_notify(name: str) -> bool:
    return backend(name).mechanism == MechanismName.NOTIFY


def _possible(step: Step, name: str) -> Step:
    """The step without what docs/limits.md says that a mechanism gives otherwise: O_PATH."""
    if not _is_notify(name) or step.call not in ("open", "openat", "openat2"):
        return step

    def plain(value: Argument) -> Argument:
        if isinstance(value, Struct):
            words = (each & ~os.O_PATH if isinstance(each, int) else each for each in value.words)
            return Struct(tuple(words), value.tail)
        return value & ~os.O_PATH if isinstance(value, int) and value >= 0 else value

    return replace(step, args=tuple(map(plain, step.args)))


def _documented(name: str, call: Call, permitted: bool, got: int) -> str:
    """What docs/limits.md says that a mechanism does otherwise for every policy."""
    if _is_notify(name) and call.name == "clone3" and got == -ENOSYS:
        return "clone3 is ENOSYS under notify"
    if backend(name).mechanism == MechanismName.LANDLOCK and not permitted and got < 0:
        return "Landlock is asked after the call's own errors"
    return ""


def _renew(root: Path, program: Path) -> None:
    """A network without used ports; a file system with nothing in it but the actor's program."""
    content = program.read_bytes()
    namespaces.unshare(namespaces.CLONE_NEWNET)
    walls.raise_loopback()
    namespaces.mount("tmpfs", root, "tmpfs", namespaces.MS_NOSUID, "size=64m,mode=755")
    program.parent.mkdir()
    program.write_bytes(content)
    program.chmod(0o755)


def _is_second_name(policy: Policy, call: Call) -> bool:
    """Whether a name of the call is a hard link to what a rule names: see docs/limits.md, Names."""
    denied = [
        symbol.operand
        for symbol in symbols(policy)
        if isinstance(symbol, TextSymbol) and symbol.operator in (TextOperator.EQ, TextOperator.NEQ)
    ]
    names = [value.text for value in call.values if value.translator == "filename" and value.text]
    return any(_is_same(name, other) for name in names for other in denied if name != other)


def _is_same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _trees(got: Mapping[str, str], expected: Mapping[str, str], name: str) -> dict[str, str]:
    if got == expected:
        return {}
    differ = sorted(path for path in {*got, *expected} if got.get(path) != expected.get(path))
    return {
        "call": "the tree after all calls",
        "expected": "; ".join(f"{path}: {expected.get(path, 'nothing')}" for path in differ),
        "got": "; ".join(f"{path}: {got.get(path, 'nothing')}" for path in differ) + f" ({name})",
        "signature": f"live, {name}, tree",
    }
