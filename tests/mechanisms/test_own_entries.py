"""What procfs has of a supervisor, by every way to name it, under rules that permit every name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enforcer.mechanisms.ptrace.own_entries import OwnEntries, mount_points
from tests.mechanisms.acting import Acts, run_acts
from tests.mechanisms.sandbox import run

POLICY = """
default: permit
rules:
  - permit: [fsread, fswrite]
    when: filename match "/*"
"""

_PREPARED = """
events = list(map(json.loads, open("events.jsonl")))
enforcing = next(event for event in events if event["event"] == "enforcing")
leader = enforcing.get("tracer") or enforcing["supervisor"]
numbers = [int(name) for name in os.listdir(f"/proc/{leader}/task")]
READ = ("mem", "maps", "smaps", "environ", "auxv", "pagemap", "fd", "fdinfo", "syscall", "io",
        "map_files", "personality", "ns", "fd/0", "fdinfo/0", "root/", "cwd/", "exe")
WRITTEN = ("mem", "oom_score_adj", "clear_refs", "comm", "coredump_filter", "timerslack_ns",
           "attr/current", "uid_map", "sched")
os.symlink(f"/proc/{leader}", "link")

def places():
    yield f"/proc/{leader}"
    for number in numbers:
        yield f"/proc/{number}"
        yield f"/proc/{leader}/task/{number}"

def opened(way):
    found = {}
    for place in places():
        for entry, flags in [(each, os.O_RDONLY) for each in READ] + [
            (each, os.O_WRONLY) for each in WRITTEN
        ]:
            if not os.path.lexists(f"{place}/{entry}".rstrip("/")):
                continue
            try:
                os.close(way(place, entry, flags))
                found[place, entry] = flags
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP):
                    found[place, entry] = error.errno
    return found
"""

WAYS: Acts = {
    "name": 'opened(lambda place, entry, flags: os.open(f"{place}/{entry}", flags))',
    "long name":
        'opened(lambda place, entry, flags: os.open(f"/proc/../{place}//./{entry}", flags))',
    "link": """
        return opened(lambda place, entry, flags: os.open(
            f"{place}/{entry}".replace(f"/proc/{leader}", "link", 1), flags))""",
    "directory": """
        def by_directory(place, entry, flags):
            directory = os.open(place, os.O_RDONLY)
            try:
                return os.open(entry, flags, dir_fd=directory)
            finally:
                os.close(directory)
        return opened(by_directory)""",
    "working directory": """
        def by_working_directory(place, entry, flags):
            os.chdir(place)
            return os.open(entry, flags)
        try:
            return opened(by_working_directory)
        finally:
            os.chdir("/")""",
    "place": """
        def by_place(place, entry, flags):
            reached = os.open(f"{place}/{entry}", os.O_PATH)
            try:
                return os.open(f"/proc/self/fd/{reached}", flags)
            finally:
                os.close(reached)
        return opened(by_place)""",
}  # fmt: skip


@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_no_name_opens_what_belongs_to_the_supervisor(mechanism: str, tmp_path: Path) -> None:
    """Neither its memory nor its descriptors nor its settings, of any thread; it goes on."""
    ran, outcomes = run_acts(mechanism, POLICY, WAYS, tmp_path, prelude=_PREPARED)
    assert outcomes == dict.fromkeys(WAYS, "{}")
    assert ran.events[-1]["event"] == "end"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_SYS_PTRACE")
@pytest.mark.parametrize("mechanism", ["ptrace", "notify"])
def test_what_stays_within_reach_is_said(mechanism: str, tmp_path: Path) -> None:
    """Where no rule looks at names nobody sees what a privileged target opens."""
    for policy, exposed in (("default: permit\nrules: []\n", True), (POLICY, False)):
        ran = run(mechanism, policy, ["true"], tmp_path)
        start = next(event for event in ran.events if event["event"] == "start")
        assert (start["exposed"] != []) is exposed


@pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_SYS_PTRACE")
def test_which_names_the_tracer_opens_itself() -> None:
    """Those in any procfs with a number that may be a thread's of the tracer, and no others."""
    entries = OwnEntries(lambda number: number == 7)
    names = {
        b"/proc/8/mem": True,
        b"/proc/7/task/8/mem": True,
        b"/proc/8": True,
        b"/proc/7/mem": False,
        b"/proc/7/task/7/mem": False,
        b"/proc/meminfo": False,
        b"/proc/8x/mem": False,
        b"/home/8/mem": False,
    }
    assert {name: entries.may_have(name) for name in names} == names


def test_every_procfs_is_found() -> None:
    """By the type of the mount, whatever its source and its directory are called."""
    assert mount_points(
        b"22 1 0:21 / /proc rw shared:1 - proc proc rw\n"
        b"23 1 0:22 / /a\\040b rw - proc none rw\n"
        b"24 1 0:23 / /sys rw shared:2 master:1 - sysfs proc rw\n"
        b"25 1 0:24 / /proc\\0122 rw - tmpfs proc rw\n"
    ) == (b"/proc/", b"/a b/")
