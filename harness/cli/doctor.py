"""`harness doctor`: what this machine can test, and what would enable the rest."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from enforcer.mechanisms.contract import MechanismName, Missing, PreparedName
from harness import process
from harness.backends import backend, external_names
from harness.backends.life import Backend
from harness.build import BuildError, compiler
from harness.cases import local_abis
from harness.cli import Status
from harness.directories import cache_directory
from harness.installing import by_pip
from harness.places import isolation
from harness.places.choice import Say
from harness.places.features import FEATURES, lacking
from harness.places.isolation import Isolation
from harness.places.layout import coverable_root
from harness.places.local import kernel_release
from harness.report.terminal import folded
from harness.runner import needs_of_backend
from harness.scratch import left

PROBE = (
    "import json, sys; from harness.backends import backend; "
    "print(json.dumps([vars(each) for each in backend(sys.argv[1]).probe()]))"
)
PROBE_TIMEOUT_S = 20.0
OK, LACKING, NOTE = "ok", "lacking", "note"
ISOLATION_MENDS = {
    Isolation.NAMESPACES: "",
    Isolation.USER: "",
    Isolation.PLAIN: "run as root, or permit user namespaces (sysctl user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone=1); runs are bounded, but less walled in",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: what was looked at, how it stands, and the fix."""

    what: str
    state: str
    detail: str
    mend: str = ""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(as_json: bool) -> None:
    """Probe this machine: mechanisms, compilers, ABIs, isolation. Nothing is changed."""
    lacking = set()
    for finding in examine(_say):
        if finding.state == LACKING:
            lacking.add(finding.what)
        if as_json:
            click.echo(json.dumps(vars(finding)))
        else:
            click.echo(folded(f"{finding.what}: {finding.detail}", f"{finding.state:8} "))
            if finding.mend:
                click.echo(folded(finding.mend, " " * 9 + "-> "))
    sys.exit(Status.BROKEN if "isolation" in lacking else Status.EXPECTED)


def _say(what: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"{what}...", err=True)


def examine(say: Say) -> Iterator[Finding]:
    """Every finding, by trying; `say` is told of what takes long."""
    yield Finding(what="kernel", state=NOTE, detail=kernel_release())
    yield Finding(what="processors", state=NOTE, detail=str(os.cpu_count()))
    yield from _isolation()
    yield from _mechanisms()
    yield from _prepared()
    yield from _external()
    yield from _compilers(say)
    yield from _left()
    yield from _tools()
    yield from _features()
    yield Finding(
        what="no_new_privs",
        state=NOTE,
        detail="confined programs run with it: set-user-id programs (sudo, ping, mount) do not "
        "gain ids there",
    )


def _isolation() -> Iterator[Finding]:
    found = isolation.available()
    state = LACKING if found is Isolation.PLAIN else OK
    yield Finding(what="isolation", state=state, detail=found, mend=ISOLATION_MENDS[found])
    root = coverable_root()
    yield Finding(
        what="private directory",
        state=OK if root else LACKING,
        detail=f"runs see their own {root}" if root else "none of the usual ones is free",
        mend="" if root else "make an empty directory /srv",
    )


def _mechanisms() -> Iterator[Finding]:
    for name in MechanismName:
        try:
            # In a process of its own: a probe tries things, and one that hangs is a finding.
            done = process.run([sys.executable, "-c", PROBE, name], timeout_s=PROBE_TIMEOUT_S)
            missing = json.loads(done.stdout)
        except process.ProcessTimeout as error:
            missing = [{"feature": f"an answer of its probe: {error}", "mend": "report this"}]
        except ValueError:
            missing = [{"feature": f"a working probe: {done.describe()}", "mend": "report this"}]
        if not missing:
            yield Finding(what=name, state=OK, detail="usable")
        for each in missing:
            yield Finding(what=name, state=LACKING, detail=each["feature"], mend=each["mend"])


def _prepared() -> Iterator[Finding]:
    """What changes a whole machine is no matter of this one."""
    for name in PreparedName:
        for each in backend(name).probe():
            yield Finding(what=name, state=NOTE, detail=f"needs {each.feature}", mend=each.mend)


def _external() -> Iterator[Finding]:
    """Others' sandboxes: what can be run, and how the rest is installed."""
    for name in external_names():
        found = backend(name)
        missing = [*found.probe(), *_features_of(found)]
        detail = "; ".join(each.feature for each in missing) or "usable"
        mend = "; ".join(dict.fromkeys(each.mend for each in missing if each.mend))
        yield Finding(what=name, state=NOTE if missing else OK, detail=detail, mend=mend)


def _features_of(found: Backend) -> Iterator[Missing]:
    for name, reason in lacking(needs_of_backend(found)).items():
        yield Missing(feature=f"{name}: {reason}")


def _compilers(say: Say) -> Iterator[Finding]:
    for abi in local_abis():
        say(f"trying a compiler for {abi}, half a minute the first time")
        try:
            found = compiler(abi)
        except BuildError as error:
            yield Finding(what=f"attacks for {abi}", state=LACKING, detail=str(error))
            continue
        built = f"built by `{' '.join(found.command)}`"
        yield Finding(what=f"attacks for {abi}", state=OK, detail=built)
    zig = importlib.util.find_spec("ziglang") is not None
    yield Finding(
        what="attacks for other architectures",
        state=OK if zig else LACKING,
        detail="ziglang" if zig else "ziglang is not installed",
        mend="" if zig else by_pip("ziglang"),
    )
    cache = cache_directory()
    place = cache if cache.exists() else next(each for each in cache.parents if each.exists())
    writable = os.access(place, os.W_OK)
    yield Finding(
        what="cache",
        state=OK if writable else LACKING,
        detail=str(cache),
        mend="" if writable else "set XDG_CACHE_HOME to a directory that you can write to",
    )


def _left() -> Iterator[Finding]:
    """What runs that were killed left behind."""
    where = Path(tempfile.gettempdir())
    found = [str(path) for path in left(where)]
    yield Finding(
        what="left behind",
        state=NOTE if found else OK,
        detail=f"{len(found)} in {where} by runs that were killed" if found else "nothing",
        mend=f"the next `harness run` removes them; by hand: rm -rf {shlex.join(found)}"
        if found
        else "",
    )


def _tools() -> Iterator[Finding]:
    strace = shutil.which("strace")
    yield Finding(
        what="strace",
        state=OK if strace else NOTE,
        detail=strace or "not installed: `harness bench` leaves it out",
    )


def _features() -> Iterator[Finding]:
    """What attacks and scenarios may need of a kernel."""
    absent = lacking(FEATURES)
    present = [name for name in FEATURES if name not in absent]
    yield Finding(what="features", state=OK, detail=", ".join(present))
    for name, reason in absent.items():
        yield Finding(what=name, state=NOTE, detail=f"{reason}: what needs it is inapplicable")
