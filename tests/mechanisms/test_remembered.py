"""What a mechanism remembers of opens that it permitted serves no other open."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from enforcer.arch import native
from tests.mechanisms.acting import Acts, run_acts

FIXED = 0x3000_0000

MODES = """
  - deny[exdev]: faccessat
    when: filename sub "numbered" and arg[2]:32 == 4
  - deny[exdev]: readlinkat
    when: filename sub "fresh"
"""
FLAGS = """
  - deny[exdev]: openat
    when: filename sub "modal" and oflags sub "rw"
  - deny[exdev]: openat
    when: filename sub "numbered" and arg[3]:32 == 83
  - deny[exdev]: openat
    when: filename sub "numbered" and arg[0]:32 == 77
"""
POINTER = f"""
  - deny[exdev]: openat
    when: filename sub "pointed" and arg[1] == {FIXED}
"""
PERSON = """
  - deny[exdev]: openat
    when: filename sub "personal"
    if: user = 65534
"""
LOGGED = """
  - permit: [openat, faccessat]
    when: filename sub "logged"
    log: true
"""


def policy(rules: str = "") -> str:
    """Names that hold `walled` are denied, then come the rules, and then all names are permitted.

    Rules on who calls, or on a pointer, keep a mechanism from remembering anything.
    """
    return f"""
default: permit
rules:
  - deny[eacces]: [fsread, fswrite]
    when: filename sub "walled"
{rules}
  - permit: [fsread, fswrite]
    when: filename match "/*"
  - deny[enotdir]: [fsread, fswrite]
"""


_PREPARED = """
def opened(name, flags=os.O_RDONLY, mode=0, base=HERE):
    result = call("openat", base, name, flags, mode)
    return 0 if result >= 0 else result

def warmed(name, *more):
    return [opened(name, *more) for _ in "abcd"] == [0] * 4

def seen(name, mode=0):
    return call("faccessat", HERE, name, mode)

def looked(name):
    return [seen(name) for _ in "abcd"] == [0] * 4

def read(name):
    return call("readlinkat", HERE, name, b" " * 100, 100)
"""

EXCHANGED: Acts = {
    "a link for a file": """
        before = warmed("file")
        os.rename("to_secret", "file")
        return before, opened("file"), opened("file")""",
    "a link for a file, by its whole name": """
        name = os.getcwd() + "/second"
        before = warmed(name)
        os.symlink("walled/file", "new"), os.rename("new", "second")
        return before, opened(name), opened(name)""",
    "a link for a directory": """
        before = warmed("dir/file")
        os.rename("dir", "aside"), os.symlink("walled", "dir")
        return before, opened("dir/file"), opened("dir/file")""",
    "a link for a directory above": """
        before = warmed("deep/dir/file")
        os.rename("deep", "aside2"), os.symlink("walled", "deep")
        return before, opened("deep/dir/file"), opened("deep/dir/file")""",
    "another link for a link": """
        before = warmed("alias")
        os.symlink("walled/file", "new"), os.rename("new", "alias")
        return before, opened("alias"), opened("alias")""",
    "another link for a link to a directory": """
        before = warmed("way/file")
        os.symlink("walled", "new"), os.rename("new", "way")
        return before, opened("way/file"), opened("way/file")""",
    "a link behind a link": """
        before = warmed("to_last")
        os.rename("last", "aside3"), os.symlink("walled/file", "last")
        return before, opened("to_last"), opened("to_last")""",
    "another working directory": """
        before = warmed("same")
        os.chdir("walled")
        return before, opened("same"), opened("same")""",
    "another working directory with a link": """
        before = warmed("linked")
        os.chdir("other")
        return before, opened("linked"), opened("linked")""",
    "another directory behind a descriptor": """
        base = os.open("free", 0)
        before = [opened("file", 0, 0, base) for _ in "abcd"]
        os.dup2(os.open("other", os.O_RDONLY), base)
        return before == [0] * 4, opened("linked", 0, 0, base), opened("../walled/file", 0, 0, base)
        """,
    "a file written to, then its place": """
        before = warmed("written", os.O_RDWR)
        os.symlink("walled/file", "new"), os.rename("new", "written")
        return before, opened("written", os.O_RDWR), opened("written", os.O_WRONLY | os.O_CREAT)""",
    "a file truncated, then its place": """
        before = warmed("cut", os.O_WRONLY | os.O_TRUNC)
        os.symlink("walled/file", "new"), os.rename("new", "cut")
        return before, opened("cut", os.O_WRONLY | os.O_TRUNC)""",
    "a link with a long name": """
        far = ("x" * 200 + "/") * 5
        os.makedirs(far), os.symlink(os.getcwd() + "/walled/file", far + "link")
        open(far + "file", "w").close()
        return warmed(far + "file"), opened(far + "link"), opened(far + "link")""",
    "a file looked at without following": """
        before = warmed("plain", os.O_NOFOLLOW)
        os.symlink("walled/file", "new"), os.rename("new", "plain")
        return before, opened("plain"), opened("plain")""",
}  # fmt: skip

OTHERWISE: Acts = {
    "another name": 'return warmed("file"), opened("walled/file"), opened("file")',
    "other flags": 'return warmed("modal"), opened("modal", os.O_RDWR), opened("modal")',
    "another mode": 'return warmed("numbered"), opened("numbered", 0, 83), opened("numbered")',
    "another descriptor": """
        name = os.getcwd() + "/numbered"
        return warmed(name), opened(name, 0, 0, 77), opened(name)""",
}  # fmt: skip

LOOKS: Acts = {
    "another name": 'return looked("file"), seen("walled/file"), seen("file")',
    "a link for a file": """
        before = looked("file")
        os.rename("to_secret", "file")
        return before, seen("file"), seen(os.getcwd() + "/file")""",
    "a link for a directory": """
        before = looked("dir/file")
        os.rename("dir", "aside"), os.symlink("walled", "dir")
        return before, seen("dir/file"), seen(os.getcwd() + "/dir/file")""",
    "a link in a denied directory": """
        name = os.getcwd() + "/deep/dir/link"
        before = [read(name) for _ in "abcd"] == [8] * 4
        os.rename("deep", "aside2"), os.symlink("walled", "deep")
        return before, read(name), read(os.getcwd() + "/walled/dir")""",
    "an entry of a denied directory": """
        before = call("mkdirat", HERE, "other/new", 0o700), call("unlinkat", HERE, "other/new", 512)
        os.rename("other", "aside3"), os.symlink("walled", "other")
        return not any(before), call("mkdirat", HERE, "other/new", 0o700)""",
    "another mode": 'return looked("numbered"), seen("numbered", 4), seen("numbered")',
    "another call": 'return call("mkdirat", HERE, "fresh", 0o700), read("fresh"), seen("fresh")',
    "what the kernel refuses": """
        before = seen("nowhere"), read(os.getcwd()), seen("second")
        return *before, call("mkdirat", HERE, "dir", 0), call("unlinkat", HERE, "second", 512)""",
}  # fmt: skip

POINTED: Acts = {
    "another pointer": f"""
        before = warmed("pointed")
        fixed = libc.mmap(ctypes.c_void_p({FIXED}), PAGE, 3, 0x32, -1, 0)
        ctypes.memmove(fixed, b"pointed\\0", 8)
        return before, fixed, opened(fixed)""",
}  # fmt: skip

ROOTS: Acts = {
    "rights given up": """
        before = warmed("shut")
        os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
        return before, opened("shut"), call("unlinkat", HERE, "shut", 0)""",
    "capabilities given up": """
        header, data = struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", 0, 0, 0, 0, 0, 0)
        os.chown("others", 65534, 65534), os.chmod("others", 0o600)
        before = warmed("others")
        return before, call("capset", header, data), opened("others")""",
    "another user": """
        before = warmed("personal")
        os.setresuid(-1, 65534, 0)
        return before, opened("personal")""",
    "another root, and a name in it": """
        before = warmed("file")
        os.chroot("walled_root"), os.chdir("/")
        names = ("file", "dir/../file", "to_file", "/to_file")
        return before, [opened(name) for name in names]""",
    "another root": """
        before = warmed("/etc/hostname") or opened("/etc/hostname")
        os.mkdir("root/etc"), os.symlink("/walled", "root/etc/hostname")
        os.chroot("root"), os.chdir("/")
        return bool(before), opened("/etc/hostname"), opened("/etc/hostname")""",
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return planted(tmp_path)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """The same where every user can come to."""
    with tempfile.TemporaryDirectory() as name:
        yield planted(Path(name))


def planted(tmp_path: Path) -> Path:
    """Files that are permitted, files below `walled`, and links to both."""
    tmp_path.chmod(0o755)
    for name in ("dir", "deep/dir", "walled/dir", "free", "other", "root", "walled_root/dir"):
        (tmp_path / name).mkdir(parents=True)
    files = "file second dir/file deep/dir/file free/file last same linked written cut"
    denied = "walled/file walled/dir/file walled/same root/walled walled_root/file"
    more = "plain modal numbered pointed personal logged shut others"
    for name in f"{files} {denied} {more}".split():
        (tmp_path / name).write_text("x")
    (tmp_path / "shut").chmod(0o600)
    links = {
        "to_secret": "walled/file",
        "alias": "free/file",
        "way": "free",
        "to_last": "last",
        "other/linked": "../walled/file",
        "walled_root/to_file": "/file",
        "deep/dir/link": "/nowhere",
        "walled/dir/link": "/nowhere",
    }
    for name, text in links.items():
        (tmp_path / name).symlink_to(text)
    return tmp_path


MECHANISMS = pytest.mark.parametrize("mechanism", ["ptrace", "notify"])


def _tried(mechanism: str, acts: Acts, place: Path, rules: str = "") -> dict[str, str]:
    _, outcomes = run_acts(mechanism, policy(rules), acts, place, prelude=_PREPARED)
    return dict(outcomes)


@MECHANISMS
@pytest.mark.parametrize("rules", ["", PERSON], ids=["remembered", "not"])
def test_what_took_the_place_of_a_permitted_file_is_judged(
    mechanism: str, rules: str, place: Path
) -> None:
    """However often a name was opened: once it leads to a denied object the open is refused."""
    outcomes = _tried(mechanism, EXCHANGED, place, rules)
    refused = {"(True, -13)", "(True, -13, -13)"}
    assert {title: found for title, found in outcomes.items() if found not in refused} == {}
    assert (place / "walled/file").read_text() == "x"


BY_OPEN: Acts = {
    title: text.replace("opened(", "by_open(").replace("warmed(", "warmed_by_open(")
    for title, text in EXCHANGED.items()
    if ", base)" not in text
}


@MECHANISMS
@pytest.mark.skipif(native().name != "x86_64", reason="open and openat are two calls on x86-64")
def test_what_took_its_place_is_judged_by_open_too(mechanism: str, place: Path) -> None:
    """The way of open(2), which is not that of openat."""
    prelude = (
        _PREPARED
        + """
def by_open(name, flags=os.O_RDONLY, mode=0):
    return min(0, call("open", name, flags, mode))

def warmed_by_open(name, *more):
    return [by_open(name, *more) for _ in "abcd"] == [0] * 4
"""
    )
    _, outcomes = run_acts(mechanism, policy(), BY_OPEN, place, prelude=prelude)
    refused = {"(True, -13)", "(True, -13, -13)"}
    assert {title: found for title, found in outcomes.items() if found not in refused} == {}


@MECHANISMS
def test_a_hard_link_takes_no_place(mechanism: str, place: Path) -> None:
    """A file that a rule denies by equality is denied under a name that was permitted before.

    The link is made by somebody else, after the opens and looks that were permitted.
    """
    secret = place / "secret"
    secret.write_text("hidden")
    os.mkfifo(place / "fifo")

    def link_when_asked() -> None:
        with (place / "fifo").open("wb"):
            (place / "hard").hardlink_to(secret)

    threading.Thread(target=link_when_asked, daemon=True).start()
    rules = f'  - deny[eacces]: [fsread, fswrite]\n    when: filename eq "{secret}"\n'
    acts = {
        "exchanged": """
            before = warmed("file") and looked("file") and open("fifo", "rb").read() == b""
            os.rename("hard", "file")
            name = os.getcwd() + "/file"
            last = seen("file"), seen(name), call("truncate", "file", 0)
            return before, opened("file"), opened(name), opened("file", os.O_RDWR), *last"""
    }
    assert _tried(mechanism, acts, place, rules) == {"exchanged": str((True, *[-13] * 6))}
    assert secret.read_text() == "hidden"


@MECHANISMS
@pytest.mark.parametrize("rules", [MODES, MODES + PERSON], ids=["remembered", "not"])
def test_what_is_looked_at_is_judged_as_it_is_now(mechanism: str, rules: str, place: Path) -> None:
    """However often a name was looked at, it is judged by what it leads to, and by the mode."""
    assert _tried(mechanism, LOOKS, place, rules) == {
        "another name": "(True, -13, 0)",
        "a link for a file": "(True, -13, -13)",
        "a link for a directory": "(True, -13, -13)",
        "a link in a denied directory": "(True, -13, -13)",
        "an entry of a denied directory": "(True, -13)",
        "another mode": "(True, -18, 0)",
        "another call": "(0, -18, 0)",
        "what the kernel refuses": "(-2, -22, 0, -17, -20)",
    }
    assert not (place / "walled/new").exists()


@MECHANISMS
def test_another_call_is_judged_anew(mechanism: str, place: Path) -> None:
    """Flags, mode, descriptor and pointer that a rule looks at are those of the call at hand."""
    assert _tried(mechanism, OTHERWISE, place, FLAGS) == {
        "another name": "(True, -13, 0)",
        "other flags": "(True, -18, 0)",
        "another mode": "(True, -18, 0)",
        "another descriptor": "(True, -18, 0)",
    }
    pointed = _tried(mechanism, POINTED, place, POINTER)
    assert pointed == {"another pointer": f"(True, {FIXED}, -18)"}


@MECHANISMS
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_another_caller_is_judged_anew(mechanism: str, open_place: Path) -> None:
    """Who calls, and what its root is, is asked at the call; a root frees nothing in it."""
    assert _tried(mechanism, ROOTS, open_place, PERSON) == {
        "rights given up": "(True, -13, -13)",
        "capabilities given up": "(True, 0, -13)",
        "another user": "(True, -18)",
        "another root, and a name in it": "(True, [-13, -13, -13, -13])",
        "another root": "(True, -13, -13)",
    }


@MECHANISMS
def test_every_permitted_open_that_is_to_be_logged_is(mechanism: str, place: Path) -> None:
    """Also the second and third of the same file."""
    acts = {"logged": 'return warmed("file") and warmed("logged") and looked("logged")'}
    ran, outcomes = run_acts(mechanism, policy(LOGGED), acts, place, prelude=_PREPARED)
    assert outcomes == {"logged": "True"}
    assert set(ran.decisions()) == {("permit", "openat"), ("permit", "faccessat")}
    assert ran.decisions().count(("permit", "faccessat")) == 4
    assert ran.decisions().count(("permit", "openat")) >= 4


@MECHANISMS
def test_every_refused_look_is_logged(mechanism: str, place: Path) -> None:
    """Also the second and third at one name."""
    acts = {"refused": 'return {seen("walled/file") for _ in "abcd"}'}
    ran, outcomes = run_acts(mechanism, policy(), acts, place, prelude=_PREPARED)
    assert outcomes == {"refused": "{-13}"}
    assert ran.decisions().count(("deny", "faccessat")) == 4


@MECHANISMS
@pytest.mark.skipif(native().name != "x86_64", reason="open and openat are two calls on x86-64")
def test_a_rule_on_one_call_is_not_anothers(mechanism: str, place: Path) -> None:
    """What openat was permitted is not permitted to open."""
    rules = '  - deny[exdev]: open\n    when: filename sub "file"\n'
    acts = {"open": 'return warmed("file"), call("open", "file", 0), opened("file")'}
    _, outcomes = run_acts(mechanism, policy(rules), acts, place, prelude=_PREPARED)
    assert outcomes == {"open": "(True, -18, 0)"}
