"""SELinux: types of objects and one domain for a target, which it enters by its next execve.

Objects are labelled when a run begins; a label stays with its object whatever that is called, and
what is made in a directory gets the label that the directory says. Everybody else may do anything.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from enforcer.access.kinds import Access
from enforcer.access.mediation import Mediation
from enforcer.access.tree import Node, node_from_json
from enforcer.kernel import kernel_log, namespaces, procfs
from enforcer.mechanisms.contract import LaunchError, Plan, PreparedName
from enforcer.mechanisms.preparing import Event, Needs, Run, Stage
from enforcer.mechanisms.security_module import (
    SecurityModule,
    descriptor_of,
    programs_of,
    tree_of_plan,
)
from enforcer.mechanisms.selinux.labels import DOMAIN, PROGRAM, Labels, context
from enforcer.mechanisms.selinux.records import CALLS, refusals

LABEL = "security.selinux"
ENFORCING, PERMISSIVE = b"1", b"0"


class SeLinux(SecurityModule):
    """The mechanism."""

    name = PreparedName.SELINUX
    needs = Needs(machine=True, lsm=("selinux",), boot=("landlock", "yama", "selinux"))
    says = Mediation(
        calls=frozenset().union(*CALLS.values()),
        refusals=frozenset({errno.EACCES}),
        together=frozenset({Access.WRITE, Access.CREATE}),
        reads_to_execute=True,
    )
    confined = f"{context(DOMAIN)}, enforcing {ENFORCING.decode()}"

    def told(self, tree: Node, programs: Iterable[Path]) -> str:
        """The types and what is allowed, in words."""
        labels = Labels(tree)
        rules = labels.policy().allowed.items()
        lines = [f"{path}: {labels.type_of(path)}" for path in labels.paths]
        lines += [f"{path}: {PROGRAM}" for path in programs]
        lines += [
            f"allow {domain} {kind}:{where} {{ {' '.join(sorted(permissions))} }}"
            for (domain, kind, where), permissions in rules
            if domain == DOMAIN and permissions
        ]
        return "\n".join((*lines, ""))

    @contextlib.contextmanager
    def prepare(self, plan: Plan, stage: Stage, run: Run) -> Iterator[Plan]:
        """The policy loaded, the objects of the run labelled, and enforced as long as it lasts."""
        labels = Labels(tree_of_plan(plan))
        with _files(stage) as selinux:
            enforce = os.open(selinux / "enforce", os.O_RDWR | os.O_CLOEXEC)
            _write_once(selinux / "load", binary(json.dumps(plan.data["tree"])))
        records = kernel_log.opened_at_end()
        try:
            objects = _labelled(labels, stage)
            os.pwrite(enforce, ENFORCING, 0)
            data = {"records": records, "enforce": enforce, "objects": objects}
            yield replace(plan, data={**plan.data, **data})
        finally:
            os.pwrite(enforce, PERMISSIVE, 0)
            os.close(enforce)
            os.close(records)

    def foresee(self, plan: Plan, stage: Stage, run: Run) -> None:
        """The policy's binary form is the same for all runs of a case."""
        binary(json.dumps(plan.data["tree"]))

    def enter(self, plan: Plan) -> None:
        Path("/proc/self/attr/exec").write_text(context(DOMAIN), encoding="ascii")

    def confinement(self, plan: Plan, pid: int) -> str:
        said = procfs.read(pid, "attr/current").rstrip(b"\0\n").decode()
        enforced = os.pread(descriptor_of(plan, "enforce"), 1, 0).decode()
        return f"{said}, enforcing {enforced}"

    def collect(self, plan: Plan, stage: Stage) -> tuple[Event, ...]:
        lines = kernel_log.audited(descriptor_of(plan, "records"))
        objects = cast("Mapping[int, str]", plan.data["objects"])
        return tuple(refusals(lines, Labels(tree_of_plan(plan)), objects))


@functools.lru_cache(maxsize=1)
def binary(tree: str) -> bytes:
    """The policy of a tree, which is told in JSON, as the kernel takes it."""
    return Labels(node_from_json(json.loads(tree))).policy().binary()


@contextlib.contextmanager
def _files(stage: Stage) -> Iterator[Path]:
    """What the kernel is told by, where no target is yet."""
    mounted = stage.state / "selinuxfs"
    mounted.mkdir()
    namespaces.mount("selinuxfs", mounted, "selinuxfs")
    try:
        yield mounted
    finally:
        namespaces.unmount(mounted)


def _write_once(file: Path, data: bytes) -> None:
    """A policy is one write. Raises LaunchError with what the kernel's log says of it."""
    log = kernel_log.opened_at_end()
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    except OSError as error:
        said = "; ".join(kernel_log.lines(log))
        raise LaunchError(f"SELinux does not take the policy: {error.strerror}: {said}") from error
    finally:
        os.close(descriptor)
        os.close(log)


def _labelled(labels: Labels, stage: Stage) -> dict[int, str]:
    """Every object of the run's own file system gets its type; their names by number.

    One with several names gets the type that permits the least, and that name.
    """
    tree = labels.tree
    device = stage.root.stat().st_dev
    programs = {str(path) for path in programs_of(stage)}
    best: dict[int, str] = {}
    found = [stage.root]
    for directory, names, files in os.walk(stage.root):
        found += [Path(directory, name) for name in (*names, *files)]
    for path in found:
        seen = path.lstat()
        if seen.st_dev != device:
            continue
        known = best.get(seen.st_ino)
        if known is None or len(tree.permitted(str(path))) < len(tree.permitted(known)):
            best[seen.st_ino] = str(path)
    for name in best.values():
        kind = PROGRAM if name in programs else labels.type_of(name)
        os.setxattr(name, LABEL, context(kind).encode() + b"\0", follow_symlinks=False)
    return best


MECHANISM = SeLinux()
