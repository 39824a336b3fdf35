"""Names of calls in systrace's own files."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from enforcer.cli.check import check
from enforcer.policy.parser import parse_systrace
from enforcer.policy.systrace import BSD_CALLS
from enforcer.syscalls import names

NM = """\
Policy: /usr/bin/nm, Emulation: linux
\tlinux-read: permit
\tlinux-ni_syscall-43: true then permit
"""


def test_a_call_name_may_have_hyphens(tmp_path: Path) -> None:
    """The emulation ends at the first hyphen; a name that is none of a call is a warning."""
    (policy,) = parse_systrace(NM, "x")
    assert [rule.calls for rule in policy.rules] == [("read",), ("ni_syscall-43",)]
    file = tmp_path / "nm.systrace"
    file.write_text(NM)
    result = CliRunner().invoke(check, [str(file)])
    assert result.exit_code == 0
    assert "3:2: warning: unknown call `ni_syscall-43`" in result.stderr
    assert "in order, 1 policy, 2 rules, 1 warning" in result.stdout


def test_names_of_the_bsds_are_those_of_today() -> None:
    """A rule on a call that Linux has by another name is one on each of those, as it stands."""
    text = "Policy: /bin/ls, Emulation: native\n\tnative-pread: permit\n"
    (policy,) = parse_systrace(text + "\tnative-getdirentries: deny[eio]\n", "x")
    assert [rule.calls for rule in policy.rules] == [("pread64",), ("getdents",), ("getdents64",)]
    assert [rule.errno for rule in policy.rules] == [0, 5, 5]
    assert not names() & BSD_CALLS.keys()
    assert {name for calls in BSD_CALLS.values() for name in calls} <= names()
