"""What a step means to `decide`: its names as the objects that they lead to, asked from outside.

The kernel walks each name from the task's own directory or descriptor, as any process may do
through /proc; nothing of the enforcer is used.
"""

from __future__ import annotations

import os
import struct
from errno import ENOENT
from pathlib import Path

from enforcer.call import Call, Value
from harness.fuzz.steps import Argument, FileName, Operation, Step, Struct, Text

MOST_LINKS = 40
_HOW_BYTES, _PAGE = 24, 4096
_AT_FDCWD = (1 << 64) - 100
_ACCESS = ("ro", "wo", "rw", "rw")
_LETTERS = (("n", os.O_NONBLOCK), ("a", os.O_APPEND), ("c", os.O_CREAT), ("t", os.O_TRUNC))


class Unknowable(Exception):
    """What a name means cannot be told: it is relative to nothing, or the walk fails on its way."""


def meaning(step: Step, registers: tuple[int, int, int, int, int, int], pid: int) -> Call:
    """The call with its memory translated, for a task that stands before it. Raises Unknowable."""
    values = [_file(step, name, registers, pid) for name in step.names]
    if step.call == "openat2":
        how = step.args[2]
        if not isinstance(how, Struct):
            raise Unknowable("memory that cannot be read")
        if not _HOW_BYTES <= registers[3] <= _PAGE:
            raise Unknowable("a struct of a size that the kernel refuses")
        flags, mode = how.words[0], how.words[1]
        assert isinstance(flags, int)
        values.append(Value(translator="oflags", text=open_flags(flags)))
        values.append(Value(translator="mode", text=f"{mode:o}"))
    if step.call in ("symlink", "symlinkat"):
        values.insert(0, Value(translator="string", text=_text(step.args[0])))
    for argument in step.args:
        if isinstance(argument, Struct) and step.call in ("bind", "connect", "sendto"):
            values.append(_address(argument.tail, pid, step.call != "bind"))
    if step.operation is Operation.CLONE and step.call == "clone":
        registers = (registers[0], 0, 0, 0, 0, 0)
    return Call(name=step.call, abi="x86_64", args=registers, values=tuple(values))


def open_flags(flags: int) -> str:
    """As the language writes open flags."""
    return _ACCESS[flags & 3] + "".join(letter for letter, bit in _LETTERS if flags & bit)


def _text(argument: Argument) -> str:
    if not isinstance(argument, Text):
        raise Unknowable("memory that cannot be read")
    return argument.text


def _address(raw: bytes, pid: int, follows: bool) -> Value:
    (family,) = struct.unpack_from("=H", raw)
    if family == 1:
        path = os.fsdecode(raw[2:].split(b"\0", 1)[0])
        found, exists = _named(path, f"/proc/{pid}/cwd", pid, follows)
        return Value(translator="sockaddr", text=found, exists=exists)
    (port,) = struct.unpack_from("!H", raw, 2)
    return Value(translator="sockaddr", text=f"inet-[{'.'.join(map(str, raw[4:8]))}]:{port}")


def _file(step: Step, name: FileName, registers: tuple[int, ...], pid: int) -> Value:
    text = _text(step.args[name.argument])
    base = f"/proc/{pid}/cwd"
    if not text.startswith("/") and name.directory >= 0:
        descriptor = registers[name.directory]
        if descriptor != _AT_FDCWD:
            base = f"/proc/{pid}/fd/{descriptor & 0xFFFF_FFFF}"
    found, exists = _named(text, base, pid, name.follows)
    return Value(translator="filename", text=found, exists=exists)


def _named(text: str, base: str, pid: int, follows: bool) -> tuple[str, bool]:
    """As object_name, for a task, from the directory `base`."""
    for own in ("/proc/self", "/proc/thread-self"):
        if (text + "/").startswith(own + "/"):
            text = f"/proc/{pid}" + text.removeprefix(own)
    try:
        start = os.open(base, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise Unknowable("relative to no directory") from None
    try:
        return object_name(start, text, follows)
    finally:
        os.close(start)


def object_name(start: int, name: str, follows: bool, links: int = 0) -> tuple[str, bool]:
    """The canonical name of what `name` leads to from a directory, and whether its own exists.

    Raises Unknowable.
    """
    if links > MOST_LINKS:
        raise Unknowable("a loop of links")
    trailing = name.endswith("/")
    how = os.O_PATH | os.O_CLOEXEC | (0 if follows or trailing else os.O_NOFOLLOW)
    try:
        found = os.open(name, how, dir_fd=start)
    except OSError as error:
        if error.errno != ENOENT:
            raise Unknowable(f"a walk that ends with {error.strerror}") from None
    else:
        return _taken(found), True
    bare = name.rstrip("/")
    directory, _, leaf = bare.rpartition("/")
    before = directory or ("/" if bare.startswith("/") else ".")
    if leaf in ("", ".", ".."):
        raise Unknowable("a missing name that ends with dots")
    try:
        parent = os.open(before, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=start)
    except FileNotFoundError:
        text, _ = object_name(start, before, True, links + 1)
        return f"{text}/{leaf}", False
    except OSError as error:
        raise Unknowable(f"a walk that ends with {error.strerror}") from None
    try:
        if follows or trailing:
            try:
                target = os.readlink(leaf, dir_fd=parent)
            except OSError:
                pass
            else:
                return object_name(parent, target, True, links + 1)
        here = os.fspath(Path(f"/proc/self/fd/{parent}").readlink())
    finally:
        os.close(parent)
    if here.endswith(" (deleted)"):
        raise Unknowable("in a directory that was removed")
    return f"{here.rstrip('/')}/{leaf}", True


def _taken(found: int) -> str:
    """The name of an open object, which is closed."""
    try:
        text = os.fspath(Path(f"/proc/self/fd/{found}").readlink())
    finally:
        os.close(found)
    if text.endswith(" (deleted)"):
        raise Unknowable("an object that was removed")
    if not text.startswith("/"):
        raise Unknowable("an object without a name")
    return text
