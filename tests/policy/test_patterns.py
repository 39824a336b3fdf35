"""File name patterns (fnmatch(3)) and regular expressions (regex(7)), example by example."""

from __future__ import annotations

import re
import string

import pytest

from enforcer.policy.ast import Dialect, TextOperator
from enforcer.policy.operators import OperandError, check_operand, text_test
from enforcer.policy.patterns import (
    PatternError,
    can_take_long,
    literal_of,
    literal_prefix,
    translate_ere,
    translate_fnmatch,
)

ASCII = [chr(code) for code in range(128)]
PRINTED = set(string.printable[:95])
CLASSES = {
    "alpha": set(string.ascii_letters),
    "digit": set(string.digits),
    "alnum": set(string.ascii_letters + string.digits),
    "upper": set(string.ascii_uppercase),
    "lower": set(string.ascii_lowercase),
    "space": set(" \t\n\r\f\v"),
    "blank": set(" \t"),
    "punct": set(string.punctuation),
    "print": PRINTED,
    "graph": PRINTED - {" "},
    "cntrl": set(ASCII) - PRINTED,
    "xdigit": set(string.hexdigits),
}
"""isalpha(3) and its like in the C locale."""


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name: str) -> None:
    """Every class has exactly its characters; of names none is a slash."""
    expected = CLASSES[name]
    found = {each for each in ASCII if re.search(translate_ere(f"^[[:{name}:]]$"), each)}
    assert found == expected
    others = {each for each in ASCII if re.search(translate_ere(f"^[^[:{name}:]]$"), each)}
    assert others == set(ASCII) - expected
    in_names = {each for each in ASCII if matches(f"[[:{name}:]]", each)}
    assert in_names == expected - {"/"}
    assert {each for each in ASCII if matches(f"[![:{name}:]]", each)} == others - {"/"}


def matches(pattern: str, text: str) -> bool:
    """By the translation, and by the operator, which has a short way for `PREFIX*`."""
    translated = re.fullmatch(translate_fnmatch(pattern), text) is not None
    assert text_test(TextOperator.MATCH, pattern, Dialect.STRICT)(text) is translated
    return translated


@pytest.mark.parametrize(
    ("pattern", "matched", "not_matched"),
    [
        ("/a", ["/a", "/a/", "/a/b/c", "/a/b\nc"], ["/", "/ab", "a", "/a\n", "", "x/a"]),
        ("", ["", "/", "/a"], ["a"]),
        ("*", ["", "a", "a/b", "/"], []),
        ("/a*", ["/a", "/ab", "/ab/c", "/a/b", "/a\nb"], ["/", "/b", "a"]),
        ("/a*c", ["/ac", "/abc", "/abbc", "/abc/d", "/acbc"], ["/a/c", "/ab", "/abcd"]),
        ("/*/c", ["/a/c", "//c", "/a/c/d"], ["/c", "/a/b/c", "/a/cd"]),
        ("/a**c", ["/ac", "/abc"], ["/a/c", "/a*"]),
        ("/a***", ["/a", "/abc"], ["/b"]),
        ("*a*b", ["ab", "xaxb", "aab", "abab"], ["ba", "a/b", "a"]),
        ("*ab*ab*", ["abab", "xabyabz", "abab/c"], ["ab", "aab", "ab/ab"]),
        ("*[ab]*c", ["ac", "bc", "xbxc", "aac"], ["c", "xc", "a/c"]),
        ("/a?c", ["/abc", "/a?c", "/a\nc", "/abc/d"], ["/ac", "/a/c", "/abbc"]),
        ("??", ["ab", "ab/c"], ["a", "abc", "a/", "/a"]),
        ("a[!b]c", ["aac", "acc", "a!c", "aac/d"], ["abc", "a/c", "ac"]),
        ("a[^b]c", ["aac", "a^c"], ["abc", "a/c", "ac"]),
        ("[!b]*", ["a", "ab", "ab/c"], ["b", "/", "", "/a"]),
        ("a[.-0]c", ["a.c", "a0c"], ["a/c", "a-c", "a1c"]),
        ("[a-c]", ["a", "b", "c", "b/x"], ["d", "-", "`", "A", ""]),
        ("[ac]", ["a", "c"], ["b", "ac"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[!-a]", ["b", "!"], ["a", "-"]),
        ("[]a]", ["]", "a"], ["b", "[]a]"]),
        ("[!]a]", ["b", "["], ["]", "a"]),
        ("[]-a]", ["]", "^", "_", "`", "a"], ["b", "\\", "-"]),
        ("[a!]", ["a", "!"], ["b"]),
        ("[a^]", ["a", "^"], ["b"]),
        ("[[]", ["["], ["]", "a"]),
        ("[[a]", ["[", "a"], ["b"]),
        ("[&a]", ["&", "a"], ["b"]),
        ("[a&&b]", ["a", "&", "b"], ["c"]),
        ("[a~~b]", ["a", "~", "b"], ["c"]),
        ("[a||b]", ["a", "|", "b"], ["c"]),
        ("[\\a-c]", ["a", "b", "c"], ["\\", "d"]),
        ("[a-\\c]", ["a", "b", "c"], ["\\", "-"]),
        ("[\\]]", ["]"], ["\\", "\\]"]),
        ("[\\!a]", ["!", "a"], ["\\", "b"]),
        ("[[:digit:]a-c]", ["0", "9", "a", "c"], ["d", ":", "-"]),
        ("[a[:digit:]]", ["a", "5"], [":", "d"]),
        ("[[:digit]", ["[", ":", "d", "g", "i", "t"], ["5", "]"]),
        ("[a", ["[a", "[a/b"], ["a"]),
        ("[", ["["], ["", "a"]),
        ("[]", ["[]"], ["]", "["]),
        ("[!", ["[!"], ["!", "["]),
        ("[!]", ["[!]"], ["!", "a"]),
        ("[a\\]", ["[a]"], ["a", "[a\\]"]),
        ("a[b/c]d", ["a[b/c]d", "a[b/c]d/e"], ["abd", "a/d", "acd"]),
        ("[a/*]", ["[a/x]", "[a/]"], ["a", "[a/x"]),
        ("\\*", ["*", "*/a"], ["a", "\\*", ""]),
        ("\\?", ["?"], ["a", "\\?"]),
        ("\\[a]", ["[a]"], ["a", "\\[a]"]),
        ("\\\\", ["\\"], ["\\\\"]),
        ("\\a", ["a"], ["\\a"]),
        ("a\\", ["a\\"], ["a"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a+(b)|c", ["a+(b)|c"], ["aab", "c", "ab"]),
        (".*", [".", ".a"], ["a", ""]),
        ("*.c", [".c", "a.c"], ["ac", "a/.c"]),
    ],
)
def test_file_name_patterns(pattern: str, matched: list[str], not_matched: list[str]) -> None:
    """FNM_PATHNAME and FNM_LEADING_DIR: no star, mark or bracket is a slash, a directory counts."""
    assert [text for text in matched if not matches(pattern, text)] == []
    assert [text for text in not_matched if matches(pattern, text)] == []


@pytest.mark.parametrize(
    "pattern", ["[c-a]", "[[:alphx:]]", "[[.alpha.]]", "[[=alpha=]]", "[[.a.]]", "[[::]]"]
)
@pytest.mark.parametrize("operator", [TextOperator.MATCH, TextOperator.RE])
def test_brackets_that_mean_nothing(pattern: str, operator: TextOperator) -> None:
    """An empty range, an unknown class, and what depends on a locale."""
    with pytest.raises(OperandError, match="cannot use this"):
        check_operand(operator, pattern)
    check_operand(operator, "[a-a]")


@pytest.mark.parametrize(
    ("pattern", "literal", "prefix"),
    [
        ("/a/b", "/a/b", "/a/b"),
        ("", "", ""),
        ("/a*", None, "/a"),
        ("/a?b", None, "/a"),
        ("/a[b]", None, "/a"),
        ("/a\\b", None, "/a"),
        ("*", None, ""),
        ("/a]b", "/a]b", "/a]b"),
        ("/a*b*", None, "/a"),
    ],
)
def test_what_stands_for_itself(pattern: str, literal: str | None, prefix: str) -> None:
    """The only text that a pattern matches, and how all of them begin."""
    assert literal_of(pattern) == literal
    assert literal_prefix(pattern) == prefix


def found(pattern: str, text: str) -> bool:
    translated = re.search(translate_ere(pattern), text) is not None
    assert text_test(TextOperator.RE, pattern, Dialect.STRICT)(text) is translated
    return translated


@pytest.mark.parametrize(
    ("pattern", "matched", "not_matched"),
    [
        ("b", ["b", "abc", "a\nb"], ["", "a"]),
        ("", ["", "a"], []),
        ("^b", ["b", "bc"], ["ab", "a\nb"]),
        ("b$", ["b", "ab"], ["bc", "b\n"]),
        ("^$", [""], ["a", "\n"]),
        ("a.c", ["abc", "a\nc", "a/c"], ["ac"]),
        ("^a*$", ["", "a", "aaa"], ["b", "ab"]),
        ("^a+$", ["a", "aaa"], ["", "b"]),
        ("^a?$", ["", "a"], ["aa"]),
        ("^a{2}$", ["aa"], ["a", "aaa"]),
        ("^a{2,}$", ["aa", "aaaa"], ["a"]),
        ("^a{2,3}$", ["aa", "aaa"], ["a", "aaaa"]),
        ("^a{0,1}b$", ["b", "ab"], ["aab"]),
        ("^a{255}$", ["a" * 255], ["a" * 254]),
        ("^(ab)*$", ["", "abab"], ["aba"]),
        ("^(ab){2}$", ["abab"], ["ab"]),
        ("^(a|b)c$", ["ac", "bc"], ["abc", "c"]),
        ("^a|b$", ["ax", "xb"], ["x", "xa"]),
        ("^(|a)b$", ["b", "ab"], ["a"]),
        ("^[ab]+$", ["ab"], ["", "c"]),
        ("^[^ab]$", ["c", "/", "\n"], ["a", "b", ""]),
        ("^[]a]$", ["]", "a"], ["b"]),
        ("^[^]a]$", ["b"], ["]", "a"]),
        ("^[a!]$", ["a", "!"], ["b"]),
        ("^[!a]$", ["a", "!"], ["b"]),
        ("^[a^]$", ["a", "^"], ["b"]),
        ("^[\\a]$", ["\\", "a"], ["b"]),
        ("^[a\\]$", ["\\", "a"], ["]"]),
        ("^[a-c]$", ["b"], ["-", "d"]),
        ("^[0-9]$", ["0", "9"], ["-", "/", ":"]),
        ("^[[:digit:]]{2}$", ["12"], ["1", "ab"]),
        ("^[[:digit:][:upper:]]$", ["1", "A"], ["a", ":"]),
        (r"^\.$", ["."], ["a"]),
        (r"^\*\+\?\|\(\)\[\]\{\}\^\$\\\/\-$", ["*+?|()[]{}^$\\/-"], [""]),
        ("^a-b/c:d$", ["a-b/c:d"], ["a.b/c:d"]),
        ("^a]b}$", ["a]b}"], ["ab"]),
        ("a" * 5 + "b", ["aaaaab"], ["aaaab"]),
        ("^((a)(b))c$", ["abc"], ["ab"]),
    ],
)
def test_regular_expressions(pattern: str, matched: list[str], not_matched: list[str]) -> None:
    """POSIX extended, found anywhere in the text, which is one line whatever is in it."""
    assert [text for text in matched if not found(pattern, text)] == []
    assert [text for text in not_matched if found(pattern, text)] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[a", "`[` without its `]`"),
        ("[]", "`[` without its `]`"),
        ("[^]", "`[` without its `]`"),
        ("a\\", "a backslash at the end"),
        (r"\d", r"`\d` is not in POSIX"),
        (r"\1", r"`\1` is not in POSIX"),
        (r"a\a", r"`\a` is not in POSIX"),
        ("*a", "`*` has nothing to repeat"),
        ("+", "`+` has nothing to repeat"),
        ("?", "`?` has nothing to repeat"),
        ("{2}", "`{` has nothing to repeat"),
        ("a**", "`*` has nothing to repeat"),
        ("a*?", "`?` has nothing to repeat"),
        ("a{2}{3}", "`{` has nothing to repeat"),
        ("(*a)", "`*` has nothing to repeat"),
        ("a|*", "`*` has nothing to repeat"),
        ("^*", "`*` has nothing to repeat"),
        ("a$*", "`*` has nothing to repeat"),
        ("a{", "`{` is not followed by"),
        ("a{x}", "`{` is not followed by"),
        ("a{,2}", "`{` is not followed by"),
        ("a{1", "`{` is not followed by"),
        ("a{1234}", "`{` is not followed by"),
        ("a{256}", "more than 255 times"),
        ("a{1,256}", "more than 255 times"),
        ("a{256,}", "more than 255 times"),
        ("a{256,1}", "more than 255 times"),
        ("a{3,2}", "m less than n"),
        ("(?a)", r"`(?` is not in POSIX"),
        ("(?:a)", r"`(?` is not in POSIX"),
        ("a)", "`)` without its `(`"),
        ("(a))", "`)` without its `(`"),
        ("(a", "`(` without its `)`"),
        ("((a)", "`(` without its `)`"),
        ("(" * 51 + ")" * 51, "more than 50 levels"),
    ],
)
def test_what_is_undefined_is_refused(pattern: str, why: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(PatternError, match=re.escape(why)):
        translate_ere(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["a{255}", "a{2,2}", "a{0,255}", "a{255,}", "(" * 50 + ")" * 50, "(a)*", "[a]*", ".*"],
)
def test_what_is_defined_is_not(pattern: str) -> None:
    """Up to the very limits."""
    assert re.compile(translate_ere(pattern))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("abc", False),
        ("a*b*c*", False),
        ("(abc)", False),
        ("(abc)*", False),
        ("(ab*)", False),
        ("(ab*)c*", False),
        ("(a*)*", True),
        ("(a+)+", True),
        ("(a*){2}", True),
        ("(ab*c)+", True),
        ("(a|b)*", True),
        ("(a|b)", False),
        ("(a|b)c*", False),
        ("((a|b))*", True),
        ("((a*)b)*", True),
        ("((a)b)*", False),
        ("(a*(b))*", True),
        ("((a*)b)", False),
        ("(a*)?", False),
        ("(a?)*", True),
        ("(a?){20}a{20}", True),
        ("(ab?c)+", True),
        ("(a?)", False),
        (r"(a\?)*", False),
        (r"(a\*)*", False),
        (r"\(a*\)*", False),
        ("([*|])*", False),
        ("([[:alpha:]|])*", False),
        ("([]|])*", False),
        ("([^]|])*", False),
        ("(a{2})*", True),
        ("a|b*", False),
        (")*", False),
        ("()(a)*", False),
        ("(a*)(b)*", False),
    ],
)
def test_what_can_take_long(pattern: str, expected: bool) -> None:
    """A repetition of what repeats or chooses; escapes and brackets are single characters."""
    assert can_take_long(pattern) is expected


def test_what_a_target_names_cannot_take_long() -> None:
    """Stars in a row are one, and what stands between two is sought once."""
    assert not matches("/" + "*" * 5000 + "b", "/" + "a" * 5000)
    assert not matches("*a" * 30 + "b", "a" * 5000)
    assert translate_fnmatch("/a***b") == translate_fnmatch("/a*b")


@pytest.mark.parametrize(
    ("operator", "operand", "held", "not_held"),
    [
        (TextOperator.SUB, "b", ["b", "abc"], ["", "a", "B"]),
        (TextOperator.NSUB, "b", ["", "a", "B"], ["b", "abc"]),
        (TextOperator.EQ, "aB", ["aB"], ["ab", "AB", "aBc", ""]),
        (TextOperator.NEQ, "aB", ["ab", "AB", "aBc", ""], ["aB"]),
        (TextOperator.INPATH, "/a/b", ["/", "/a", "/a/b"], ["", "/a/b/c", "/a/bc", "/b", "/a/"]),
        (TextOperator.INPATH, "a/b", ["a", "a/b"], ["/", "", "b", "/a"]),
        (TextOperator.INPATH, "/", ["/"], ["", "/a"]),
        (TextOperator.INPATH, "", [], ["", "/", "a"]),
    ],
)
def test_operators(
    operator: TextOperator, operand: str, held: list[str], not_held: list[str]
) -> None:
    """Parts of a text, equality to the letter, and ancestors of a path."""
    test = text_test(operator, operand, Dialect.STRICT)
    assert [text for text in held if not test(text)] == []
    assert [text for text in not_held if test(text)] == []


def test_systrace_compares_without_ascii_case() -> None:
    """From A to Z, no farther; other operators look at case in both dialects."""
    operand = "/AZ[{\u00c4"
    equal = text_test(TextOperator.EQ, operand, Dialect.SYSTRACE)
    unequal = text_test(TextOperator.NEQ, operand, Dialect.SYSTRACE)
    for text, same in (
        ("/AZ[{\u00c4", True),
        ("/az[{\u00c4", True),
        ("/aZ[{\u00c4", True),
        ("/AZ{{\u00c4", False),
        ("/AZ[[\u00c4", False),
        ("/AZ[{\u00e4", False),
        ("/AY[{\u00c4", False),
    ):
        assert equal(text) is same
        assert unequal(text) is not same
    assert not text_test(TextOperator.SUB, "A", Dialect.SYSTRACE)("a")
