"""From what was seen to files: exact rules, patterns where asked for, and nothing lost."""

from __future__ import annotations

import io
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.learning.general import generalise
from enforcer.learning.learner import LONGEST_SHOWN, Learner, brief
from enforcer.learning.observation import Observation, Seen, observations_of
from enforcer.learning.review import HELP, review
from enforcer.learning.rules import proposed
from enforcer.learning.store import PARTIAL, PolicyStore, file_name
from enforcer.policy.parser import parse_systrace

NOTHING: dict[str, object] = {"abi": "x86_64", "args": [0] * 6, "absent": []}


def seen(call: str, **texts: list[str | None]) -> Observation:
    """One call of a program."""
    found = observations_of({**NOTHING, "program": "/bin/p", "call": call, "values": texts})
    assert found is not None
    (one,) = found
    return one


@pytest.mark.parametrize(
    ("call", "texts", "line"),
    [
        ("getpid", {}, "native-getpid: permit"),
        ("read", {"fd": ["3"]}, "native-read: permit"),
        ("futex", {"cmd": ["0x80"]}, "native-futex: permit"),
        (
            "openat",
            {"filename": ["/etc/x"], "fd": ["-100"], "oflags": ["ro"], "mode": ["7654"]},
            'native-openat: filename eq "/etc/x" and oflags eq "ro" then permit',
        ),
        (
            "openat",
            {"filename": ["/x"], "fd": ["-100"], "oflags": ["woc"], "mode": ["600"]},
            'native-openat: filename eq "/x" and oflags eq "woc" and mode eq "600" then permit',
        ),
        (
            "rename",
            {"filename": ["/a", "/b"]},
            'native-rename: filename eq "/a" and filename[1] eq "/b" then permit',
        ),
        (
            "kill",
            {"pidname": ["4711"], "signame": ["SIGHUP"]},
            'native-kill: signame eq "SIGHUP" then permit',
        ),
        (
            "kill",
            {"pidname": ["0"], "signame": ["SIGHUP"]},
            'native-kill: pidname eq "0" and signame eq "SIGHUP" then permit',
        ),
    ],
    ids=str,
)
def test_a_rule_says_every_text_that_another_run_has_too(
    call: str, texts: dict[str, list[str | None]], line: str
) -> None:
    """Not descriptors, nor other processes' numbers, nor a mode that nothing is created with."""
    assert [found.strip() for found in proposed([seen(call, **texts)])] == [line]


def test_a_name_in_no_directory_is_permitted_as_systrace_prints_it_and_as_it_is() -> None:
    """The directory may be there the next time."""
    one = Observation(
        program="/bin/p", call="access", values=(("filename", 0, "/no/x"),), absent=(0,)
    )
    lines = [line.strip() for line in proposed([one])]
    assert lines == [
        'native-access: filename eq "/no/x" then permit',
        'native-access: filename eq "/<non-existent filename>: /no/x" then permit',
    ]


def test_what_cannot_be_read_or_written_down_has_no_rule() -> None:
    """A rule without that text would permit more than was seen."""
    unread = {**NOTHING, "program": "/p", "call": "open", "values": {"filename": [None]}}
    assert observations_of(unread) is None
    assert proposed([seen("access", filename=["/\udcff"])]) == {}


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("/tmp/ccAb12cd.s", r'filename re "^/tmp/[^/]+$"'),
        ("/proc/4711/maps", r'filename re "^/proc/[0-9]+/maps$"'),
        ("/home/u/x", 'filename eq "$HOME/x"'),
        ("/usr/lib/libc.so.6", r'filename re "^/usr/lib/libc\\.so\\.[0-9.]+$"'),
        ("/etc/passwd", 'filename eq "/etc/passwd"'),
        ("/procedure/4711", 'filename eq "/procedure/4711"'),
    ],
)
def test_only_what_differs_becomes_a_pattern(name: str, pattern: str) -> None:
    """And is shown with the names that it stands for; without being asked nothing is."""
    one = seen("access", filename=[name])
    found = generalise([one], "/home/u")
    assert [line.strip() for line in found.rules] == [f"native-access: {pattern} then permit"]
    shown = [text for texts in found.stands_for.values() for text in texts]
    assert shown == ([] if name in pattern else [name])
    (exact,) = proposed([one])
    assert f'filename eq "{name}"' in exact


def test_a_pattern_is_shown_once_for_all_programs(tmp_path: Path) -> None:
    """With a few of the names, and the programs; a long text without its middle."""
    names = [("/bin/a", f"/tmp/ccVG{digit}U5y.s") for digit in range(4)] + [
        ("/bin/b", "/tmp/ccVG0U5y.s")
    ]
    observations = {
        replace(seen("access", filename=[name]), program=program): None for program, name in names
    }
    told: list[str] = []
    store = PolicyStore(tmp_path)
    Learner(seen=Seen(observations), store=store, say=told.append, is_general=True).write(False)
    assert told[:2] == [
        "^/tmp/[^/]+$ (temporary names) stands for "
        "/tmp/ccVG0U5y.s, /tmp/ccVG1U5y.s, /tmp/ccVG2U5y.s and 1 more",
        "    in /bin/a, /bin/b",
    ]
    assert told[2:] == [f"{store.path(each)}: 1 new rule" for each in ("/bin/a", "/bin/b")]
    assert len(brief("x" * 5000)) <= LONGEST_SHOWN
    assert brief("/usr/bin/true") == "/usr/bin/true"


def test_a_port_that_the_kernel_numbers_becomes_a_pattern_and_no_other() -> None:
    """Port 80 was meant; 40000 came about."""
    calls = [seen("connect", sockaddr=[f"inet-[127.0.0.1]:{port}"]) for port in (80, 40000)]
    lines = "".join(generalise(calls, "").rules)
    assert 'sockaddr eq "inet-[127.0.0.1]:80"' in lines
    assert r"sockaddr re \"^inet-\\[127\\.0\\.0\\.1\\]:[0-9]+$\"".replace('\\"', '"') in lines


def test_files_have_systraces_names() -> None:
    """Without the slash at the beginning."""
    assert file_name("/usr/sbin/inetd") == "usr_sbin_inetd"


def test_a_file_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    """Comments, hand-made rules and their order, other policies; new rules come behind, once."""
    store = PolicyStore(tmp_path)
    hand_made = (
        "# mine\nPolicy: /bin/p, Emulation: linux\n"
        '\tlinux-access: filename eq "/secret" then deny[eacces]\n'
        "\nPolicy: /bin/other, Emulation: native\n\tnative-getpid: permit\n"
    )
    (tmp_path / "bin_p").write_text(hand_made)
    calls = [seen("access", filename=[name]) for name in ("/secret", "/x")]
    rules = proposed(store.missing("/bin/p", calls))
    assert len(rules) == 1, "what a person refused is not permitted"
    assert store.add("/bin/p", rules, partial=False) == 1
    expected = hand_made.replace(
        "deny[eacces]\n", 'deny[eacces]\n\tlinux-access: filename eq "/x" then permit\n'
    )
    assert (tmp_path / "bin_p").read_text() == expected
    assert store.missing("/bin/p", calls) == []
    assert store.add("/bin/p", rules, partial=False) == 0
    assert len(parse_systrace(expected, "x")) == 2


def test_a_partial_policy_says_so_until_a_recording_is_whole(tmp_path: Path) -> None:
    """The line goes when the command has ended by itself."""
    store = PolicyStore(tmp_path)
    rules = proposed([seen("getpid")])
    store.add("/bin/p", rules, partial=True)
    assert store.text("/bin/p").startswith(PARTIAL)
    store.add("/bin/p", rules, partial=False)
    assert PARTIAL not in store.text("/bin/p")
    assert "getpid" in store.text("/bin/p")


@pytest.mark.parametrize(
    ("answers", "kept"),
    [("y\nn\ny\n", [0, 2]), ("n\na\n", [1, 2]), ("y\nq\n", [0]), ("?\ny\n", [0]), ("", [])],
)
def test_a_person_goes_through_the_rules(answers: str, kept: list[int]) -> None:
    """Answers that end leave out the rest."""
    rules = proposed([seen(call) for call in ("getpid", "getuid", "getgid")])
    questions = io.StringIO()
    found = review("/bin/p", rules, io.StringIO(answers), questions)
    assert list(found) == [list(rules)[place] for place in kept]
    assert questions.getvalue().startswith(HELP), "who has not seen it before knows what to type"


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    """It is replaced in one step or not at all, and nothing is left beside it."""
    store = PolicyStore(tmp_path)
    store.add("/bin/p", proposed([seen("getpid")]), partial=False)
    before = store.text("/bin/p")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.add("/bin/p", proposed([seen("getuid")]), partial=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert store.text("/bin/p") == before
    assert [path.name for path in tmp_path.iterdir()] == ["bin_p"]


def test_a_refusal_made_by_hand_is_not_learned_away(tmp_path: Path) -> None:
    """What a rule of the policy refuses is settled; what it would ask is not."""
    store = PolicyStore(tmp_path)
    hand = "\tnative-getuid: deny[eperm]\n\tnative-access: true then ask\n"
    store.path("/bin/p").write_text(f"Policy: /bin/p, Emulation: native\n{hand}")
    calls = [seen("getuid"), seen("access", filename=["/x"])]
    assert store.missing("/bin/p", calls) == calls[1:]
