"""An object is judged, not a spelling: whatever gives it another name frees it from no rule."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness import process
from tests.mechanisms.acting import bare_acts, run_acts

BOTH = ("ptrace", "notify")
SECRET = "SECRET"

_NAMES = """
AT = 0x1000

def look(name):
    with open(name) as file:
        return file.read()

def look_after(result, name):
    return result if result < 0 else look(name)

NEWNS, NEWUSER = 0x20000, 0x10000000
BIND, REC, PRIVATE, MOVE = 0x1000, 0x4000, 0x40000, 0x2000

def mount(source, target, kind="none", flags=0, data=0):
    return call("mount", source, target, kind, flags, data)

def alone(flags=NEWNS):
    result = call("unshare", flags)
    return result if result < 0 else mount("none", "/", flags=REC | PRIVATE)

def elsewhere(flags, act):
    to, back = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        result = call("unshare", flags)
        if result >= 0:
            result = act()
        os.write(to[1], b"%d" % result)
        os.read(back[0], 1)
        os._exit(0)
    try:
        result = int(os.read(to[0], 9))
        return result if result < 0 else look(f"/proc/{child}/root{os.getcwd()}/pub/secret")
    finally:
        os.write(back[1], b"x")
        os.waitpid(child, 0)

def changed_root(result):
    if result < 0:
        return result
    os.chdir("/")
    return 0
"""

RENAMES: Mapping[str, str] = {
    "rename of the directory": "look_after(call('rename', 'priv', 'moved'), 'moved/secret')",
    "renameat of the directory": (
        "look_after(call('renameat', HERE, 'priv', HERE, 'moved'), 'moved/secret')"
    ),
    "renameat2 of the directory": (
        "look_after(call('renameat2', HERE, 'priv', HERE, 'moved', 1), 'moved/secret')"
    ),
    "rename into another": "look_after(call('rename', 'priv', 'pub/priv2'), 'pub/priv2/secret')",
    "rename of an ancestor": "look_after(call('rename', HOME, HOME + '2'), HOME + '2/priv/secret')",
    "exchange": "look_after(call('renameat2', HERE, 'priv', HERE, 'pub', 2), 'pub/secret')",
    "exchange the other way": (
        "look_after(call('renameat2', HERE, 'pub', HERE, 'priv', 2), 'pub/secret')"
    ),
    "exchange of the file": (
        "look_after(call('renameat2', HERE, 'pub/a', HERE, 'priv/secret', 2), 'pub/a')"
    ),
    "rename of the file": "look_after(call('rename', 'priv/secret', 'pub/s'), 'pub/s')",
    "link": "look_after(call('link', 'priv/secret', 'pub/s'), 'pub/s')",
    "linkat": "look_after(call('linkat', HERE, 'priv/secret', HERE, 'pub/s', 0), 'pub/s')",
    "linkat over a link": (
        "os.symlink('../priv/secret', 'pub/way') or "
        "look_after(call('linkat', HERE, 'pub/way', HERE, 'pub/s', 0x400), 'pub/s')"
    ),
    "linkat of a descriptor": (
        "look_after(call('linkat', os.open('priv/secret', 1), '', HERE, 'pub/s', AT), 'pub/s')"
    ),
    "linkat by procfs": (
        "look_after(call('linkat', HERE, '/proc/self/fd/%d' % os.open('priv/secret', 1), HERE,"
        " 'pub/s', 0x400), 'pub/s')"
    ),
    "linkat from a directory's descriptor": (
        "look_after(call('linkat', os.open('priv', 0x200000), 'secret', HERE, 'pub/s', 0), 'pub/s')"
    ),
}
"""Titles to acts in a directory with `priv/secret` and `pub/a`: each reads by another name."""

REUSED = "bind, under the number of another mount"
MOUNTS: Mapping[str, str] = {
    # Numbers of mounts are given anew, the lowest first (mnt_alloc_id in fs/namespace.c).
    REUSED: "look_after(call('umount2', 'before', 0) or mount('priv', 'pub', flags=BIND),"
    " 'pub/secret')",
    "bind": "look_after(mount('priv', 'pub', flags=BIND), 'pub/secret')",
    "bind, from another namespace": (
        "look_after(mount('priv', 'pub', flags=BIND) or alone(), 'pub/secret')"
    ),
    "bind of the file": "look_after(mount('priv/secret', 'pub/a', flags=BIND), 'pub/a')",
    "bind of the root": "look_after(mount('/', 'pub', flags=BIND), 'pub' + HOME + '/priv/secret')",
    "bind in a namespace": "look_after(alone() or mount('priv', 'pub', flags=BIND), 'pub/secret')",
    "recursive bind, and into it": (
        "os.chdir('pub') or look_after(alone() or mount('..', '.', flags=BIND | REC),"
        " HOME + '/pub/priv/secret')"
    ),
    "relative to a directory beneath": (
        "look_after(alone() or mount('priv', 'pub', flags=BIND) or call('chdir', 'pub'), 'secret')"
    ),
    "moved mount": (
        "look_after(alone() or mount('priv', 'priv', flags=BIND) or"
        " mount('priv', 'pub', flags=MOVE), 'pub/secret')"
    ),
    "open_tree": (
        "look_after(alone() or call('move_mount', call('open_tree', HERE, 'priv', 1), '', HERE,"
        " 'pub', 4), 'pub/secret')"
    ),
    "open_tree, not moved": "look('/proc/self/fd/%d/secret' % call('open_tree', HERE, 'priv', 1))",
    "chroot": "look_after(changed_root(call('chroot', HOME)), '/priv/secret')",
    "chroot into it": "look_after(changed_root(call('chroot', 'priv')), '/secret')",
    "pivot_root": (
        "os.chdir('priv') or look_after(alone() or mount('.', '.', flags=BIND) or os.chdir(HOME +"
        " '/priv') or changed_root(call('pivot_root', '.', '.')), '/secret')"
    ),
    "overlay": (
        "look_after(alone() or mount('overlay', 'pub', 'overlay', 0,"
        " 'lowerdir=' + HOME + '/priv:' + HOME + '/pub'), 'pub/secret')"
    ),
    "another's root": "elsewhere(NEWNS, lambda: mount('none', '/', flags=REC | PRIVATE) or"
    " mount('priv', 'pub', flags=BIND))",
    "another user's root": "elsewhere(NEWNS | NEWUSER, lambda: mount('priv', 'pub', flags=BIND))",
}
"""The same by mounts, which take rights that root alone has here."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")

RULES: Mapping[str, str] = {
    "match": 'filename match "{home}/priv/*"',
    "match with more stars": 'filename match "{above}/*/priv/*"',
    "eq": 'filename eq "{home}/priv/secret"',
    "sub": 'filename sub "/{name}/priv/"',
    "re": 'filename re "/{name}/priv/[a-z]+$"',
    "inpath": 'filename inpath "{home}/priv/secret" and not filename inpath "{home}/priv"',
}


def policy(conditions: list[str], is_list: str) -> str:
    """Reading what the conditions say is denied; all else is permitted, or (permit-list) named."""
    condition = " or ".join(f"({each})" for each in conditions)
    if is_list == "deny-list":
        rule = f"  - deny: fsread\n    when: {condition}\n"
    else:
        rule = f"  - permit: fsread\n    when: not ({condition})\n  - deny: fsread\n"
    return f"default: permit\nrules:\n{rule}"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name that others can walk to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def homes(place: Path, acts: Mapping[str, str]) -> dict[str, Path]:
    """A directory for each act, with its secret."""
    found = {}
    for number, title in enumerate(acts):
        home = found[title] = place / f"home{number}"
        for directory, file, text in (("priv", "secret", SECRET), ("pub", "a", "permitted")):
            (home / directory).mkdir(parents=True)
            (home / directory / file).write_text(text)
        if title == REUSED:
            (home / "before").mkdir()
            process.run(["mount", "-t", "tmpfs", "none", str(home / "before")])
    return found


def at_home(acts: Mapping[str, str], found: Mapping[str, Path]) -> dict[str, str]:
    """The acts, each in its own directory."""
    bodies = {
        title: textwrap.dedent(text) if "return " in text else f"return {text}"
        for title, text in acts.items()
    }
    return {
        title: f"os.chdir({str(found[title])!r})\nglobals()['HOME'] = os.getcwd()\n{body}"
        for title, body in bodies.items()
    }


def released(place: Path) -> None:
    """What the acts mounted in the namespace of all is unmounted."""
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(f"{place}/"):
            process.run(["umount", "-l", line.split()[1]])


@pytest.mark.parametrize("acts", [RENAMES, pytest.param(MOUNTS, marks=needs_root)], ids=len)
def test_the_acts_read_by_another_name(acts: Mapping[str, str], place: Path) -> None:
    """Without an enforcer each act brings the secret."""
    outcomes = bare_acts(at_home(acts, homes(place, acts)), place, prelude=_NAMES)
    released(place)
    assert {title: text for title, text in outcomes.items() if SECRET not in text} == {}


@needs_root
@pytest.mark.parametrize("is_list", ["deny-list", "permit-list"])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("backend", BOTH)
def test_no_mount_frees_an_object(backend: str, kind: str, is_list: str, place: Path) -> None:
    """What another mount shows is judged by its place, and what nobody can place is refused."""
    found = homes(place, MOUNTS)
    conditions = [
        RULES[kind].format(home=home, above=place, name=home.name) for home in found.values()
    ]
    ran, outcomes = run_acts(
        backend, policy(conditions, is_list), at_home(MOUNTS, found), place, prelude=_NAMES
    )
    released(place)
    assert [title for title, text in outcomes.items() if SECRET in text] == []
    assert "open_tree, not moved" in outcomes, ran.stderr


@pytest.mark.parametrize("is_list", ["deny-list", "permit-list"])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("backend", BOTH)
def test_no_other_name_frees_an_object(backend: str, kind: str, is_list: str, place: Path) -> None:
    """No act reads what a rule on reading denies, and each refusal is in the log with its reason.

    The rule says nothing of the calls that rename.
    """
    found = homes(place, RENAMES)
    conditions = [
        RULES[kind].format(home=home, above=place, name=home.name) for home in found.values()
    ]
    if kind == "match with more stars":
        conditions = conditions[:1]
    ran, outcomes = run_acts(
        backend, policy(conditions, is_list), at_home(RENAMES, found), place, prelude=_NAMES
    )
    assert [title for title, text in outcomes.items() if SECRET in text] == []
    refused = {title for title, text in outcomes.items() if text == "-18"}
    named = [e for e in ran.events if "would not be refused by" in str(e.get("reason"))]
    assert len(named) == len(refused)
    assert {"rename of the file", "link", "exchange of the file"} <= refused


LINKED: Mapping[str, str] = {
    "by the link": "look('pub/link')",
    "by the link, the quick way": "[look('pub/a') for _ in range(3)] and look('pub/link')",
    "by the link, as a path": "look('/proc/self/fd/%d' % os.open(HOME + '/pub/link', os.O_PATH))",
    "from a directory": (
        "os.fdopen(os.open('link', os.O_RDONLY, dir_fd=os.open('pub', os.O_RDONLY))).read()"
    ),
    "over a symbolic link": "os.symlink('link', 'pub/way') or look('pub/way')",
    "a second link": "look_after(call('link', 'pub/link', 'pub/more'), 'pub/more')",
    "the link under another name": "look_after(call('rename', 'pub/link', 'pub/a'), 'pub/a')",
    "truncated": "os.truncate('pub/link', 0) or look('priv/secret')",
}


@pytest.mark.parametrize("backend", BOTH)
def test_a_link_made_before_is_the_denied_file(backend: str, place: Path) -> None:
    """What a rule denies by `eq` is denied by device and inode; another file is not."""
    found = homes(place, LINKED)
    for home in found.values():
        (home / "pub/link").hardlink_to(home / "priv/secret")
    condition = " or ".join(f'filename eq "{home}/priv/secret"' for home in found.values())
    rule = f"default: permit\nrules:\n  - deny: [fsread, fswrite]\n    when: {condition}\n"
    acts = {**at_home(LINKED, found), "another file": f"look('{place}/home0/pub/a')"}
    _, outcomes = run_acts(backend, rule, acts, place, prelude=_NAMES)
    assert outcomes == {**dict.fromkeys(LINKED, "-1"), "another file": "'permitted'"}
    for home in found.values():
        assert (home / "priv/secret").read_text() == SECRET


@pytest.mark.parametrize("backend", BOTH)
def test_a_link_made_before_escapes_a_pattern(backend: str, place: Path) -> None:
    """A limit (docs/limits.md): nobody can list what a pattern denies, so its older links count."""
    acts = {"link": "look('pub/link')"}
    found = homes(place, acts)
    home = found["link"]
    (home / "pub/link").hardlink_to(home / "priv/secret")
    rule = policy([f'filename match "{home}/priv/*"'], "deny-list")
    _, outcomes = run_acts(backend, rule, at_home(acts, found), place, prelude=_NAMES)
    assert SECRET in outcomes["link"]


ELSEWHERE: Mapping[str, str] = {
    "a place, after a child went elsewhere": """
        if os.fork() == 0:
            os._exit(-alone())
        return waited(-1), os.fstat(os.open("pub/a", os.O_PATH)).st_size""",
    "places, elsewhere": """
        alone()
        fds = [os.open(name, os.O_PATH | flags) for name, flags in
               (("pub/a", 0), (HOME + "/pub", os.O_DIRECTORY), ("priv/../pub", 0))]
        return [os.fstat(fd).st_mode for fd in fds], look("/proc/self/fd/%d" % fds[0])""",
    "what something is mounted on": """
        alone(), os.mkdir("pub/d"), mount("t", "pub/d", "tmpfs"), os.mkdir("pub/d/x")
        mount("pub/a", "priv/secret", flags=BIND)
        results = [call("rmdir", "pub/d/x"), call("rmdir", "pub/d"), call("unlink", "priv/secret"),
                   call("unlinkat", HERE, "pub/d", 0x200), call("rename", "pub/d", "pub/e"),
                   call("rename", "pub/a", "priv/secret"),
                   call("renameat2", HERE, "pub/d", HERE, "pub/a", 2), call("rmdir", "pub")]
        return results, call("umount2", "pub/d", 0), call("rmdir", "pub/d")""",
    "another root, and something mounted in the namespace of all": """
        os.mkdir("pub/d")
        result = mount("t", "pub/d", "tmpfs"), alone(), call("chroot", HOME)
        os.chdir("/")
        return result, look("pub/a")""",
    "a mount that its root hides, not its parent's": """
        alone(), os.mkdir("pub/d"), mount("pub", "pub/d", flags=BIND)
        fd = os.open("pub/d", os.O_RDONLY)
        child = os.fork()
        if child == 0:
            os.chroot("priv")
            os._exit(len(os.read(os.open("a", os.O_RDONLY, dir_fd=fd), 9)))
        return waited(child)""",
    "a mount that every root hides": """
        alone(), os.mkdir("pub/d"), mount("pub", "pub/d", flags=BIND)
        fd = os.open("pub/d", os.O_RDONLY)
        os.chroot("priv")
        return os.read(os.open("a", os.O_RDONLY, dir_fd=fd), 9)""",
    "memory again": """
        alone()
        fd = os.memfd_create("memory")
        os.write(fd, b"kept")
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
        return os.read(again, 9), os.readlink(f"/proc/self/fd/{again}")""",
    "memory of other kinds": """
        alone()
        made = [call("memfd_secret", 0), call("memfd_create", "huge", 4), call("epoll_create1", 0)]
        by = [(fd, "x") for fd in made] + [(HERE, f"/proc/self/fd/{fd}") for fd in made]
        return [call("newfstatat", fd, name, bytes(256), 0) for fd, name in by if fd]""",
    "unmounted at once": """
        alone(), os.mkdir("pub/d")
        busy = 0
        for _ in range(40):
            mount("t", "pub/d", "tmpfs")
            os.close(os.open("pub/d/f", os.O_CREAT | os.O_RDWR, 0o600))
            os.close(os.open("pub/d/f", os.O_RDONLY))
            busy += call("umount2", "pub/d", 0)
        return busy""",
    "what is bound is permitted by its own name": """
        alone(), mount("pub", "priv", flags=BIND)
        return look("priv/a"), os.listdir("priv"), os.open("priv/new", os.O_CREAT, 0o600) > 0""",
    "a file system of its own": """
        alone(), mount("t", "pub", "tmpfs"), os.mkdir("pub/d")
        with open("pub/d/file", "w") as file:
            file.write("text")
        os.rename("pub/d/file", "pub/file"), os.link("pub/file", "pub/d/link")
        return look("pub/d/link"), os.listdir("pub")""",
}


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_other_mounts_work_as_bare(backend: str, place: Path) -> None:
    """In a mount namespace of its own a task does what it does bare."""
    rule = policy(['filename match "/no/*"'], "deny-list")
    outcomes = []
    for each in (None, backend):
        part = place / str(each)
        acts = at_home(ELSEWHERE, homes(part, ELSEWHERE))
        if each is None:
            outcomes.append(bare_acts(acts, place, prelude=_NAMES))
        else:
            outcomes.append(run_acts(each, rule, acts, place, prelude=_NAMES)[1])
        released(place)
    assert outcomes[1] == outcomes[0]
    assert outcomes[0]["what something is mounted on"] == (
        "([0, -16, -16, -16, -16, -16, -16, -39], 0, 0)"
    )


FOREIGN: Mapping[str, str] = {
    title: f"""
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            call("unshare", 0x40000000)
            socket.send_fds(theirs, [b"x"], [stream(socket.AF_UNIX)])
            os._exit(0)
        waited(-1)
        _, (fd, *_), _, _ = socket.recv_fds(ours, 1, 1)
        result = call("bind", fd, path({name!r}), 2 + len({name!r}) + 1)
        return result, socket.socket(fileno=os.dup(fd)).getsockname(), os.listdir("pub")"""
    for title, name in (("permitted", "pub/s"), ("denied", "priv/s"))
}


@needs_root
@pytest.mark.parametrize("backend", BOTH)
def test_a_socket_of_another_network_is_bound_where_judged(backend: str, place: Path) -> None:
    """A path socket is a file whatever network it is of, and keeps the name that it was given."""
    found = homes(place, FOREIGN)
    conditions = [f'filename match "{home}/priv/*"' for home in found.values()]
    rule = policy(conditions, "deny-list").replace("fsread", "fswrite")
    _, outcomes = run_acts(backend, rule, at_home(FOREIGN, found), place, prelude=_NAMES)
    assert outcomes["permitted"] in ("(0, 'pub/s', ['a', 's'])", "(0, 'pub/s', ['s', 'a'])")
    assert outcomes["denied"] == "(-1, '', ['a'])"
    assert [file.name for file in place.rglob("priv/*")] == ["secret", "secret"]
