"""BPF-LSM: programs of ours at the kernel's hooks, which judge the object that the kernel holds.

They are the same for every policy: that stands in their maps, as marks of objects, and names only
where nothing is yet. So what a denied object is called, and by which mount it is reached, is no
matter; see programs.py.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import astuple, replace
from pathlib import Path
from typing import cast

from enforcer.access.kinds import Access
from enforcer.access.mediation import Mediation
from enforcer.access.tree import Node
from enforcer.kernel import bpf, btf, mountinfo, namespaces, procfs
from enforcer.mechanisms.bpf_lsm.layout import EVENT, KEY, MARK, SETTINGS, Settings, bits
from enforcer.mechanisms.bpf_lsm.marks import Marks, opened
from enforcer.mechanisms.bpf_lsm.programs import HOOKS, LATER, program
from enforcer.mechanisms.bpf_lsm.records import CALLS, refusals
from enforcer.mechanisms.bpf_lsm.writer import STRUCTURES, Maps
from enforcer.mechanisms.contract import Plan, PreparedName, Unavailable
from enforcer.mechanisms.preparing import Event, Needs, Run, Stage
from enforcer.mechanisms.security_module import (
    SecurityModule,
    descriptor_of,
    programs_of,
    tree_of_plan,
)

GROUP = "interposition-lab"
MOST_MARKS, MOST_EVENTS = 16384, 4096
_FIRST = bytes(4)
_ADDRESS_BYTES = 8


class BpfLsm(SecurityModule):
    """The mechanism."""

    name = PreparedName.BPF_LSM
    needs = Needs(machine=True, lsm=("bpf",))
    says = Mediation(
        calls=frozenset().union(*CALLS.values()) - {"mmap", "mmap2", "mprotect", "pkey_mprotect"},
        refusals=frozenset({errno.EACCES}),
        together=frozenset({Access.WRITE, Access.CREATE}),
    )
    confined = f"0::/{GROUP}"

    def __init__(self) -> None:
        self._settled: tuple[int, ...] = ()

    def settle(self) -> None:
        """The programs, which are judged for seconds before they are taken; they stay for ever."""
        self._settled = tuple(map(bpf.map_id, astuple(_attached(ExitStack()))))

    def told(self, tree: Node, programs: Iterable[Path]) -> str:
        """The marks in words: what is asked for at each name, and beneath it."""
        lines = [
            f"{path}: {_in_words(node.here)}; beneath: {_in_words(node.beneath)}"
            for path, node in tree.walk()
        ]
        lines += [f"{path}: execute, read" for path in programs]
        return "\n".join((*lines, ""))

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage, run: Run) -> Iterator[Plan]:
        """Programs attached, objects marked, and the run's init in the group of its target."""
        tree = tree_of_plan(plan)
        with ExitStack() as stack:
            maps = _opened(self._settled, stack) if self._settled else _attached(stack)
            bpf.empty(maps.marks, _ADDRESS_BYTES)
            bpf.empty(maps.names, KEY.size)
            _drained(maps.log)
            group = stack.enter_context(_group(stage))
            marks = Marks()
            stack.callback(marks.close)
            _find(marks, tree, stage)
            settings = Settings(
                group=os.fstat(group).st_ino,
                uid=stage.uid,
                beneath=bits(tree.beneath),
                errno=errno.EACCES,
            )
            for found in marks.objects.values():
                _set(maps, replace(settings, mark=found.mark))
                os.fstat(found.descriptor)
            for key, mark in marks.by_name.items():
                bpf.update(maps.names, key, mark.packed())
            _set(maps, settings)
            yield replace(plan, data={**plan.data, "log": maps.log, "names": marks.names})
            _set(maps, Settings())

    def enter(self, plan: Plan) -> None:
        """It is in the group already, and what it executes first is the gate."""

    def confinement(self, plan: Plan, pid: int) -> str:
        return procfs.read(pid, "cgroup").decode().strip()

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        log = descriptor_of(plan, "log")
        return tuple(refusals(_drained(log), cast("Sequence[str]", plan.data["names"])))


def _drained(log: int) -> list[bytes]:
    """What was told and not read yet."""
    return list(iter(lambda: bpf.popped(log, EVENT.size), None))


def _in_words(kinds: Iterable[Access]) -> str:
    return ", ".join(sorted(kinds)) or "nothing"


def _opened(numbers: Sequence[int], stack: ExitStack) -> Maps:
    """The maps of programs that are attached already."""
    maps = Maps(*map(bpf.open_map, numbers))
    for descriptor in astuple(maps):
        stack.callback(os.close, descriptor)
    return maps


def _attached(stack: ExitStack) -> Maps:
    """The programs at their hooks, as long as the descriptors are open. Raises Unavailable."""

    def kept(descriptor: int) -> int:
        stack.callback(os.close, descriptor)
        return descriptor

    try:
        types = btf.read([f"bpf_lsm_{hook}" for hook in HOOKS], STRUCTURES)
        maps = Maps(
            settings=kept(bpf.create_map(bpf.MapKind.ARRAY, 4, SETTINGS.size, 1, "settings")),
            marks=kept(bpf.create_map(bpf.MapKind.HASH, 8, MARK.size, MOST_MARKS, "marks")),
            names=kept(bpf.create_map(bpf.MapKind.HASH, KEY.size, MARK.size, MOST_MARKS, "names")),
            log=kept(bpf.create_map(bpf.MapKind.QUEUE, 0, EVENT.size, MOST_EVENTS, "log")),
        )
        for hook in HOOKS:
            function = types.functions.get(f"bpf_lsm_{hook}")
            if function is None and hook in LATER:
                continue
            if function is None:
                raise Unavailable(f"this kernel has no hook {hook}")
            loaded = kept(bpf.load_lsm(program(hook, maps, types), function.number, hook))
            kept(bpf.attach(loaded))
    except btf.BtfError as error:
        raise Unavailable(str(error)) from error
    except OSError as error:
        if error.errno == _ENOTSUPP:
            raise Unavailable("this kernel attaches no programs to its hooks here") from error
        raise
    return maps


_ENOTSUPP = 524  # of the kernel's own, that no call should answer: arm64 before 6.4


@contextlib.contextmanager
def _group(stage: Stage) -> Iterator[int]:
    """A descriptor of the control group that the run's init is in, and all that it starts."""
    mounted = stage.state / "cgroup"
    mounted.mkdir()
    namespaces.mount("cgroup2", mounted, "cgroup2")
    top = opened(mounted)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(GROUP, dir_fd=top)
        group = opened(Path(GROUP), top)
        _join(group)
        # Its files are nobody's business in the run.
        namespaces.unmount(mounted)
        yield group
        _join(top)
        os.close(group)
        with contextlib.suppress(OSError):  # somebody of the run is not quite gone
            os.rmdir(GROUP, dir_fd=top)
    finally:
        os.close(top)


def _join(group: int) -> None:
    descriptor = os.open("cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=group)
    try:
        os.write(descriptor, b"0")
    finally:
        os.close(descriptor)


def _find(marks: Marks, tree: Node, stage: Stage) -> None:
    """All that is there, and the names of which the policy speaks."""
    for mount in mountinfo.parse(procfs.read(os.getpid(), "mountinfo")):
        marks.mounted(tree, Path(os.fsdecode(mount.point)))
    root = opened(Path("/"))
    try:
        marks.spoken(tree, "/", root)
    finally:
        os.close(root)
    marks.there(tree, stage.root)
    marks.programs(tree, programs_of(stage))


def _set(maps: Maps, settings: Settings) -> None:
    bpf.update(maps.settings, _FIRST, settings.packed())


MECHANISM = BpfLsm()
