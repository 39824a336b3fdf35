"""Builds attacks as static programs, one per ABI, and keeps them by the content of their source.

The system's compiler serves the machine's own ABIs; `ziglang` from PyPI serves all others.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from enforcer.arch import ABIS, native
from harness import process, tree
from harness.attack import Attack
from harness.directories import cache_directory
from harness.installing import by_pip
from harness.scratch import Scratch

FLAGS = ("-std=gnu11", "-O2", "-static", "-pthread", "-D_FILE_OFFSET_BITS=64")
WARNINGS = ("-Wall", "-Wextra")

ZIG_TARGETS = {
    "x86_64": "x86_64-linux-musl",
    "x32": "x86_64-linux-muslx32",
    "i386": "x86-linux-musl",
    "arm": "arm-linux-musleabihf",
    "arm64": "aarch64-linux-musl",
    "riscv64": "riscv64-linux-musl",
    "s390x": "s390x-linux-musl",
    "ppc64le": "powerpc64le-linux-musl",
}
_FIRST_ZIG_BUILD_S = 900.0  # it builds the C library too: half a minute, but more under load
_AT_HAND_S = 2.0  # more than two compilers take for a small program
_PROBE = '#include <stdio.h>\n#include <pthread.h>\nint main(void) { return puts("") < 0; }\n'


class BuildError(Exception):
    """No compiler built the program; the message has every command tried, and the fix."""


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """A command that compiles for one ABI."""

    command: tuple[str, ...]

    def build(self, source: Path, output: Path, *flags: str) -> process.Completed:
        """Compile one C file to the static program `output`. Raises BuildError after its time."""
        # zig waits for ever where its cache cannot be made.
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(_zig_cache())}
        try:
            return process.run(
                [*self.command, *FLAGS, *flags, "-o", output, source],
                timeout_s=_FIRST_ZIG_BUILD_S,
                env=environment,
            )
        except process.ProcessTimeout as error:
            raise BuildError(f"{source}: {error}; the next try goes on where it stopped") from None


def _zig_cache() -> Path:
    """One for each installation: two that share one take each other's C library for changed (their
    files have other inodes and times), and each of them builds it anew, which takes half a minute.
    """
    return _made(f"zig/{hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]}")


def _made(name: str) -> Path:
    """A directory of the cache, writable. Raises BuildError."""
    directory = cache_directory() / name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise BuildError(f"{directory} cannot be written: set XDG_CACHE_HOME to one that can")
    return directory


def build(attack: Attack, abi: str) -> Path:
    """The attack's program for `abi`, compiled unless the cache has it.

    Safe to be called by many processes at once. Raises BuildError.
    """
    return build_source(attack.program, abi, include=_headers(attack))


def source_digest(attack: Attack, abi: str) -> str:
    """A short name for all that the built program is made of. Raises OSError."""
    return _digest(attack.program, abi, _headers(attack))


def _headers(attack: Attack) -> Path:
    """Those of the attack's tree, else our own."""
    beside = attack.program.parent.parent / "include"
    return beside if beside.is_dir() else tree.OWN / "attacks" / "include"


def build_source(source: Path, abi: str, *, include: Path) -> Path:
    """As `build`, for any C file that needs only the headers of `include`."""
    directory = _made("attacks")
    program = directory / f"{source.stem}-{abi}-{_digest(source, abi, include)}"
    if program.exists():
        return program
    with _locked(program.with_suffix(".lock")):
        if not program.exists():
            _compile(source, abi, program, (*WARNINGS, f"-I{include}"))
    return program


@functools.cache
def compiler(abi: str) -> Compiler:
    """The best compiler for `abi` on this machine that builds a small program.

    One process at a time tries, because zig's first build of a target makes its C library too.
    Raises BuildError when none works or one takes too long, which is not remembered: a full disk
    or a busy machine may have been the cause.
    """
    said = ""
    with _locked(_zig_cache() / f"{abi}.lock"):
        for each in _candidates(abi):
            tried = _probed(each)
            if tried.status == 0:
                return each
            said += f"\n{tried.describe()}"
    raise BuildError(
        f"no compiler here builds static {abi} programs; install gcc and libc6-dev "
        f"(for i386 gcc-multilib), or ziglang: {by_pip('ziglang')}{said}"
    )


def awaited(abis: Iterable[str]) -> frozenset[str]:
    """Those of the ABIs whose C library is to be built yet, which goes on beside the caller."""
    left = list(dict.fromkeys(abis))

    def try_each() -> None:
        while left:
            with contextlib.suppress(BuildError):  # the cases that need it say so
                compiler(left[0])
            del left[0]

    trying = threading.Thread(target=try_each, daemon=True)
    trying.start()
    trying.join(_AT_HAND_S)
    return frozenset(left)


def _candidates(abi: str) -> Iterator[Compiler]:
    own = [each.name for each in native().abis]
    if abi in own and (cc := shutil.which(os.environ.get("CC", "cc"))):
        if abi == own[0]:
            yield Compiler(command=(cc,))
        elif ABIS[abi].bits == 32 and not ABIS[abi].nr_bit:
            yield Compiler(command=(cc, "-m32"))
    if importlib.util.find_spec("ziglang") is not None:
        target = ZIG_TARGETS[abi]
        yield Compiler(command=(sys.executable, "-m", "ziglang", "cc", "-target", target))


def _probed(compiler: Compiler) -> process.Completed:
    with Scratch() as scratch:
        source = scratch / "probe.c"
        source.write_text(_PROBE, encoding="ascii")
        return compiler.build(source, source.with_suffix(".out"))


def _compile(source: Path, abi: str, program: Path, flags: tuple[str, ...]) -> None:
    chosen = compiler(abi)
    with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
        output = Path(scratch) / program.name
        completed = chosen.build(source, output, *flags)
        if completed.status != 0:
            first = _first_error(completed.stderr)
            raise BuildError(f"{source}: not built for {abi}: {first}\n{completed.describe()}")
        output.replace(program)


def _first_error(diagnostics: str) -> str:
    """The compiler's first line that speaks of an error, for those who read one line only."""
    lines = diagnostics.splitlines()
    return next((line.strip() for line in lines if "error:" in line), "the compiler failed")


def _digest(source: Path, abi: str, include: Path) -> str:
    content = hashlib.sha256("\0".join((abi, *FLAGS)).encode())
    for path in (source, *sorted(include.glob("*.h"))):
        data = path.read_bytes()
        content.update(f"{path.name} {len(data)}\n".encode() + data)
    return content.hexdigest()[:20]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
