"""Whether another name puts an object under a weaker rule."""

from __future__ import annotations

import errno
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enforcer.call import STRICTNESS, Action, Call, Value
from enforcer.policy.ast import Dialect, Policy, TextOperator
from enforcer.policy.decide import decide
from enforcer.policy.decider import Decider
from enforcer.policy.ere_states import States, TooLarge
from enforcer.policy.operators import text_test
from enforcer.policy.parser import parse_yaml
from enforcer.policy.patterns import PatternError, translate_ere
from enforcer.policy.remainders import remainder
from enforcer.policy.renaming import DEVICE, renaming_of
from enforcer.policy.residual import residual
from enforcer.syscalls.constants import CONSTANTS

_EXCHANGE = CONSTANTS["RENAME_EXCHANGE"]


def deny(condition: str, calls: str = "[fsread, fswrite]") -> Policy:
    return parse_yaml(f"default: permit\nrules:\n  - deny: {calls}\n    when: {condition}\n", "x")


def permit(condition: str, calls: str = "[fsread, fswrite]") -> Policy:
    return parse_yaml(
        f"default: deny\nrules:\n  - permit: {calls}\n    when: {condition}\n  - permit: rename\n",
        "x",
    )


KILLING = parse_yaml(
    """
default: permit
rules:
  - deny: fsread
    when: filename match "/w/priv/*"
  - kill: fsread
    when: filename match "/w/deadly/*"
""",
    "x",
)


def named(call: str, *names: str | None, flags: int = 0) -> Call:
    """A call with these file names."""
    values = tuple(Value(translator="filename", text=name) for name in names)
    return Call(name=call, abi="x86_64", args=(0, 0, 0, 0, flags, 0), values=values)


@pytest.mark.parametrize(
    ("policy", "old", "new", "is_refused"),
    [
        (deny('filename match "/w/priv/*"', "fsread"), "/w/priv", "/w/moved", True),
        (deny('filename match "/w/priv/*"', "fsread"), "/w", "/moved", True),
        (deny('filename match "/w/priv/*"', "fsread"), "/w/priv/s", "/w/pub/s", True),
        (deny('filename match "/w/priv/*"', "fsread"), "/w/pub", "/w/moved", False),
        (deny('filename match "/w/priv/*"', "fsread"), "/w/pub/s", "/w/priv/s", False),
        (deny('filename match "/w/priv/*"', "fsread"), "/w/pub", "/w/priv/pub", False),
        (deny('filename match "/w/priv/*"', "fsread"), "/w/pub", "/w/priv", False),
        (deny('filename match "/w/*/priv/*"', "fsread"), "/w/a/priv", "/w/priv", True),
        (deny('filename match "/w/*/priv/*"', "fsread"), "/w/a", "/w/b", False),
        (deny('filename match "/w/*/priv/*"', "fsread"), "/w/a", "/w/b/a", True),
        (deny('filename eq "/w/priv/s"', "fsread"), "/w/priv/s", "/w/s", True),
        (deny('filename eq "/w/priv/s"', "fsread"), "/w/priv", "/w/moved", True),
        (deny('filename eq "/w/priv/s"', "fsread"), "/w", "/moved", True),
        (deny('filename eq "/w/priv/s"', "fsread"), "/w/pub", "/w/moved", False),
        (deny('filename inpath "/w/priv/s"', "fsread"), "/w/priv", "/w/moved", True),
        (deny('filename inpath "/w/priv/s"', "fsread"), "/w/pub", "/w/moved", False),
        (deny('filename sub "secret"', "fsread"), "/w/secret", "/w/moved", True),
        (deny('filename sub "a/secret"', "fsread"), "/w/a", "/w/b", True),
        (deny('filename sub "secret"', "fsread"), "/w/a", "/w/b", False),
        (deny('filename re "^/w/priv/.*"', "fsread"), "/w/priv", "/w/moved", True),
        (deny('filename re "/priv/s$"', "fsread"), "/w/priv", "/w/moved", True),
        (deny('filename re "/priv/s$"', "fsread"), "/w", "/moved", False),
        (deny('filename re "^/w/priv/s$"', "fsread"), "/w/pub", "/w/priv", False),
        (KILLING, "/w/priv", "/w/deadly", False),
        (KILLING, "/w/deadly", "/w/priv", True),
        (deny('not filename match "/w/pub/*"', "fsread"), "/w/a", "/w/pub/a", True),
        (deny('not filename match "/w/pub/*"', "fsread"), "/w/pub/a", "/w/pub/b", False),
        (deny('filename neq "/w/pub"', "fsread"), "/w/a", "/w/pub", True),
        (deny('filename match "/w/priv/*" and oflags sub "wo"', "open"), "/w/priv/s", "/w/s", True),
        (permit('filename match "/w/*"'), "/w/a", "/w/b", False),
        (permit('filename match "/w/*"'), "/a", "/w/a", True),
        (permit('filename eq "/w/a"'), "/w/b", "/w/a", True),
        (permit('filename re "^/w/[ab]/"'), "/w/a", "/w/b", False),
        (permit('filename re "^/w/[ab]/"'), "/w/c", "/w/b", True),
        (deny('filename[1] eq "/w/b"', "rename"), "/w/b", "/w/c", False),
    ],
    ids=str,
)
def test_what_no_longer_falls_under_a_rule(
    policy: Policy, old: str, new: str, is_refused: bool
) -> None:
    """Moving is refused where some call on the object, or on what lies beneath, is refused less."""
    assert (renaming_of(policy).weakened(old, new) is not None) is is_refused


@pytest.mark.parametrize(
    ("call", "flags", "is_refused"),
    [
        ("rename", 0, False),
        ("renameat", _EXCHANGE, False),  # no flags of its
        ("renameat2", 0, False),
        ("renameat2", _EXCHANGE, True),
        ("link", 0, False),
        ("linkat", 0, False),
    ],
)
def test_an_exchange_goes_both_ways(call: str, flags: int, is_refused: bool) -> None:
    """What is moved into a denied directory is not freed; what comes out in exchange is."""
    policy = deny('filename match "/w/priv/*"', "fsread")
    answer = decide(policy, named(call, "/w/pub/a", "/w/priv/s", flags=flags))
    assert (answer.action is Action.DENY) is is_refused


@pytest.mark.parametrize("call", ["rename", "renameat", "renameat2", "link", "linkat"])
def test_each_call_that_renames(call: str) -> None:
    """The refusal is EXDEV, names the rule, and needs names although no rule is about the call."""
    policy = deny('filename match "/w/priv/*"', "fsread")
    asked = named(call, "/w/priv/s", "/w/s")
    answer = decide(policy, asked)
    assert (answer.action, answer.errno) == (Action.DENY, errno.EXDEV)
    assert "would not be refused by rule 1, x:3" in answer.reason
    decider = Decider(policy)
    assert decider.needs(call) == {"filename"}
    assert decider.decide(call, asked.args, {"filename": ("/w/priv/s", "/w/s")}) == answer
    assert decider.decide(call, asked.args, {"filename": ("/w/a", "/w/b")}).action is Action.PERMIT
    assert decider.decide(call, asked.args, {"filename": ("/w/a", None)}).errno == errno.EFAULT
    assert {clause.decision for clause in residual(policy, call)} == {None}


def test_where_no_rule_looks_at_names() -> None:
    """Renames need no names then, and filters permit them."""
    policy = parse_yaml("default: permit\nrules:\n  - deny: mkdir\n", "x")
    assert Decider(policy).needs("rename") == frozenset()
    assert all(clause.decision is not None for clause in residual(policy, "rename"))


def test_a_case_folded_name_is_found() -> None:
    """`eq` of the systrace dialect compares without case, beneath a directory too."""
    rest = remainder(TextOperator.EQ, "/W/Priv/S", Dialect.SYSTRACE)
    assert rest("/w/priv/") == "s"
    assert rest("/w/pub/") is False


_WORDS = st.lists(st.sampled_from(["a", "b", "ab", "ba"]), min_size=1, max_size=3)
_PATHS = _WORDS.map(lambda words: "/" + "/".join(words))
_GLOBS = st.lists(st.sampled_from(["a", "*", "?", "[ab]", "a*", "*b"]), min_size=1, max_size=3).map(
    lambda words: "/" + "/".join(words)
)
_UNITS = st.sampled_from(["a", "b", "/", ".", "[^a]", "[[:alpha:]]", "\\."])
_EXPRESSIONS = st.recursive(
    _UNITS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join).map("({})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{1,}", "{0}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
        inner.map("^{}".format),
        inner.map("{}$".format),
    ),
    max_leaves=6,
)
_SYMBOLS = st.one_of(
    st.tuples(st.sampled_from([TextOperator.EQ, TextOperator.NEQ, TextOperator.INPATH]), _PATHS),
    st.tuples(st.just(TextOperator.MATCH), _GLOBS),
    st.tuples(
        st.sampled_from([TextOperator.SUB, TextOperator.NSUB]),
        st.sampled_from(["a", "ab", "b/a", "/a/b", "aab"]),
    ),
    st.tuples(st.just(TextOperator.RE), _EXPRESSIONS),
)
_BENEATH = st.text("ab/", min_size=1, max_size=6)


@settings(deadline=None, max_examples=400)
@given(_SYMBOLS, _PATHS, _PATHS, st.lists(_BENEATH, min_size=4, max_size=12))
def test_remainders(
    symbol: tuple[TextOperator, str], one: str, other: str, beneath: list[str]
) -> None:
    """Equal remainders say the same of whatever follows; True and False hold whatever does."""
    test = text_test(*symbol, Dialect.STRICT)
    rest = remainder(*symbol, Dialect.STRICT)
    here, there = rest(one + "/"), rest(other + "/")
    for name in beneath:
        found = test(f"{one}/{name}")
        if isinstance(here, bool):
            assert found is here
        if here == there:
            assert found is test(f"{other}/{name}")


@settings(deadline=None, max_examples=200)
@given(_EXPRESSIONS, st.text("ab/.", max_size=4), st.text("ab/.", max_size=4))
def test_states_of_an_expression(pattern: str, begun: str, rest: str) -> None:
    """What is known behind a beginning agrees with the search of the whole."""
    try:
        found = re.compile(translate_ere(pattern)).search(begun + rest) is not None
    except PatternError:
        return
    known = States(pattern).after(begun)
    if isinstance(known, bool):
        assert found is known


def test_an_expression_too_large() -> None:
    """Too large to be followed: it tells all directories apart, and is refused no better."""
    pattern = "((a{9}){99}){99}"
    with pytest.raises(TooLarge):
        States(pattern)
    rest = remainder(TextOperator.RE, pattern, Dialect.STRICT)
    assert rest("/a/") != rest("/b/")
    assert rest("/a/") == rest("/a/")


_RULES = st.lists(
    st.tuples(
        st.sampled_from(["permit", "deny", "kill"]),
        st.sampled_from(["fsread", "fswrite", "[fsread, fswrite]", "stat"]),
        _SYMBOLS.filter(lambda symbol: '"' not in symbol[1] and "\\" not in symbol[1]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=300)
@given(_RULES, st.sampled_from(["permit", "deny"]), _PATHS, _PATHS, st.lists(_BENEATH, max_size=6))
def test_nothing_comes_under_a_weaker_rule(
    rules: list[tuple[str, str, tuple[TextOperator, str], bool]],
    default: str,
    old: str,
    new: str,
    beneath: list[str],
) -> None:
    """A permitted rename leaves every call on every object refused at least as much as before."""
    lines = [f"default: {default}", "rules:"]
    for action, calls, (operator, operand), negated in rules:
        lines.append(f"  - {action}: {calls}")
        word = "not " if negated else ""
        lines.append(f"    when: '{word}filename {operator} \"{operand}\"'")
    policy = parse_yaml("\n".join(lines) + "\n", "x")
    if renaming_of(policy).weakened(old, new) is not None:
        return
    for rest in ("", *("/" + name for name in beneath)):
        for call in ("stat", "open", "mkdir", "truncate"):
            before = decide(policy, named(call, old + rest)).action
            after = decide(policy, named(call, new + rest)).action
            assert STRICTNESS[after] >= STRICTNESS[before], (call, rest)


@pytest.mark.parametrize("call", ["mknod", "mknodat"])
@pytest.mark.parametrize(
    ("device", "name", "is_refused"),
    [
        ("/dev/secret", "/w/node", True),
        ("/dev/secret", "/dev/secret/node", False),
        ("/dev/zero", "/w/node", False),
        (None, "/w/node", True),
        (None, None, True),
    ],
)
def test_a_node_is_another_name_for_its_device(
    call: str, device: str | None, name: str | None, is_refused: bool
) -> None:
    """EPERM, as where nobody may make nodes, and names are needed where no rule is about it."""
    policy = deny('filename match "/dev/secret/*"', "fsread")
    values = (Value(translator="filename", text=name), Value(translator=DEVICE, text=device))
    answer = decide(policy, Call(name=call, abi="x86_64", args=(0,) * 6, values=values))
    assert answer.refusal == (errno.EPERM if is_refused else 0)
    decider = Decider(policy)
    assert decider.needs(call) == {"filename"}
    assert decider.decide(call, (0,) * 6, {"filename": (name,), DEVICE: (device,)}) == answer
    assert decider.decide(call, (0,) * 6, {"filename": (name,)}).action is Action.PERMIT
    assert [clause.decision for clause in residual(policy, call)] == [None]


@pytest.mark.parametrize(("calls", "is_free"), [("[mknod, openat]", True), ("fswrite", False)])
def test_a_rule_that_gives_mknod_other_ids_speaks_of_devices(calls: str, is_free: bool) -> None:
    """It is made as root then, which is what a device takes; a whole family says nothing of it."""
    text = f"""
default: permit
rules:
  - permit: {calls}
    when: filename eq "/w/node"
    as: root
"""
    texts = {"filename": ("/w/node",), DEVICE: ("/dev/null",)}
    answer = Decider(parse_yaml(text, "x")).decide("mknod", (0,) * 6, texts)
    assert (answer.action is Action.PERMIT) is is_free


def test_a_rule_on_a_name_is_no_word_on_the_device() -> None:
    """Who may do all with one file does not get every device by its name."""
    policy = permit('filename eq "/w/file"')
    texts = {"filename": ("/w/file",), DEVICE: ("/dev/mem",)}
    assert Decider(policy).decide("mknod", (0,) * 6, texts).refusal == errno.EPERM


@pytest.mark.parametrize(
    ("when", "is_free"),
    [
        ('filename eq "/a" and filename[1] eq "/b"', True),
        ('filename[1] eq "/b" and flags eq "0" and filename eq "/a"', True),
        ('filename eq "/a"', False),
        ('filename match "/*" and filename[1] eq "/b"', False),
        ('filename eq "/a" or filename[1] eq "/b"', False),
        ('not (filename eq "/a" and filename[1] eq "/x")', False),
    ],
)
def test_a_rule_that_says_both_names_in_full_speaks_of_this_move(when: str, is_free: bool) -> None:
    """What is learned of a file that is written beside and renamed is what is done again."""
    text = f"""
rules:
  - permit: renameat2
    when: {when}
  - permit: openat
    when: filename eq "/b"
default: deny[eperm]
"""
    policy = parse_yaml(text, "x")
    values = {"filename": ("/a", "/b")}
    decision = Decider(policy).decide("renameat2", (0,) * 6, values)
    assert (decision.action is Action.PERMIT) == is_free
    call = Call(
        name="renameat2",
        abi="x86_64",
        args=(0,) * 6,
        values=tuple(Value(translator="filename", text=name) for name in values["filename"]),
    )
    assert decide(policy, call) == decision
