"""Mechanisms that are switched on outside of their target: where, when, and what is undone."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    LaunchError,
    Missing,
    Options,
    Plan,
    PreparedName,
    Unavailable,
    module_of,
)
from enforcer.mechanisms.preparing import Event, Met, Needs, PreparedMechanism, Run, Stage
from enforcer.policy.ast import Policy
from harness import backends
from harness.backends import UNSUPPORTED
from harness.backends.life import stage_of
from harness.backends.prepared import Prepared
from harness.cli import Status, UserError, cli
from harness.cli.load import chosen_targets, supported, wanted_in
from harness.places.arranging import nobody
from harness.places.choice import Driver, Wish
from harness.places.layout import Layout

PLAN = Plan(mechanism="none", machine="x86_64", data={})


@dataclass
class Fake:
    """A mechanism that notes when it is on."""

    name: str = "fake"
    needs: Needs = field(default_factory=lambda: Needs(machine=True))
    refusals: frozenset[int] = frozenset()
    logs: bool = False
    absent: tuple[Missing, ...] = ()
    extents: tuple[Extent, ...] = ()
    program: tuple[str, ...] = ("true",)
    is_on: bool = False
    is_settled: bool = False
    foreseen: list[str] = field(default_factory=list)

    def foresee(self, plan: Plan, stage: Stage, run: Run) -> None:
        self.foreseen.append(run(("echo", str(stage.program)), ""))

    def settle(self) -> None:
        self.is_settled = True

    def probe(self) -> tuple[Missing, ...]:
        return self.absent

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        return ()

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        if self.extents and not options.partial:
            raise Inexpressible([Cover(rule=None, extent=extent) for extent in self.extents])
        return PLAN

    def describe(self, plan: Plan) -> str:
        return ""

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage, run: Run) -> Iterator[Plan]:
        self.is_on = True
        try:
            yield replace(plan, data={"said": run(self.program, "")})
        finally:
            self.is_on = False

    def probes(self, plan: Plan, stage: Stage) -> tuple[str, ...]:
        return ()

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        raise LaunchError

    def witness(self, plan: Plan, stage: Stage, met: Met) -> tuple[Event, ...]:
        return ()

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        return ()


def stage(root: Path, **how: bool) -> Stage:
    """A run below `root`, with its denied directory."""
    layout = Layout(root=root)
    layout.denied_directory.mkdir()
    return stage_of(
        layout,
        uid=os.getuid(),
        gid=os.getgid(),
        walled=how.get("walled", True),
        disposable=how.get("disposable", True),
    )


@pytest.mark.parametrize(
    ("how", "absent", "said"),
    [
        ({"disposable": False}, (), "--arch"),
        ({"walled": False}, (), "root"),
        ({}, (Missing(feature="a thing", mend="get it"),), "a thing (get it)"),
    ],
    ids=["this machine", "no mounts", "a kernel without"],
)
def test_it_is_switched_on_nowhere_else(
    how: dict[str, bool], absent: tuple[Missing, ...], said: str, tmp_path: Path
) -> None:
    """Not on a machine that stays, nor where its mounts would; what is missing is said."""
    fake = Fake(absent=absent)
    with pytest.raises(Unavailable, match=said.replace("(", r"\(").replace(")", r"\)")):
        Prepared(fake).prepare(PLAN, stage(tmp_path, **how)).__enter__()
    assert not fake.is_on


def test_what_all_runs_share_is_found_before_them(tmp_path: Path) -> None:
    """By the agent, on the machine that it is of, with a program's help; nowhere else."""
    fake = Fake()
    with Prepared(fake).arrange(PLAN, nobody, stage(tmp_path)):
        assert fake.foreseen == [f"{tmp_path}/bin/program\n"]
    with pytest.raises(Unavailable):
        Prepared(fake).arrange(PLAN, nobody, stage(tmp_path / "shut", disposable=False)).__enter__()
    assert len(fake.foreseen) == 1


def test_a_module_of_the_kernels_is_asked_for(tmp_path: Path) -> None:
    """What it needs of security modules is looked up in the kernel that runs the case."""
    fake = Fake(needs=Needs(machine=True, lsm=("nonesuch",)))
    with pytest.raises(Unavailable, match="lsm:nonesuch"):
        Prepared(fake).prepare(PLAN, stage(tmp_path)).__enter__()


@pytest.mark.parametrize("absent", [(), (Missing(feature="a thing"),)], ids=["there", "lacking"])
def test_a_machine_is_settled_only_with_what_it_takes(absent: tuple[Missing, ...]) -> None:
    """What a kernel lacks its cases say."""
    fake = Fake(absent=absent)
    Prepared(fake).settle()
    assert fake.is_settled is not bool(absent)


def test_it_is_on_as_long_as_the_run(tmp_path: Path) -> None:
    """And there is something that its probes can be tried on."""
    fake, where = Fake(program=("echo", "so")), stage(tmp_path)
    with Prepared(fake).prepare(PLAN, where) as plan:
        assert (fake.is_on, plan.data["said"]) == (True, "so\n")
        assert where.tried.is_file()
    assert not fake.is_on


@pytest.mark.parametrize("program", [("false",), ("nonesuch-program",)])
def test_a_program_that_fails_is_an_error_of_its_own(program: tuple[str], tmp_path: Path) -> None:
    """And it is off again."""
    fake = Fake(program=program)
    with pytest.raises(LaunchError, match=program[0]):
        Prepared(fake).prepare(PLAN, stage(tmp_path)).__enter__()
    assert not fake.is_on


@pytest.mark.parametrize(
    ("extents", "partial", "runs"),
    [
        ((Extent.PARTIAL,), False, True),
        ((Extent.PARTIAL, Extent.NONE), False, False),
        ((Extent.NONE,), True, True),
    ],
)
def test_a_rule_is_never_dropped_in_silence(
    extents: tuple[Extent, ...], partial: bool, runs: bool
) -> None:
    """Of which nothing is enforced, but where the scenario says that it may."""
    confining = Prepared(Fake(extents=extents))
    if runs:
        assert confining.compile([], [], partial=partial) == PLAN
    else:
        with pytest.raises(Inexpressible):
            confining.compile([], [], partial=partial)


WANTED = [
    ("alone", (), ("fake",), [(True, ("fake",))]),
    ("beside", (), ("fake", "ptrace"), [(False, ("ptrace",)), (True, ("fake",))]),
    ("named", ("x86_64",), ("fake",), [(True, ("fake",))]),
    ("nobody", (), (), [(False, ())]),
]


@pytest.mark.parametrize(
    ("arches", "wanted", "places"), [row[1:] for row in WANTED], ids=[row[0] for row in WANTED]
)
def test_it_gets_a_machine_by_itself(
    arches: tuple[str, ...],
    wanted: tuple[str, ...],
    places: list[tuple[bool, tuple[str, ...]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that is thrown away; what can be judged here stays here."""
    monkeypatch.setattr(backends, "needs_machine", lambda name: name == "fake")
    targets = chosen_targets(Wish(arches=arches), wanted)
    assert [(target.arch is not None, wanted_in(target, wanted)) for target in targets] == places
    assert all(target.settled == ("fake",) * (target.arch is not None) for target in targets)


@pytest.mark.parametrize("driver", [Driver.NONE, Driver.VNG])
def test_without_one_it_is_the_users_mistake(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said in one line."""
    monkeypatch.setattr(backends, "needs_machine", lambda name: name == "fake")
    with pytest.raises(UserError, match=f"--vm {driver}"):
        chosen_targets(Wish(driver=driver), ("fake",))


def test_what_nobody_can_judge_is_said() -> None:
    """It is no unknown name, and what can be judged beside it is."""
    done = CliRunner().invoke(cli, ["run", "--backend", "smack"])
    assert done.exit_code == Status.BROKEN
    assert UNSUPPORTED["smack"] in done.output
    told: list[str] = []
    assert supported(("smack", "tomoyo"), told.append) == ("tomoyo",)
    assert [line for line in told if "smack" in line] == told != []


@pytest.mark.parametrize("name", list(PreparedName))
def test_every_one_of_them_is_whole(name: PreparedName) -> None:
    """What the contract asks for is there: machines are settled by whoever is judged in them."""
    mechanism: PreparedMechanism = importlib.import_module(module_of(name)).MECHANISM
    asked = {each for each in dir(PreparedMechanism) if not each.startswith("_")}
    assert {"settle", "collect"} <= asked
    assert not asked - {*dir(mechanism)}
    assert {*PreparedMechanism.__annotations__} <= {*dir(mechanism)}
