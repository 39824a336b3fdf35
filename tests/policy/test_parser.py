"""What is read, and how what is wrong is told: all at once, with file, line, column and fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from enforcer.call import Action, Elevation, Transition
from enforcer.policy import load_policies
from enforcer.policy.ast import Dialect, Policy, Position, TextSymbol
from enforcer.policy.check import check_policy
from enforcer.policy.parser import MOST_BYTES, parse_file, parse_systrace, parse_yaml
from enforcer.policy.problem import PolicyError, Severity

HEAD = "Policy: /bin/x, Emulation: native\n"


def problems(text: str) -> list[tuple[int, int, str]]:
    """Place and message of every problem of a text of either form."""
    is_yaml = HEAD not in text and any(each in text for each in ("rules", "default", "dialect"))
    parse: Callable[[str, str], object] = parse_yaml if is_yaml else parse_systrace
    with pytest.raises(PolicyError) as raised:
        parse(text, "x")
    return [(each.line, each.column, each.message) for each in raised.value.problems]


@pytest.mark.parametrize(
    ("rule", "column", "message"),
    [
        ("native-open: filenam", 21, "expected an operator after `filenam`"),
        ("native-open: filename like", 23, "found `like`"),
        ("native-open: filename eq x then permit", 26, "expected a string"),
        ("native-open: filename eq 'x' then permit", 26, "double quotes"),
        ('native-open: filename eq "x then permit', 26, "no end"),
        ('native-open: filename[12] eq "x" then permit', 23, "an index is 0 to 9"),
        ('native-open: filename[x] eq "x" then permit', 23, "expected an index"),
        ('native-open: (filename eq "x" then permit', 31, "expected `)`"),
        ('native-open: filename eq "x" permit', 30, "expected `then`"),
        ('native-open: filename eq "x" then allow', 35, "expected an action"),
        ('native-open: filename eq "x" then permit-now', 35, "expected an action"),
        ('native-open: filename re "a**" then permit', 26, "nothing to repeat"),
        ('native-open: filename re "(a" then permit', 26, "`(` without"),
        ('native-open: filename re "a)" then permit', 26, "`)` without"),
        ('native-open: filename re "[a" then permit', 26, "`[` without"),
        ('native-open: filename re "(?:a)" then permit', 26, "`(?`"),
        ('native-open: filename re "\\\\1" then permit', 26, "not in POSIX"),
        ('native-open: filename re "a\\\\" then permit', 26, "backslash at the end"),
        ('native-open: filename re "[[=a=]]" then permit', 26, "not supported"),
        ('native-open: filename re "[z-a]" then permit', 26, "empty"),
        ('native-open: filename re "a{3,2}" then permit', 26, "m less than n"),
        ('native-open: filename re "a{300}" then permit', 26, "more than 255"),
        ('native-open: filename re "a{x}" then permit', 26, "not followed by"),
        ('native-open: filename match "[[.a.]]" then permit', 29, "pattern"),
        (f'native-open: filename re "{"(" * 51}a{")" * 51}" then permit', 26, "50 levels"),
        ("native-open: arg[1] == 2 then permit", 14, "does not compare registers"),
        ("native-open: deny[enofile]", 19, "unknown error code"),
        ('native-open: deny["x"]', 19, "unknown error code"),
        ("native-open: deny[0]", 19, "unknown error code"),
        ("native-execve: permit[enoent]", 23, "expected inherit or detach"),
        ("native-open: permit as nobody-at-all", 24, "no user"),
        ("native-open: permit as 1:nobody-at-all", 26, "no group"),
        ("native-open: permit, if user", 29, "expected = != < or >"),
        ("native-open: permit, if who = 1", 25, "expected `user` or `group`"),
        ("native-open: permit, when user = 1", 22, "expected `if`"),
        ("native-open: permit, if user = nobody-at-all", 32, "no user"),
        ('native-open: permit, if user = "x"', 32, "expected a user"),
        ("native-open: permit permit", 21, "unexpected"),
        ("default: deny[enofile]", 10, "unknown default"),
        ("default: allow", 10, "unknown default"),
        ("native-open: and", 14, "expected a condition"),
        ("native-open:", 13, "expected a condition"),
        ("native-open: ~", 14, "unexpected character"),
        ("native-open: 12x", 14, "not a number"),
        ('native-open: fil\u0435name eq "x" then permit', 17, "CYRILLIC SMALL LETTER IE"),
        ("native-open: filename eq \u201cx\u201d then permit", 26, "double quotes"),
        ('native-open: filename re "a{\u0663}" then permit', 26, "not followed by"),
        ("native-open:\u00a0permit", 13, "U+00A0 NO-BREAK SPACE"),
        ("pol\u0131cy: /bin/x, emulation: native", 4, "LATIN SMALL LETTER DOTLESS I"),
        ("linux-open: permit", 1, "a rule for linux in a policy for native"),
        ("native_open permit", 1, "unexpected `native_open`"),
        ("Policy: bin/ls, Emulation: native", 9, "absolute"),
        ("Policy: /bin/ls", 1, "not complete"),
        ("Template: x, Emulation: native", 1, "not complete"),
    ],
)
def test_mistakes_in_systrace_files(rule: str, column: int, message: str) -> None:
    """Each mistake is shown where it is."""
    found = problems(HEAD + "native-read: permit\n" + rule + "\n")
    assert [(line, place) for line, place, _ in found] == [(3, column)]
    assert message in found[0][2]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("rules: 3", 1, 8, "rules are a list"),
        ("rules: [3]", 1, 9, "a rule is a mapping"),
        ("rules:\n  - allow: read", 2, 5, "unknown key `allow`"),
        ("rules:\n  - permit: read\n    deny: read", 3, 5, "exactly one action"),
        ("rules:\n  - permit: read\n    wen: true", 3, 5, "unknown key `wen`"),
        ("rules:\n  - permit: read\n    log: true\n    log: true", 4, 5, "twice"),
        ("rules:\n  - permit: read\n    log: perhaps", 3, 10, "expected true or false"),
        ("rules:\n  - permit: []", 2, 13, "no name here"),
        ("rules:\n  - permit: [[read]]", 2, 14, "expected a word"),
        ("rules:\n  - permit: raed", 2, 13, "unknown call `raed`"),
        ("rules:\n  - permit: [read, opne]", 2, 20, "unknown call `opne`"),
        ("rules:\n  - permit: opne\n    when: arg[1] == 0", 2, 13, "unknown call `opne`"),
        ("rules:\n  - permit[enoent]: read", 2, 5, "unexpected [enoent]"),
        ("rules:\n  - deny[enoway]: read", 2, 5, "unknown error code"),
        ("rules:\n  - deny: read\n    as: root", 2, 5, "`as` belongs to permit"),
        ("rules:\n  - permit: read\n    if: user", 3, 13, "expected = != < or >"),
        ('rules:\n  - permit: read\n    when: filename eq "x"', 3, 11, "read has no filename"),
        ('rules:\n  - permit: stat\n    when: filname eq "x"', 3, 11, "unknown translator"),
        ('rules:\n  - permit: stat\n    when: filename[1] eq "x"', 3, 11, "no filename[1]"),
        (
            'rules:\n  - permit: fsread\n    when: oflags sub "ro" or true',
            3,
            11,
            "of fsread have no",
        ),
        ('rules:\n  - permit: fsread\n    when: signame eq "x"', 2, 13, "no call of fsread"),
        ('rules:\n  - permit: open\n    when: filename eq "\\d"', 3, 24, "unknown escape"),
        ("rules:\n  - permit: ioctl\n    when: arg[6] == 0", 3, 11, "arg[0] to arg[5]"),
        ("rules:\n  - permit: ioctl\n    when: arg[1]:16 == 0", 3, 18, "expected 32"),
        ("rules:\n  - permit: ioctl\n    when: arg[1] = 0", 3, 18, "expected one of"),
        ("rules:\n  - permit: ioctl\n    when: arg[1] == TIOCSIT", 3, 21, "unknown constant"),
        ("rules:\n  - permit: ioctl\n    when: arg[1] == 017", 3, 21, "leading zero"),
        ('rules:\n  - permit: ioctl\n    when: arg[1] == "x"', 3, 21, "a number or a constant"),
        ("rules:\n  - permit: ioctl\n    when: arg[1]:32 == 0x100000000", 3, 24, "32 bits"),
        ("rules:\n  - permit: ioctl\n    when: arg[1]:32 == -0x90000000", 3, 25, "too small"),
        ("rules:\n  - permit: ioctl\n    when: arg[1] == 0x" + "1" * 30, 3, 21, "64 bits"),
        ("rules:\n  - permit: ioctl\n    when: [a]", 3, 11, "expected a word"),
        ("rules:\n  - permit: ioctl\n    when: true true", 3, 16, "unexpected `true`"),
        ("default: maybe\nrules: []", 1, 10, "unknown default"),
        ("default: permit[enoent]\nrules: []", 1, 10, "no error code"),
        ("default: deny[eno]\nrules: []", 1, 10, "unknown error code"),
        ("default: [a]\nrules: []", 1, 10, "expected a word"),
        ("dialect: lax\nrules: []", 1, 10, "expected systrace or strict"),
        ("default: permit", 1, 1, "without rules"),
        ("default: permit\npolicy: ls\nrules: []", 2, 9, "absolute"),
        ("rules: []\n? [a]\n: b", 2, 3, "words as keys"),
        ("rules: [", 1, 9, "not YAML"),
        ("rules: \x07", 1, 8, "not YAML"),
        ("rules: *x", 1, 8, "not YAML"),
        ("rules: " + "[" * 400, 1, 19, "more than 12 levels"),
        ("rules:\n  - &a [*a]", 2, 5, "a rule is a mapping"),
        ("rules: []\nrules: []", 2, 1, "twice"),
        ("rules:\n\t- permit: read", 2, 1, "not YAML"),
        ("rules: []\n--- \nrules: []", 3, 1, "a second policy"),
        ("rules:\n  - <<: {permit: read}", 2, 5, "unknown key `<<`"),
        ("rules:\n  - permit: read # \u2028", 2, 20, "U+2028 LINE SEPARATOR ends a line"),
        ("rules:\r  - permit: read", 1, 7, "U+000D ends a line"),
        ("rules: [{deny[eacces]: read}]", 1, 14, "not YAML"),
        ("- default", 1, 1, "a policy is a mapping"),
        ("rules: [{permit: [all, read]}]\n", 1, 19, "`all` stands alone"),
        ("rules:\n- deny: all\n  when: 'true'\n", 2, 9, "a rule on all calls has no `when`"),
        ("dialect: systrace\nrules: [{permit: all}]\n", 2, 18, "`all` is of the strict dialect"),
        ("rules: [{permit: al}]\n", 1, 18, "unknown call `al`"),
    ],
)
def test_mistakes_in_yaml(text: str, line: int, column: int, message: str) -> None:
    """Each mistake is shown where it is, also within an expression."""
    found = problems(text)
    assert (line, column) in [(each[0], each[1]) for each in found], found
    assert any(message in each[2] for each in found), found


def test_all_mistakes_at_once() -> None:
    """One run tells everything that is wrong, in file order."""
    text = HEAD + "native-open: deny[enop]\nnative-read: perm\n\nother: permit\n"
    assert [line for line, _, _ in problems(text)] == [2, 3, 5]
    text = "default: maybe\nrules:\n  - permit: raed\n  - deny[x]: read\n    when: a\n"
    assert [line for line, _, _ in problems(text)] == [1, 3, 4, 5]


def test_a_caret_shows_the_place() -> None:
    """The message is file:line:column, the line, a caret under the words, and the fix."""
    with pytest.raises(PolicyError) as raised:
        parse_systrace(HEAD + '\tnative-open: filename like "x" then permit\n', "x.systrace")
    assert str(raised.value).splitlines() == [
        "x.systrace:2:24: expected an operator after `filename`, found `like`",
        '     native-open: filename like "x" then permit',
        "                           ^^^^",
        "    operators: match eq neq sub nsub inpath re",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('rules:\n  - permit: stat\n    when: filename eq "a" or filname eq "x"', (3, 30)),
        ('rules:\n  - permit: stat\n    when: \'filename eq "a" or filname eq "x"\'', (3, 31)),
        (
            'rules:\n  - permit: stat\n    when: "filename eq \\"a\\" or filname eq \\"x\\""',
            (3, 33),
        ),
        (
            'rules:\n  - permit: stat\n    when: >\n      filename eq "a"\n      or filname eq "x"',
            (5, 10),
        ),
        (
            'rules:\n  - permit: stat\n    when: |\n      filename eq "a"\n      or filname eq "x"',
            (5, 10),
        ),
        ('rules:\n  - permit: stat\n    when: filename eq "a"\n      or filname eq "x"', (4, 10)),
        ('rules:\n  - permit: stat\n    when: |\n      filname\n      eq "x"', (4, 7)),
    ],
)
def test_places_within_every_kind_of_scalar(text: str, place: tuple[int, int]) -> None:
    """Quotes, escapes, folds and blocks do not shift the place of a mistake."""
    assert [(line, column) for line, column, _ in problems(text)] == [place]


def test_a_systrace_file() -> None:
    """Comments, several policies, wrapped filters, elevation, predicates, detached, templates."""
    first, second, third = parse_systrace(
        """
# a comment
policy: /bin/a, emulation: native   # another
    native-open: filename eq "/a#b" and
        true then   # wrapped

        permit log as root:0, if group = 0
    native-execve: true then permit[inherit]
    native-#12: permit-now
    native-read: deny-now[ENOENT]
    native-write: (true) -> ask
    native-bind: true then permit as :0, if user != root
Policy: *, Emulation: linux
detached
Template: t, Emulation: native, Description: some text
""".replace("\n", "\r\n"),
        "x",
    )
    assert (first.binary, first.dialect, len(first.rules)) == ("/bin/a", Dialect.SYSTRACE, 6)
    rule = first.rules[0]
    assert rule.elevation == Elevation(uid=0, gid=0)
    assert rule.log
    assert rule.predicate is not None
    assert rule.position == Position(4, 5, 11)
    assert first.rules[1].transition is Transition.INHERIT
    assert first.rules[2].calls == ("#12",)
    assert (first.rules[3].errno, first.rules[3].now) == (2, True)
    assert first.rules[4].action is Action.ASK
    assert first.rules[5].elevation == Elevation(gid=0)
    assert (second.binary, second.emulation, second.detached) == (None, "linux", True)
    assert (third.template, third.description) == ("t", "some text")
    with pytest.raises(PolicyError, match="the file has no policy"):
        parse_systrace("# nothing\n", "x")


def test_carriage_returns_are_no_part_of_a_policy() -> None:
    """A file with the line ends of another system is read as it is, with the same places."""
    text = 'rules:\n  - permit: stat\n    when: >\n      filename eq "a"\n      or true\n'
    assert parse_yaml(text.replace("\n", "\r\n"), "x") == parse_yaml(text, "x")
    wrong = text.replace("filename", "filname")
    assert problems(wrong.replace("\n", "\r\n")) == problems(wrong)


def test_what_stands_in_a_message_cannot_reach_the_terminal() -> None:
    """Escapes and reversals are shown, not obeyed; wide letters keep the caret in its place."""
    with pytest.raises(PolicyError) as raised:
        parse_systrace(HEAD + 'native-open: "\x1b[2J\u202e" then permit\n', "x\x1b")
    assert str(raised.value).splitlines()[:3] == [
        "x\\x1b:2:14: expected a condition, found `\\x1b[2J\\u202e`",
        '    native-open: "\ufffd[2J\ufffd" then permit',
        "                 ^^^^^^^",
    ]
    with pytest.raises(PolicyError) as raised:
        parse_systrace(HEAD + 'native-open: filename eq "\u65e5\u672ca\u0301" thn permit\n', "x")
    line, carets = str(raised.value).splitlines()[1:3]
    assert carets == " " * (line.index(" thn") + 1 + 2 - 1) + "^^^"


def test_of_a_long_line_the_part_around_the_mistake_is_shown() -> None:
    """A megabyte in one line does not bury the message."""
    long = " or ".join(['filename eq "/a"'] * 190)
    with pytest.raises(PolicyError) as raised:
        parse_systrace(HEAD + f"native-open: {long} thn permit\n", "x")
    first, line, carets, *_ = str(raised.value).splitlines()
    assert len(line) <= 164
    assert line[carets.index("^") :].startswith("thn permit")
    assert first.startswith(f"x:2:{14 + len(long) + 1}: ")


@pytest.mark.parametrize("word", ["\u043epen", "ope\u0578"])
def test_letters_that_look_alike_are_told_apart(word: str) -> None:
    """The fix names the letter that is not the one it seems to be."""
    with pytest.raises(PolicyError) as raised:
        parse_yaml(f"rules: [{{permit: {word}}}]", "x")
    (problem,) = raised.value.problems
    assert problem.mend.startswith(f"`{word.strip('open')}` is U+0")
    assert problem.mend.endswith("did you mean open?")


def test_aliases_are_followed_but_not_without_end() -> None:
    """A list can be named and used again; what would stand for very much is refused."""
    text = "rules:\n  - permit: &calls [read, write]\n  - deny: *calls\n"
    assert [rule.calls for rule in parse_yaml(text, "x").rules] == [("read", "write")] * 2
    names = ", ".join(["read"] * 500)
    bomb = f"rules:\n  - &r\n    permit: [{names}]\n" + "  - *r\n" * 500
    assert "all that its aliases stand for" in problems(bomb)[0][2]


def test_depth_is_bounded() -> None:
    """Endless nesting and endless chains are refused, not crashes."""
    for text in (
        HEAD + "native-open: " + "(" * 5000 + "\n",
        HEAD + "native-open: " + "not " * 5000 + "true then deny\n",
        HEAD + "native-open: " + "true and " * 5000 + "true then deny\n",
        "rules:\n  - permit: ioctl\n    when: arg[0] == " + "(" * 500 + "1",
        "rules:\n  - permit: ioctl\n    when: " + "not " * 5000 + "true",
    ):
        assert "levels" in problems(text)[0][2]


def test_the_checkers_warnings() -> None:
    """What loads but is likely meant otherwise is said by check_policy, with a place."""
    text = """default: permit
rules:
  - deny: ioctl
    when: arg[1] == TIOCSTI
  - permit: ioctl
    when: arg[1] != TIOCSTI
  - permit: ioctl
    when: not arg[1] != TIOCSTI
  - deny: ioctl
    when: arg[1] > 5
  - deny: openat
    when: arg[2] & O_DIRECTORY == 0
  - deny: [ioctl, ioctl]
    when: arg[1]:32 & 3 == 4
  - deny: clone
    when: arg[0] < 0 or arg[5] >= 0 or arg[0] <= 0xffffffffffffffff
  - deny: connect
    when: sockaddr match "inet-[127.0.0.1]:*"
  - deny: stat
    when: filename eq "etc"
  - deny: socket
    when: sockdom eq "AF_LOCAL"
  - deny: stat
    when: filename match "/home/[^/]*/x"
  - deny: stat
    when: filename re "^/(a+)+$"
  - permit[detach]: [execve, read]
  - deny: socketcall
  - deny: mount
  - deny: mount
"""
    policy = parse_yaml(text, "x")
    warned = check_policy(policy, text)
    assert all(problem.severity is Severity.WARNING for problem in warned)
    said = "\n".join(map(str, warned))
    for words in (
        "x:4:11: warning: the kernel takes arg[1] of ioctl as 32 bits; "
        "set upper bits evade this rule",
        "set upper bits slip through this permit",
        "a program with set upper bits is refused",
        "O_DIRECTORY has another value on",
        "`ioctl` stands twice",
        "no register makes a difference",
        "registers of clone are not the same on every ABI",
        "clone has no arg[5]",
        "any one of these characters",
        "file names are absolute",
        "`[...]` with a `/` in it is no choice",
        "some texts take very long to compare",
        'no sockdom of socket prints as "AF_LOCAL"',
        "[detach] says nothing of read",
        "socketcall is judged as the calls",
        "earlier plain rules answer these calls already",
        "sendmmsg, sendmsg, sendto can do what connect does",
    ):
        assert words in said, words
    (old,) = parse_systrace(
        HEAD + 'native-fsread: oflags eq "ro" then permit\n'
        'native-mquery: filename eq "/x" then permit\n'
        'native-mquery: permit\nnative-read: filename eq "/x" then permit\n'
        'native-read: nothing eq "/x" then permit\n',
        "x",
    )
    said = "\n".join(problem.message for problem in check_policy(old))
    for words in ("sees file names only", "unknown call `mquery`", "always false", "unknown trans"):
        assert words in said, words


def test_a_transition_belongs_to_a_permit() -> None:
    """No form can write another; a policy that is made otherwise is refused, too."""
    (rule,) = parse_yaml("rules: [{deny: execve}]", "x").rules
    wrong = replace(rule, transition=Transition.DETACH)
    policy = Policy(binary=None, dialect=Dialect.STRICT, rules=(wrong,))
    (problem,) = check_policy(policy)
    assert problem.severity is Severity.ERROR
    assert problem.message == "[detach] belongs to permit"


def test_files(tmp_path: Path) -> None:
    """A file is read by its suffix; one that cannot be read is a problem with its name."""
    (tmp_path / "a.systrace").write_text(HEAD)
    (tmp_path / "b.yaml").write_text("rules: []")
    (tmp_path / "c.txt").write_text("")
    (tmp_path / "d.yaml").write_bytes(b"rules: \xff")
    assert parse_file(tmp_path / "a.systrace")[0].dialect is Dialect.SYSTRACE
    assert parse_file(tmp_path / "b.yaml")[0].dialect is Dialect.STRICT
    (tmp_path / "f.yaml").write_text("#" + " " * MOST_BYTES)
    (tmp_path / "g.yaml").write_bytes(b"\xef\xbb\xbfrules: []")
    (tmp_path / "h.systrace").write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert parse_file(tmp_path / "g.yaml")[0].rules == ()
    assert parse_file(tmp_path / "h.systrace")[0].binary == "/bin/x"
    for name in ("c.txt", "d.yaml", "e.yaml", "f.yaml"):
        with pytest.raises(PolicyError, match=name):
            parse_file(tmp_path / name)


def _operand(path: Path) -> str:
    (policy,) = load_policies(path, variables={"HOME": "/home/a*b", "USER": "a.b"})
    when = policy.rules[0].when
    assert isinstance(when, TextSymbol)
    return when.operand


def test_loading(tmp_path: Path) -> None:
    """Templates, equivalents and variables are put in when a policy is loaded."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "own.yaml").write_text("template: own\nrules: [{permit: sync}]\n")
    path = tmp_path / "a.yaml"
    path.write_text("include: [own, linux-runtime]\nrules: [{deny: read}]\n")
    (policy,) = load_policies(path)
    assert [rule.calls for rule in policy.rules[:2]] == [("read",), ("sync",)]
    assert len(policy.rules) > 3
    path.write_text("include: [owm]\nrules: []\n")
    with pytest.raises(PolicyError, match="no template `owm`"):
        load_policies(path)
    for operator, operand, expected in (
        ("eq", "$HOME/x", "/home/a*b/x"),
        ("match", "$HOME/*", "/home/a\\*b/*"),
        ("re", "^$USER$", "^a\\.b$"),
        ("eq", "$HOMELESS", "$HOMELESS"),
    ):
        path.write_text(f'rules:\n  - permit: stat\n    when: filename {operator} "{operand}"\n')
        assert _operand(path) == expected
    path.write_text('rules:\n  - permit: stat\n    when: not ($CWD eq "$CWD" or true and true)\n')
    with pytest.raises(PolicyError, match="unknown translator"):
        load_policies(path)
    path.write_text(
        'rules:\n  - permit: stat\n    when: not (filename eq "$CWD" or true and arg[1] == 0)\n'
    )
    with pytest.raises(PolicyError, match=r"a.yaml:3:16: \$CWD has no value here"):
        load_policies(path, variables={})
    assert load_policies(path)[0].rules[0].when is not None


def test_old_calls_stand_for_todays(tmp_path: Path) -> None:
    """A systrace rule covers the calls that do the same today, unless the policy names them."""
    path = tmp_path / "a.systrace"
    path.write_text(
        HEAD + "native-stat: permit\nnative-statx: deny\nnative-rmdir: deny\n"
        'native-unlink: filename eq "/x" then permit\nnative-mmap: prot sub "EXEC" then deny\n'
    )
    (policy,) = load_policies(path, runtime=False)
    by_call = {name: rule for rule in policy.rules for name in rule.calls}
    assert by_call["newfstatat"].action is Action.PERMIT
    assert by_call["statx"].action is Action.DENY
    assert [rule.action for rule in policy.rules if "unlinkat" in rule.calls] == [
        Action.DENY,
        Action.PERMIT,
    ]
    (longer,) = load_policies(path)
    assert longer.rules[: len(policy.rules)] == policy.rules
    assert [rule for rule in longer.rules if "mmap" in rule.calls][1:] == []
    assert any("futex" in rule.calls for rule in longer.rules)


def test_templates_in_the_same_file(tmp_path: Path) -> None:
    """A template of a systrace file is no policy of its own."""
    path = tmp_path / "a.systrace"
    path.write_text("Template: t, Emulation: native, Description: d\nnative-read: permit\n" + HEAD)
    (policy,) = load_policies(path)
    assert policy.binary == "/bin/x"
