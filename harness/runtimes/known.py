"""Runtimes as data: what they take, where they come from, and how they start a program under it.

Each runs in a mount namespace of its own, most in a pid namespace, with their own cgroup and /run.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import native
from enforcer.exports.export import Target
from enforcer.filters.docker import resolved
from enforcer.filters.model import Form
from enforcer.filters.systemd import directives
from enforcer.kernel.seccomp_filter import filters_of
from enforcer.syscalls import table
from enforcer.syscalls.constants import constants
from harness.places import isolation


@dataclass(frozen=True, kw_only=True)
class Place:
    """A scratch directory, the program that is to be started, and the profile in it."""

    directory: Path
    program: Path
    profile: Path


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One runtime. `takes` is the language of its profiles; others are exported to `writes` first.

    `command` writes what it needs beside the profile and says how it is started. `library`: it
    compiles by libseccomp, which leaves out calls that it does not know. `stub`: numbers above all
    that the profile names fail with ENOSYS. `names` prints the calls that it knows, one a line,
    where they are its own. `beyond`: on x86_64 it takes numbers above x32's for
    x32's. `contained`: it works in a pid namespace.
    """

    name: str
    programs: tuple[str, ...]
    takes: Form | None
    writes: Target | None
    command: Callable[[Place], tuple[str, ...]]
    origin: str
    library: bool = False
    stub: bool = False
    beyond: bool = False
    names: tuple[str, ...] = ()
    contained: bool = True
    version: tuple[str, ...] = ()

    def missing(self) -> str:
        """Which of its programs is not here, and where it comes from; empty: all are."""
        lacking = [each for each in self.programs if shutil.which(each) is None]
        return f"{', '.join(lacking)} not found: {self.origin}" if lacking else ""


_BUNDLE = {
    "ociVersion": "1.0.2",
    "root": {"path": "root", "readonly": True},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
    ],
}


def _bundle(place: Place) -> None:
    """An OCI bundle that holds nothing but the program."""
    root = place.directory / "root"
    root.mkdir()
    shutil.copy(place.program, root / place.program.name)
    started = {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": [f"/{place.program.name}"],
        "cwd": "/",
        "env": ["PATH=/"],
        "noNewPrivileges": True,
    }
    linux = {
        "namespaces": [{"type": each} for each in ("pid", "mount", "ipc", "uts")],
        "seccomp": json.loads(resolved(place.profile.read_text(), str(place.profile))),
    }
    config = {**_BUNDLE, "process": started, "linux": linux}
    (place.directory / "config.json").write_text(json.dumps(config, indent=1))


def _crun(place: Place) -> tuple[str, ...]:
    _bundle(place)
    state = f"--root={place.directory}/state"
    return ("crun", state, "--cgroup-manager=disabled", "run", f"--bundle={place.directory}", "lab")


def _runc(place: Place) -> tuple[str, ...]:
    _bundle(place)
    state = f"--root={place.directory}/state"
    return ("runc", state, "run", f"--bundle={place.directory}", "laboratory")


def _bwrap(place: Place) -> tuple[str, ...]:
    words = ("bwrap", "--bind", "/", "/", "--dev", "/dev", "--seccomp", "9", str(place.program))
    return ("sh", "-c", f'exec 9< {shlex.quote(str(place.profile))}; exec "$@"', "sh", *words)


def _firejail(place: Place) -> tuple[str, ...]:
    profile = place.profile.rename(place.directory / "profile.profile")
    return ("firejail", "--quiet", f"--profile={profile}", str(place.program))


def _minijail(place: Place) -> tuple[str, ...]:
    options = ("--logging=stderr", "-n", "-S", str(place.profile))
    return ("minijail0", *options, "--", str(place.program))


def minijail_constants() -> str:
    """What minijail's compiler has to be told of this machine, as JSON."""
    abi = native().abis[0]
    # Its own table has those of errno.h as well: `return ENOENT`.
    errnos = {name: number for name, number in vars(errno).items() if isinstance(number, int)}
    known = {
        "arch_nr": abi.audit_arch,
        "arch_name": abi.name,
        "bits": abi.bits,
        "syscalls": dict(table(abi.name)),
        "constants": {**constants(abi.name), **errnos},
    }
    return json.dumps(known)


def _minijail_compiler(place: Place) -> tuple[str, ...]:
    """minijail's compiler in Python, and minijail0 for what comes out of it."""
    constants_file = place.directory / "constants.json"
    constants_file.write_text(minijail_constants())
    compiled = place.directory / "compiled.bpf"
    words = ("compile_seccomp_policy.py", "--arch-json", str(constants_file))
    compile_it = shlex.join((*words, str(place.profile), str(compiled)))
    start = ("minijail0", "-n", f"--seccomp-bpf-binary={compiled}", "--", str(place.program))
    return ("sh", "-c", f"{compile_it} && exec {shlex.join(start)}")


def _nsjail(place: Place) -> tuple[str, ...]:
    options = ("--really_quiet", "-Mo", "--chroot", "/", "--disable_clone_newuser")
    policy = ("--seccomp_policy", str(place.profile))
    return ("nsjail", *options, "--disable_proc", *policy, "--", str(place.program))


def _systemd(place: Place) -> tuple[str, ...]:
    """A manager of its own, the first process of its pid namespace, which starts one unit."""
    units = place.directory / "units"
    units.mkdir()
    lines = (
        *("[Unit]", "DefaultDependencies=no", "FailureAction=exit-force", "[Service]"),
        *("Type=oneshot", "NoNewPrivileges=yes", *directives(place.profile.read_text())),
        f"ExecStart={place.program}",
    )
    (units / "laboratory.service").write_text("\n".join(lines) + "\n")
    manager = (
        *("env", "container=laboratory", f"SYSTEMD_UNIT_PATH={units}", "/lib/systemd/systemd"),
        *("--system", "--unit=laboratory.service", "--show-status=no", "--log-target=console"),
    )
    return ("unshare", "--pid", "--fork", "--cgroup", "--mount", "--mount-proc", "--", *manager)


RUNTIMES: Mapping[str, Runtime] = {
    each.name: each
    for each in (
        Runtime(
            name="crun",
            programs=("crun",),
            takes=Form.DOCKER,
            writes=Target.DOCKER,
            command=_crun,
            origin="apt install crun",
            library=True,
            beyond=True,
            version=("crun", "--version"),
        ),
        Runtime(
            name="runc",
            programs=("runc",),
            takes=Form.DOCKER,
            writes=Target.DOCKER,
            command=_runc,
            origin="apt install runc",
            library=True,
            beyond=True,
            stub=True,
            version=("runc", "--version"),
        ),
        Runtime(
            name="bwrap",
            programs=("bwrap",),
            takes=Form.BPF,
            writes=Target.BWRAP,
            command=_bwrap,
            origin="apt install bubblewrap",
            version=("bwrap", "--version"),
        ),
        Runtime(
            name="firejail",
            programs=("firejail",),
            takes=None,
            writes=Target.FIREJAIL,
            command=_firejail,
            origin="apt install firejail",
            beyond=True,
            names=("firejail", "--debug-syscalls"),
            contained=False,  # where it sees no kernel threads, it starts programs as they are
            version=("firejail", "--version"),
        ),
        Runtime(
            name="systemd",
            programs=("/lib/systemd/systemd", "systemd-analyze"),
            takes=Form.SYSTEMD,
            writes=Target.SYSTEMD,
            command=_systemd,
            origin="apt install systemd",
            library=True,
            beyond=True,
            version=("/lib/systemd/systemd", "--version"),
        ),
        Runtime(
            name="minijail",
            programs=("minijail0",),
            takes=Form.MINIJAIL,
            writes=Target.MINIJAIL,
            command=_minijail,
            origin="build https://github.com/google/minijail",
        ),
        Runtime(
            name="minijail-compiler",
            programs=("compile_seccomp_policy.py", "minijail0"),
            takes=Form.MINIJAIL,
            writes=Target.MINIJAIL,
            command=_minijail_compiler,
            origin="tools/ of https://github.com/google/minijail",
        ),
        Runtime(
            name="nsjail",
            programs=("nsjail",),
            takes=Form.KAFEL,
            writes=None,
            command=_nsjail,
            origin="build https://github.com/google/nsjail",
        ),
    )
}


def why_not(runtime: Runtime) -> str:
    """Why it cannot be started here and read, asked of the machine; empty: it can."""
    if os.geteuid():
        return f"{runtime.name} needs root"
    if missing := runtime.missing():
        return missing
    if isolation.available() is isolation.Isolation.PLAIN:
        return "the kernel permits no namespaces"
    try:
        filters_of(os.getppid())
    except OSError as error:
        if error.errno == errno.EACCES:
            return "CAP_SYS_ADMIN, and a caller without a filter, are needed to read filters"
    return ""
