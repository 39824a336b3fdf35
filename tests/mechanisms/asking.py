"""Makes the calls of questions.py in a scratch directory and writes down what came of each.

Run as a program: its arguments are the numbers of the calls, the file of questions and the file for
the answers. What a call changed is in its answer too, and undone before the next.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import sys
from pathlib import Path

PAGE = 4096
ROOM = 1 << 17
HANDLE = 1 << 16  # where a file handle is in the results
INET = struct.pack("=H", 2) + struct.pack(">H4s8x", 9, socket.inet_aton("127.0.0.1"))
INET6 = struct.pack("=H", 10) + struct.pack(">HI16sI", 9, 0, socket.inet_pton(10, "::1"), 0)
OMIT = 0x3FFF_FFFE
OPENS = ("open", "openat", "openat2", "creat")
LOOKS = ("stat", "lstat", "statx", "newfstatat", "access", "faccessat", "faccessat2", "statfs")

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]

kept: list[ctypes.Array[ctypes.c_char]] = []
descriptors: dict[str, int] = {}
sockets: dict[str, socket.socket] = {}
result = ctypes.create_string_buffer(ROOM)
pages = {"READ-ONLY": libc.mmap(None, PAGE, 1, 0x22, -1, 0)}
pages["UNREADABLE"] = libc.mmap(None, PAGE, 0, 0x22, -1, 0)
watches = libc.inotify_init()


def at(data: bytes) -> int:
    """Where these bytes, and a page of zeros after them, are in memory until the next question."""
    kept.append(ctypes.create_string_buffer(data, len(data) + PAGE))
    return ctypes.addressof(kept[-1])


def message(name: bytes, *, place: int = 0, length: int | None = None, parts: int = 1) -> bytes:
    """A struct msghdr with room for msg_len behind it."""
    place = place or (at(name) if name else 0)
    vector = at(struct.pack("PN", at(b"xyz"), 3) * parts)
    size = len(name) if length is None else length
    return struct.pack("PIPNPNi0P", place, size, vector, parts, 0, 0, 0) + bytes(8)


def structs() -> dict[str, bytes]:
    """Words of questions.py that stand for structs, made anew because they point to others."""
    buffer = ctypes.addressof(result)
    return {
        "TIMES": struct.pack("=4q", 5, 6, 7, 8),
        "TIMES-OMIT": struct.pack("=4q", 5, OMIT, 7, OMIT),
        "TIMES-OMIT-ONE": struct.pack("=4q", 5, OMIT, 7, 8),
        "TIMES-BAD": struct.pack("=4q", 5, -5, 7, 8),
        "XARGS": struct.pack("=QII", buffer, 64, 0),
        "XARGS-BAD": struct.pack("=QII", 8, 64, 0),
        "XARGS-FLAG": struct.pack("=QII", buffer, 64, 77) + b"x",
        "FATTR": bytes(32),
        "FATTR-FLAG": struct.pack("=Q16x", 1 << 60) + b"x",
        "INET": INET,
        "INET6": INET6,
        "SUN": struct.pack("=H", 1) + b"absent/x",
        "ABSTRACT": struct.pack("=H", 1) + b"\0asking-%d" % os.getpid(),
        "UNSPEC": struct.pack("=H", 0) + INET[2:],
        "FAMILY": struct.pack("=H", 77),
        "MSG": message(INET) * 2,
        "UNNAMED": message(b""),
        "BADNAME": message(INET, place=8),
        "LONG": message(INET + bytes(300), length=200),
        "NEGATIVE": message(INET, length=0xFFFF_FFFF),
        "MANY": message(INET, parts=1025),
        "SHORT": message(INET, length=3),
    }


def new_socket(kind: str) -> int:
    """A socket that nothing was done with."""
    family, style = {"UDP": (2, 2), "UNIX": (1, 2)}[kind]
    if kind in sockets:
        sockets[kind].close()
    sockets[kind] = socket.socket(family, style)
    sockets[kind].setblocking(False)
    return sockets[kind].fileno()


def register(word: int | str) -> int:
    """What a word of a question stands for."""
    if isinstance(word, int):
        return word
    if word.startswith("="):
        return at(word[1:].encode())
    if word.startswith("HOW"):
        values = (int(each) & (1 << 64) - 1 for each in word.split()[1:])
        return at(struct.pack("=3Q", *values) + bytes(PAGE))
    if word in ("UDP", "UNIX"):
        return new_socket(word)
    if word in ("NULL", "BAD"):
        return 0 if word == "NULL" else 8
    if word == "BUF":
        ctypes.memset(result, 0, PAGE)
        return ctypes.addressof(result)
    if word.startswith("HANDLE"):
        struct.pack_into("=Ii", result, HANDLE, int(word.split()[1]), 0)
        return ctypes.addressof(result) + HANDLE
    known = {**descriptors, **pages, "INOTIFY": watches}
    return known[word] if word in known else at(structs()[word])


def make_files() -> None:
    """The directory as every question finds it."""
    for entry in Path().iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    Path("dir").mkdir()
    Path("dir/inside").touch()
    Path("file").write_text("content")
    Path("file").chmod(0o644)
    Path("link").symlink_to("file")
    Path("loop").symlink_to("loop")
    os.setxattr("file", "user.x", b"value")
    for fd in descriptors.values():
        os.close(fd)
    descriptors.update(
        DIR=os.open(".", os.O_RDONLY | os.O_DIRECTORY),
        FILE=os.open("file", os.O_RDONLY),
        PATHFILE=os.open("file", os.O_PATH),
    )


def seen() -> list[object]:
    """The directory as a call left it."""
    found: list[object] = []
    for entry in sorted(Path().iterdir()):
        facts = entry.lstat()
        found.append([str(entry), oct(facts.st_mode), facts.st_size, facts.st_uid, facts.st_nlink])
    return found


def ask(number: int, name: str, question: list[int | str]) -> list[object]:
    """Make one call: minus its errno, or its result and what it did."""
    kept.clear()
    words = [ctypes.c_long(register(word)) for word in question]
    ctypes.set_errno(0)
    value = libc.syscall(ctypes.c_long(number), *words)
    if name == "name_to_handle_at" and (value == 0 or ctypes.get_errno() == errno.EOVERFLOW):
        wrote = [result.raw[:8].hex(), result.raw[HANDLE:][:8].hex()] if "BUF" in question else []
        return [value, *wrote]  # what follows the header is the inode's
    if value < 0:
        return [-ctypes.get_errno()]
    if name in LOOKS:
        return [value]
    said: object = value
    if name in OPENS:
        said = f"opened {fcntl.fcntl(value, fcntl.F_GETFL):o}"
        os.close(value)
    elif name == "inotify_add_watch":
        said = libc.inotify_rm_watch(watches, value)
    read = name.startswith("readlink") or (name.endswith("xattr") and "BUF" in question)
    after = [said, result.raw[:256].hex() if read else "", seen()]
    make_files()
    return after


def main() -> None:
    """Answer the questions."""
    numbers, source, target = json.loads(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    for number in (signal.SIGXFSZ, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    make_files()
    asked = json.loads(source.read_text())
    answers = [ask(numbers[name], name, question) for name, question in asked]
    target.write_text(json.dumps(answers))


main()
