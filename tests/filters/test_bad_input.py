"""What is no filter: one clear error for each mistake, with a place and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from enforcer.cli import cli
from enforcer.filters.read import form_of, read_filter
from enforcer.policy.problem import PolicyError, Severity

OK = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}
ENTRY = '{"defaultAction": "SCMP_ACT_ERRNO",\n"syscalls": [\n%s]}\n'
FILES: dict[str, tuple[str | bytes, str, str]] = {
    "empty.json": ("", "1:1: the file is empty", "a JSON object with `defaultAction`"),
    "deep.json": ("[" * 100_000, "1:1: this JSON is nested too deep", "four deep"),
    "digits.json": (
        '{"defaultErrnoRet": ' + "9" * 5000 + "}",
        "1:1: a number of thousands of digits",
        "64 bits",
    ),
    "twice.json": (
        '{"defaultAction": "SCMP_ACT_ALLOW",\n"defaultAction": "SCMP_ACT_ERRNO"}',
        "2:1: `defaultAction` stands there twice",
        "take one out",
    ),
    "twice-in-entry.json": (
        ENTRY % '{"names": ["read"], "action": "SCMP_ACT_ALLOW", "action": "SCMP_ACT_KILL"}',
        "3:1: `action` stands there twice",
        "take one out",
    ),
    "contradiction.json": (
        ENTRY % '{"names": ["read"], "action": "SCMP_ACT_ALLOW"},\n{"names": ["read"], "action": '
        '"SCMP_ACT_KILL"}',
        "4:1: read is answered otherwise at line 3",
        "take it out of one",
    ),
    "nameless.json": (ENTRY % '{"action": "SCMP_ACT_ALLOW"}', "3:1: `names` is missing", "write"),
    "action.json": ("{}", "1:1: `defaultAction` is missing", "SCMP_ACT_ERRNO"),
    "arch.json": (
        '{"defaultAction": "SCMP_ACT_ERRNO",\n"architectures": ["SCMP_ARCH_X86_46"]}',
        "2:1: unknown architecture SCMP_ARCH_X86_46",
        "did you mean SCMP_ARCH_X86_64?",
    ),
    "config.json": ('{"linux": {}}', "1:1: a config.json without `linux.seccomp`", "defaultAction"),
    "latin.json": (b'{"a":\n"\xe9"}', "2:2: this is not UTF-8 text", "save it as UTF-8"),
    "utf16.policy": ("read: 1\n".encode("utf-16"), "1:1: this is UTF-16", "save it as UTF-8"),
    "rubbish.policy": (bytes(range(256)), "2:118: this is not UTF-8 text", "--dialect bpf"),
    "deep.policy": ("read: arg0 == " + "(" * 1000, "1:66: nested too deep", ""),
    "call.policy": ("raed: 1\n", "1:1: unknown call raed", "did you mean read?"),
    "arch.policy": ("read[arch=foo]: 1\n", "1:11: unknown architecture foo", "x86_64"),
    "twice.policy": (
        "read: 1\nread: return 1\n",
        "2:1: read is answered in every",
        "take one",
    ),
    "missing.policy": ("@include ./none\n", "1:10: ./none cannot be included: no file at", ""),
    "directory.policy": ("@include /proc\n", "1:10: /proc cannot be included: a directory at", ""),
    "circle.policy": ("@include ./circle.policy\n", "in a circle: circle.policy ->", "take one"),
    "circle.kafel": ('#include "circle.kafel"\n', "in a circle: circle.kafel ->", "take one"),
    "open.kafel": ("\n/* words\nDEFAULT KILL\n", "2:1: a comment that is not closed", ""),
    "deep.kafel": ("ALLOW { read { " + "(" * 2000, "1:67: nested too deep", ""),
    "default.kafel": ("DEFAULT KILL DEFAULT ALLOW", "1:14: the default action is stated twice", ""),
    "arch.kafel": ("ALLOW { read ON foo } DEFAULT KILL", "1:17: unknown architecture foo", "amd64"),
    "itself.kafel": ("POLICY a { USE a }", "1:16: no policy a", "before it is used"),
    "bomb.kafel": (
        "POLICY p0 { ALLOW { read } }\n"
        + "".join(f"POLICY p{n} {{ USE p{n - 1}, USE p{n - 1} }}\n" for n in range(1, 40)),
        "more than 20000 rules",
        "",
    ),
    "set.service": ("[Service]\nSystemCallFilter=@nosuch\n", "2:1: ", ""),
    "errno.service": ("SystemCallFilter=read:EFOO\n", "1:1: `EFOO` is no errno", "write EPERM"),
    "none.service": ("[Service]\n", "1:1: no SystemCallFilter= in it", "name a unit"),
    "arch.service": (
        "SystemCallFilter=read\nSystemCallArchitectures=foo\n",
        "2:1: unknown architecture foo",
        "native",
    ),
    "empty.bpf": (b"", "1:1: the kernel would not load it", "8 bytes each"),
    "odd.bpf": (b"\6\0\0\0\0\0\xff", "7 bytes are no whole number", "8 bytes each"),
    "text.bpf": ("read: 1\n", "operation 0x6572 is not allowed", "8 bytes each"),
    "long.bpf": (bytes.fromhex("060000000000ff7f") * 5000, "more than 4096 instructions", ""),
    "huge.json": (json.dumps({**OK, "x": "y" * (1 << 20)}), "more than 1048576 bytes", ""),
}


@pytest.mark.parametrize("name", FILES)
def test_one_error_with_a_place(name: str, tmp_path: Path) -> None:
    """Each mistake is told once, with file, line, column, and the fix where there is one."""
    content, message, mend = FILES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PolicyError) as raised:
        read_filter(path)
    (problem,) = (each for each in raised.value.problems if each.severity is Severity.ERROR)
    assert f"{name}:" in str(problem)
    assert message in str(problem)
    assert mend in str(problem)


@pytest.mark.parametrize("suffix", ["json", "policy", "kafel", "service", "bpf"])
def test_what_is_no_file(suffix: str, tmp_path: Path) -> None:
    """A directory, nothing, and a circle of links are one error each, by whichever command."""
    directory, loop = tmp_path / f"d.{suffix}", tmp_path / f"l.{suffix}"
    directory.mkdir()
    loop.symlink_to(loop)
    for path, words in (
        (directory, "is a directory"),
        (tmp_path / f"m.{suffix}", "No such file"),
        (loop, "Too many levels"),
    ):
        for command in ("check", "audit", "diff", "export"):
            more = {"diff": [str(path)], "export": ["--to", "bpf"]}.get(command, [])
            done = CliRunner().invoke(cli, [command, str(path), *more])
            assert (done.exit_code, words in done.output) == (2, True), done.output


def test_errors_and_warnings_are_counted_apart(tmp_path: Path) -> None:
    """A file with one error and some warnings has one error."""
    path = tmp_path / "p.json"
    path.write_text('{"defaultAction": "SCMP_ACT_NONE", "more": 1, "syscalls": []}')
    output = CliRunner().invoke(cli, ["check", str(path)]).output
    assert "p.json: 1 error\n" in output
    assert "unknown key `more`" in output


def test_a_last_line_that_goes_on(tmp_path: Path) -> None:
    """systemd takes what stands before a backslash at the end of the file."""
    path = tmp_path / "p.service"
    path.write_text("[Service]\nSystemCallFilter=~read \\")
    assert read_filter(path).named == {"read"}


def test_kafels_rules_that_never_count(tmp_path: Path) -> None:
    """A second answer to a call behind one without a condition is warned of."""
    path = tmp_path / "p.kafel"
    path.write_text("ALLOW { read },\nKILL { read { fd == 1 } }, ALLOW { read } DEFAULT KILL")
    (warning,) = read_filter(path).notes
    assert (warning.line, "read is answered already" in warning.message) == (2, True)


def test_a_name_that_is_no_form(tmp_path: Path) -> None:
    """A file that no name tells is one error, which says how to tell it."""
    path = tmp_path / "p.xyz"
    path.write_text("read")
    assert form_of(path) is None
    with pytest.raises(PolicyError, match="--dialect"):
        read_filter(path)
