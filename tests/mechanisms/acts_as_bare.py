"""What programs do under a policy that permits it all, in groups: each act ends as bare."""

from __future__ import annotations

from tests.mechanisms.acting import Acts

OPENS: Acts = {
    "read": """
        fd = call("openat", HERE, "file", os.O_RDONLY)
        return os.read(fd, 9), fcntl.fcntl(fd, fcntl.F_GETFD), fcntl.fcntl(fd, fcntl.F_GETFL)""",
    "close-on-exec": """
        fd = call("openat", HERE, "file", os.O_RDONLY | os.O_CLOEXEC)
        return fcntl.fcntl(fd, fcntl.F_GETFD)""",
    "close-on-exec, thrice": """
        flags = (os.O_CLOEXEC, 0, os.O_CLOEXEC, 0, os.O_CLOEXEC, 0)
        fds = [call("openat", HERE, "file", each) for each in flags]
        return [fcntl.fcntl(fd, fcntl.F_GETFD) for fd in fds]""",
    "twice": """
        first, second = (call("openat", HERE, "dir/file", os.O_RDWR | os.O_APPEND) for _ in "ab")
        os.write(first, b"!")
        return second - first, os.read(second, 99), fcntl.fcntl(first, fcntl.F_GETFL)""",
    "thrice by a link": """
        fds = [call("openat", HERE, "link", os.O_RDONLY) for _ in "abc"]
        return [os.read(fd, 9) for fd in fds]""",
    "thrice absent": '[call("openat", HERE, "absent", os.O_RDONLY) for _ in "abc"]',
    "absent directory": 'call("openat", HERE, "absent/x", os.O_RDONLY)',
    "file as directory": 'call("openat", HERE, "file/x", os.O_RDONLY)',
    "file with slash": 'call("openat", HERE, "file/", os.O_RDONLY)',
    "by two dots": 'os.read(call("openat", HERE, "dir/../file", os.O_RDONLY), 9)',
    "by link and two dots": 'os.read(call("openat", HERE, "to_dir/../file", os.O_RDONLY), 9)',
    "loop": 'call("openat", HERE, "loop", os.O_RDONLY)',
    "nofollow of a link": 'call("openat", HERE, "link", os.O_RDONLY | os.O_NOFOLLOW)',
    "nofollow of a file": 'os.read(call("openat", HERE, "file", os.O_NOFOLLOW), 9)',
    "nofollow on the way": 'os.read(call("openat", HERE, "to_dir/file", os.O_NOFOLLOW), 9)',
    "nofollow twice": '[call("openat", HERE, "link", os.O_NOFOLLOW) for _ in "ab"]',
    "followed, and then not": """
        fds = [call("openat", HERE, "link", os.O_RDONLY) for _ in "abc"]
        return [call("openat", HERE, "link", flags) for flags in
                (os.O_NOFOLLOW, os.O_CREAT | os.O_EXCL, os.O_NOFOLLOW)]""",
    "directory": 'os.listdir(call("openat", HERE, "to_dir", os.O_RDONLY | os.O_DIRECTORY))',
    "not a directory": 'call("openat", HERE, "link", os.O_RDONLY | os.O_DIRECTORY)',
    "new": """
        os.umask(0o027)
        fd = call("openat", HERE, "new", os.O_CREAT | os.O_RDWR, 0o776)
        return oct(os.fstat(fd).st_mode), os.write(fd, b"x"), os.unlink("new")""",
    "new without O_CREAT's mode": """
        fd = call("openat", HERE, "file", os.O_RDONLY, 0o7777)
        return oct(os.fstat(fd).st_mode)""",
    "new by a dangling link": """
        fd = call("openat", HERE, "dangling", os.O_CREAT | os.O_RDWR, 0o600)
        return os.path.exists("dir/nowhere"), os.unlink("dir/nowhere")""",
    "new and exclusive": """
        fds = [call("openat", HERE, "once", os.O_CREAT | os.O_EXCL, 0o600) for _ in "ab"]
        return fds[0] >= 0, fds[1], os.unlink("once")""",
    "new with a slash": """
        return [call("openat", HERE, name, os.O_CREAT | os.O_WRONLY | more, 0o600)
                for name in ("file/", "link/", "dir/", "absent/") for more in (0, os.O_EXCL)]""",
    "beneath a closed directory": """
        os.makedirs("closed/open"), os.chdir("closed/open"), os.chmod("..", 0), os.chmod(".", 0o777)
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        flags = (os.O_RDONLY, os.O_PATH, os.O_CREAT | os.O_EXCL | os.O_WRONLY, os.O_CREAT)
        names = "new", ".", "/proc/self/cwd/other"
        return [min(call("openat", HERE, name, each, 0o600), 0) for name in names for each in flags]
        """,
    "exclusive through a link":
        'call("openat", HERE, "dangling", os.O_CREAT | os.O_EXCL, 0o600)',
    "exclusive on a link": 'call("openat", HERE, "link", os.O_CREAT | os.O_EXCL, 0o600)',
    "nofollow of a dangling link":
        'call("openat", HERE, "dangling", os.O_CREAT | os.O_NOFOLLOW, 0o600)',
    "in another root": """
        if os.geteuid() == 0:
            os.chroot(".")
        flags = os.O_RDWR | os.O_CREAT
        opened = [call("openat", HERE, name, flags | more, 0o600) for name in ("/file", "/x")
                  for more in (0, os.O_NOFOLLOW, os.O_NOFOLLOW, os.O_EXCL)]
        return [min(fd, 0) for fd in opened], call("openat", HERE, "/link", os.O_NOFOLLOW)""",
    "place in a closed directory": """
        os.makedirs("walled")
        fd = os.open("walled/file", os.O_CREAT, 0o666)
        os.chmod("walled", 0)
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        found = call("openat", HERE, f"/proc/self/fd/{fd}", os.O_PATH)
        return found if found < 0 else os.path.sameopenfile(found, fd)""",
    "truncated": """
        os.close(os.open("short", os.O_CREAT | os.O_WRONLY)), os.truncate("short", 7)
        os.close(call("openat", HERE, "short", os.O_WRONLY | os.O_TRUNC))
        return os.stat("short").st_size, os.unlink("short")""",
    "unnamed": """
        fd = call("openat", HERE, "dir", os.O_TMPFILE | os.O_RDWR, 0o600)
        return fd if fd < 0 else os.write(fd, b"x")""",
    "unknown flags": 'os.read(call("openat", HERE, "file", 0x4000_0000), 9)',
    "upper halves of flags": 'os.read(call("openat", HERE, "file", 0xDEAD << 32), 9)',
    "upper halves of the directory":
        'os.read(call("openat", 0xDEAD << 32 | 0xFFFF_FF9C, "file", 0), 9)',
    "by a directory's descriptor": """
        base = os.open("dir", os.O_RDONLY)
        return os.read(call("openat", base, "../file", 0), 9), call("openat", base, "absent", 0)""",
    "by a file's descriptor": 'call("openat", os.open("file", 0), "x", 0)',
    "by no descriptor": 'call("openat", 99, "file", 0)',
    "by a negative descriptor": 'call("openat", -1, "file", 0)',
    "absolute by no descriptor": 'os.read(call("openat", 99, os.getcwd() + "/file", 0), 9)',
    "in a deleted directory": """
        os.mkdir("gone"), os.chdir("gone"), os.rmdir("../gone")
        here = [call("openat", HERE, name, 0) for name in ("file", ".", "..")]
        new = call("openat", HERE, "x", 0o101, 0o600)
        return [fd if fd < 0 else "there" for fd in here], new""",
    "empty name": 'call("openat", HERE, "", os.O_RDONLY)',
    "null": 'call("openat", HERE, 0, os.O_RDONLY)',
    "unreadable": 'call("openat", HERE, BAD, os.O_RDONLY)',
    "kernel's memory": 'call("openat", HERE, -PAGE, os.O_RDONLY)',
    "memory without rights": """
        place = libc.mmap(None, PAGE, 3, 0x22, -1, 0)
        ctypes.memmove(place, b"file", 4)
        libc.mprotect(ctypes.c_void_p(place), PAGE, 0)
        return call("openat", HERE, place, os.O_RDONLY)""",
    "own descriptors": """
        read, write = os.pipe()
        os.write(write, b"word")
        return os.read(call("openat", HERE, f"/proc/self/fd/{read}", 0), 9)""",
    "own descriptors, close-on-exec": """
        read, write = os.pipe()
        names = (f"/proc/self/fd/{read}", "/proc/self/fd/0/../comm", "/proc/self/comm")
        fds = [call("openat", HERE, names[0], flags) for flags in (0, os.O_CLOEXEC)]
        return [fcntl.fcntl(fd, fcntl.F_GETFD) for fd in fds]""",
    "own name by a link": """
        fds = [call("openat", HERE, "to_comm", 0) for _ in "abc"]
        names = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]
        return [name == f"/proc/{os.getpid()}/comm" for name in names]""",
    "own name": 'os.read(call("openat", HERE, "/proc/self/comm", 0), 3)',
    "own program": 'call("openat", HERE, "/proc/self/exe", 0) >= 0',
    "own namespace": 'os.readlink("/proc/self/ns/uts") == os.readlink("/proc/thread-self/ns/uts")',
    "device": 'os.write(call("openat", HERE, "/dev/null", os.O_WRONLY), b"gone")',
    "no peer": 'call("openat", HERE, "fifo", os.O_WRONLY | os.O_NONBLOCK)',
    "place": """
        fd = call("openat", HERE, "dir", os.O_PATH)
        return os.fstat(fd).st_ino == os.stat("dir").st_ino""",
}  # fmt: skip


HOWS: Acts = {
    "how": 'os.read(call("openat2", HERE, "file", struct.pack("=QQQ", 0, 0, 0), 24), 9)',
    "how, nofollow": 'call("openat2", HERE, "link", struct.pack("=QQQ", os.O_NOFOLLOW, 0, 0), 24)',
    "how, no links": 'call("openat2", HERE, "link", struct.pack("=QQQ", 0, 0, 4), 24)',
    "how, no links on the way":
        'call("openat2", HERE, "to_dir/file", struct.pack("=QQQ", 0, 0, 4), 24)',
    "how, no magic links": """
        file = os.open("file", 0)
        return call("openat2", HERE, f"/proc/self/fd/{file}", struct.pack("=QQQ", 0, 0, 2), 24)""",
    "how, in procfs": """
        top, own = os.open("/proc", os.O_RDONLY), os.open("/proc/self", os.O_RDONLY)
        names = [(top, "self/comm"), (top, "thread-self/comm"), (HERE, "/proc/self/comm"),
                 (own, "comm"), (own, "exe"), (own, "cwd"), (own, "fd/1"), (own, "root/proc")]
        return [min(call("openat2", at, name, struct.pack("=QQQ", 0, 0, how), 24), 0)
                for at, name in names for how in (1, 2, 4, 8, 9, 16, 17)]""",
    "how, beneath": """
        how = struct.pack("=QQQ", 0, 0, 8)
        names = ("dir/file", "../x", "to_dir/file", "/etc/passwd", "out")
        return [min(0, call("openat2", HERE, name, how, 24)) for name in names]""",
    "how, known and then beneath": """
        name, plain = os.getcwd() + "/file", struct.pack("=QQQ", 0, 0, 0)
        before = [min(0, call("openat2", HERE, name, plain, 24)) for _ in "abc"]
        return before, call("openat2", HERE, name, struct.pack("=QQQ", 0, 0, 8), 24)""",
    "how, in a root": """
        how, base = struct.pack("=QQQ", 0, 0, 16), os.open("dir", 0)
        names = ("/file", "../file", "../../../../file", "/../file")
        return [os.read(call("openat2", base, name, how, 24), 99) for name in names]""",
    "how, a place beneath": """
        how = struct.pack("=QQQ", os.O_PATH, 0, 8)
        names = ("dir/file", "../x", "to_dir/file", "/etc/passwd", "out")
        return [min(0, call("openat2", HERE, name, how, 24)) for name in names]""",
    "how, a place in a root": """
        how, base = struct.pack("=QQQ", os.O_PATH, 0, 16), os.open("dir", 0)
        places = [call("openat2", base, name, how, 24) for name in ("/file", "../../file")]
        return [os.fstat(place).st_ino == os.stat("dir/file").st_ino for place in places]""",
    "how, one file system": """
        how = struct.pack("=QQQ", 0, 0, 1)
        names = ("/proc/version", "file")
        return [min(0, call("openat2", HERE, name, how, 24)) for name in names]""",
    "how too short": 'call("openat2", HERE, "file", bytes(24), 16)',
    "how too long": 'call("openat2", HERE, "file", bytes(8192), 8192)',
    "how longer, empty": 'call("openat2", HERE, "file", bytes(4096), 4096) >= 0',
    "how longer, not empty": 'call("openat2", HERE, "file", bytes(24) + b"x" + bytes(7), 32)',
    "how unreadable": 'call("openat2", HERE, "file", BAD, 24)',
    "how, unknown flags": 'call("openat2", HERE, "file", struct.pack("=QQQ", 1 << 40, 0, 0), 24)',
    "how, upper flags": 'call("openat2", HERE, "file", struct.pack("=QQQ", 1 << 32, 0, 0), 24)',
    "how, a mode too much": 'call("openat2", HERE, "file", struct.pack("=QQQ", 0, 0o600, 0), 24)',
    "how, an upper mode":
        'call("openat2", HERE, "x", struct.pack("=QQQ", 0o101, 1 << 32 | 0o600, 0), 24)',
    "how, unknown scope": 'call("openat2", HERE, "file", struct.pack("=QQQ", 0, 0, 1 << 20), 24)',
}  # fmt: skip


TREES: Acts = {
    "a tree": """
        fds = [call("open_tree", HERE, name, 0) for name in ("dir", "file", "link", "to_dir/file")]
        return [(os.path.samestat(os.fstat(fd), os.stat(name)), fcntl.fcntl(fd, fcntl.F_GETFL),
                 fcntl.fcntl(fd, fcntl.F_GETFD)) for fd, name in
                zip(fds, ("dir", "file", "file", "dir/file"))]""",
    "a tree, close-on-exec":
        'fcntl.fcntl(call("open_tree", HERE, "dir", os.O_CLOEXEC), fcntl.F_GETFD)',
    "a tree, not followed": """
        fd = call("open_tree", HERE, "link", 0x100 | 0x800)
        return os.path.samestat(os.fstat(fd), os.lstat("link"))""",
    "trees that are none": '[call("open_tree", HERE, name, 0) for name in ("absent", "loop", "")]',
    "a tree, unknown flags":
        '[call("open_tree", HERE, "dir", flags) for flags in (2, 0x8000, 0x400, 1 << 31)]',
    "a tree by a descriptor": """
        base = call("open_tree", HERE, "dir", 0)
        return call("open_tree", base, "absent", 0), call("open_tree", base, "file", 0) >= 0""",
    "a tree of the kernel's memory": 'call("open_tree", HERE, -PAGE, 0)',
}  # fmt: skip


LENGTHS = (1, 2, 255, 256, 257, 511, 512, 839, 840, 841, 1023, 1024, 2048, 4094, 4095, 4096, 5000)


NAMES: Acts = {
    **{
        f"name of {length}": f"""
            name = b"./" * {length // 2} + b"/" * {length % 2}
            name = name[: {length} - 4] + b"file" if {length} > 9 else name
            here = call("openat", HERE, at_page_end(name + b"\\0"), 0)
            cut = call("openat", HERE, at_page_end(name), 0)
            return min(here, 0), cut"""
        for length in LENGTHS
    },
    **{
        f"long component of {length}": f'call("openat", HERE, "x" * {length}, 0)'
        for length in (254, 255, 256, 300)
    },
    **{
        f"absolute of {length}": f"""
            start = os.getcwd()
            name = start + "/" * ({length} - len(start) - 4) + "file"
            return [min(call("openat", HERE, name, 0), 0) for _ in "ab"]"""
        for length in (839, 840, 841, 4091, 4092, 4095, 4096)
    },
    "bytes that are no text": """
        name = bytes(range(0x80, 0x90))
        os.close(call("openat", HERE, name, os.O_CREAT, 0o600))
        return min(0, call("openat", HERE, name, 0)), call("unlinkat", HERE, name, 0)""",
}


PERFORMED: Acts = {
    "look at a link": """
        found = bytearray(144)
        kept.append((ctypes.c_char * 144).from_buffer(found))
        return [(call("newfstatat", HERE, "link", ctypes.addressof(kept[-1]), flags),
                 found[24:32]) for flags in (0, 0x100, 0x100, 0x800, 8)]""",
    "look at descriptors": """
        found = bytearray(144)
        kept.append((ctypes.c_char * 144).from_buffer(found))
        place, file = ctypes.addressof(kept[-1]), os.open("file", 0)
        return [call("newfstatat", fd, name, place, 0x1000)
                for fd, name in ((file, ""), (99, ""), (file, "x"), (HERE, ""), (HERE, "file"),
                                 (file, BAD))], found[48:56], call("newfstatat", file, "", place, 0)
        """,
    "look by statx": """
        buffer, file = bytes(256), os.open("file", 0)
        asked = ((HERE, "file", 0), (HERE, "absent", 0), (file, "", 0x1000), (99, "", 0x1000),
                 (HERE, BAD, 0), (HERE, "link", 0x100), (file, "", 0))
        return [call("statx", fd, name, flags, 0x7FF, buffer) for fd, name, flags in asked]""",
    "look, nowhere to put it": 'call("newfstatat", HERE, "file", BAD, 0)',
    "link followed": """
        results = []
        for flags in (0, 0x400, 8):
            results.append(call("linkat", HERE, "link", HERE, "hard", flags))
            if not results[-1]:
                results.append(os.path.islink("hard")), os.unlink("hard")
        return results""",
    "link by a descriptor": """
        file = os.open("file", 0)
        result = call("linkat", file, "", HERE, "hard", 0x1000)
        return result, os.path.exists("hard") and os.unlink("hard")""",
    "owner of a link": """
        os.symlink("file", "own")
        asked = [(uid, flags) for uid in (os.getuid(), -1) for flags in (0, 0x100, 8)]
        results = [call("fchownat", HERE, "own", uid, -1, flags) for uid, flags in asked]
        return results, os.unlink("own")""",
    "times of a link": """
        os.symlink("file", "timed")
        times = struct.pack("=4q", 5, 6, 7, 8)
        results = [call("utimensat", HERE, "timed", times, flags) for flags in (0x100, 8)]
        return results, os.lstat("timed").st_mtime_ns, os.unlink("timed")""",
    "rename": """
        open("from", "w").close()
        results = [call("renameat2", HERE, old, HERE, new, flags) for old, new, flags in
                   (("from", "to", 0), ("to", "file", 1), ("to", "absent", 2), ("to", "x", 16))]
        return results, os.unlink("to")""",
    "directories": """
        names = ("made", "made", "made/", "absent/made", "", "file/x")
        made = [call("mkdirat", HERE, name, 0o750) for name in names]
        gone = [call("unlinkat", HERE, name, flags)
                for name, flags in (("made", 0), ("file", 0x200), ("made", 0x200), ("x", 1))]
        return made, gone""",
    "rights": """
        return [call("faccessat", HERE, name, mode)
                for name in ("file", "link", "absent", "dir") for mode in (0, 4, 8)]""",
    "text of a link": """
        buffer = ctypes.create_string_buffer(9)
        place = ctypes.addressof(buffer)
        return [(call("readlinkat", HERE, name, place, size), buffer.raw)
                for name, size in (("link", 9), ("link", 2), ("link", 0), ("file", 9))]""",
    "truncated by name": """
        open("long", "w").close()
        results = [call("truncate", name, size)
                   for name, size in (("long", 5), ("long", -1), ("dir", 0), ("absent", 0))]
        return results, os.stat("long").st_size, os.unlink("long")""",
    "unreadable names": """
        return [call("mkdirat", HERE, BAD, 0o700), call("unlinkat", HERE, 0, 0),
                call("renameat2", HERE, "file", HERE, BAD, 0), call("symlinkat", BAD, HERE, "s"),
                call("faccessat", HERE, BAD, 0), call("linkat", HERE, BAD, HERE, "x", 0)]""",
}


CALLER: Acts = {
    "about beneath a closed directory": """
        os.makedirs("closed/about"), os.chdir("closed/about")
        os.chmod("..", 0), os.chmod(".", 0o777)
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        os.mkdir("in", 0o700), os.mkdir("no", 0)
        names = "in", "..", "no", ".", "in/../in", "/proc/self/cwd", "absent"
        return [call("chdir", name) for name in names]""",
    "go there": """
        results = [call("chdir", name) for name in ("dir", "..", "to_dir", "file", "absent", "")]
        return results, os.path.basename(os.getcwd())""",
    "go to where one is, and that is gone": """
        os.mkdir("gone"), os.chdir("gone"), os.rmdir("../gone")
        results = [call("chdir", name) for name in (".", "./", "../gone", "..")]
        return results, os.path.basename(os.getcwd())""",
    "go nowhere": '[call("chdir", name) for name in (BAD, 0, -PAGE)]',
    "execute": """
        words = struct.pack("PPP", at(b"sh\\0"), at(b"word\\0"), 0)
        shown = []
        for name in ("program", "to_program", "absent", "file", "dir", "", BAD):
            pid = os.fork()
            if pid == 0:
                os._exit(-call("execve", name, words, 0))
            shown.append(waited(pid))
        return shown""",
    "execute with unknown flags": """
        words = struct.pack("PP", at(b"sh\\0"), 0)
        return [call("execveat", HERE, name, words, 0, flags) for flags in (32, 1 << 31)
                for name in ("absent", "program", "", BAD)]""",
    "names that have no end": """
        return [(call("chdir", "x" * size), call("execve", "x" * size, 0, 0))
                for size in (255, 256, 4095, 4096, 5000)]""",
    "unknown flags and no descriptor": """
        libc.prctl(38, 1, 0, 0, 0)
        return [call("pidfd_getfd", fd, 0, flags) for fd in (99, -1) for flags in (0, 32)] + [
                call("process_mrelease", 99, flags) for flags in (0, 1)] + [
                call("landlock_restrict_self", 99, flags) for flags in (0, 1 << 20)]""",
    "execute by a descriptor": """
        words = struct.pack("PP", at(b"sh\\0"), 0)
        shown, program = [], os.open("program", 0)
        for fd, name, flags in ((program, "", 0x1000), (program, "", 0),
                                (HERE, "to_program", 0x100), (HERE, "program", 0x100),
                                (HERE, "program", 8)):
            pid = os.fork()
            if pid == 0:
                os._exit(-call("execveat", fd, name, words, 0, flags))
            shown.append(waited(pid))
        return shown""",
}


BIRTHS: Acts = {
    "clone3": """
        arguments = struct.pack("=8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
        results = [call("clone3", BAD, 64), call("clone3", arguments, 8), call("clone3", 0, 0)]
        return [result in (value, -38) for result, value in zip(results, (-14, -22, -22))]""",
    "shared files and directory": """
        flags = 0x200 | 0x400 | signal.SIGCHLD  # CLONE_FS, CLONE_FILES
        pid = call("clone", flags, 0, 0, 0, 0)
        if pid == 0:
            os.chdir("dir")
            os._exit(call("openat", HERE, "file", 0))
        fd = waited(pid)
        return os.path.basename(os.getcwd()), os.read(fd, 99)""",
    "own files and directory": """
        pid = call("clone", signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os.chdir("dir")
            os._exit(call("openat", HERE, "file", 0))
        fd = waited(pid)
        return os.path.basename(os.getcwd()) == "dir", fcntl.fcntl(0, fcntl.F_GETFD)""",
    "a thread's own directory": """
        import _thread
        done = _thread.allocate_lock()
        done.acquire()
        found = []
        def run():
            found.append(libc.unshare(0x200))
            os.chdir("dir")
            found.append(os.read(call("openat", HERE, "file", 0), 99))
            done.release()
        _thread.start_new_thread(run, ())
        done.acquire()
        return found, os.read(call("openat", HERE, "file", 0), 99)""",
}


MEMORY: Acts = {
    "places that loaders take": """
        places = (0x10000, 0x108000, 0x110000, 0x400000, 0x4000000, 0x38000000, 0x58000000,
                  0x67fff000, 0x7f000000, 0x8048000)
        fd = call("openat", HERE, "file", 0)
        pid = call("clone", signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        waited(pid)
        return [call("mmap", place, PAGE, 3, 0x100022, -1, 0) == place for place in places]""",
    "places that the kernel chooses": """
        call("openat", HERE, "file", 0)
        start = call("mmap", 0, 4 * PAGE, 3, 0x22, -1, 0)
        ends = [call("mremap", start, size, 4 << 20, 1, junk)
                for size, junk in ((4 * PAGE, 0x70000000),)]
        segment = call("shmget", 0, PAGE, 0o1600)
        near = [call("mmap", hint, PAGE, 3, 0x22, -1, 0) > 0 for hint in (PAGE, 0x70000000)]
        at = call("shmat", segment, 0, 0)
        return [end > 0 for end in ends], near, at > 0, call("shmdt", at), call(
            "shmctl", segment, 0, 0)""",
    "calls that change memory, from within a page": """
        call("openat", HERE, "file", 0)
        return [call(name, 64, 0x7fffffff, *more)
                for name, more in (("munmap", ()), ("mprotect", (1,)), ("madvise", (4,)))]""",
    "calls that change memory, with wrong arguments": """
        call("openat", HERE, "file", 0)
        places = (0, 1, PAGE, 0x60000001, -PAGE, -1)
        return [(name, place, size, call(name, place, size, *more))
                for name, more in (("munmap", ()), ("mprotect", (1,)), ("madvise", (4,)),
                                   ("pkey_mprotect", (1, -1)), ("mremap", (PAGE, 1, 0)))
                for place in places for size in (0, PAGE)]""",
}
