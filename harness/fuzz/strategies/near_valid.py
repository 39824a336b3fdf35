"""Near-valid policies: the text of a policy with one thing changed, as people get them wrong."""

from __future__ import annotations

import re
from enum import StrEnum

from hypothesis import strategies as st

from harness.fuzz.cases import TextCase
from harness.fuzz.show import policy_text
from harness.fuzz.strategies.policies import policies

_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|[A-Za-z_][\w-]*|\d\w*|[^\w\s]|\n *| +')
_WORD = re.compile(r"[A-Za-z_][\w-]*")
OTHERS = (
    *("permit", "deny", "deny[enoent]", "deny[4096]", "ask", "kill", "now", "log", "if", "then"),
    *("filename", "sockaddr", "filenam", "arg[0]", "arg[6]", "arg[-1]", "eq", "==", "re", "match"),
    *("and", "or", "not", "true", "uid", "user", "root", "fsread", "opne", "native-", "x32-open"),
    *('"/etc"', '"("', '"', "'", "(", ")", "[", "]", "{", "}", ":", ",", "- ", "#", "&a", "*a"),
    *(
        "0",
        "-1",
        "0x",
        "1_0",
        "08",
        "18446744073709551616",
        "null",
        "\t",
        "\n",
        "  ",
        "\u2028",
        "é",
    ),
)


class Slip(StrEnum):
    """What is wrong with the text: which token was changed, and how."""

    LEFT_OUT = "left out"
    TWICE = "twice"
    SWAPPED = "swapped with the next"
    ANOTHER = "another one"
    BESIDE = "one beside"
    MISSPELT = "misspelt"
    OTHER_SORT = "text for a number, a word for a text"
    CUT_OFF = "the end is missing"


@st.composite
def near_valid(draw: st.DrawFn) -> TextCase:
    """A printed policy of either dialect with one slip; it may by chance be right all the same."""
    policy = draw(policies())
    tokens = _TOKEN.findall(policy_text(policy))
    slip = draw(st.sampled_from(Slip))
    able = [place for place, token in enumerate(tokens) if _can_be(slip, token)]
    if able:
        place = draw(st.sampled_from(able))
        tokens[place : place + 2] = draw(_slipped(slip, tokens[place : place + 2]))
        if slip is Slip.CUT_OFF:
            del tokens[place + 1 :]
    return TextCase("".join(tokens), policy.dialect)


def _can_be(slip: Slip, token: str) -> bool:
    if slip is Slip.MISSPELT:
        return bool(_WORD.fullmatch(token))
    if slip is Slip.OTHER_SORT:
        return token[0] == '"' or token[0].isdigit()
    return True


@st.composite
def _slipped(draw: st.DrawFn, slip: Slip, tokens: list[str]) -> list[str]:
    first, rest = tokens[0], tokens[1:]
    match slip:
        case Slip.LEFT_OUT:
            return rest
        case Slip.TWICE:
            return [first, first, *rest]
        case Slip.SWAPPED:
            return [*rest, first]
        case Slip.ANOTHER:
            return [draw(st.sampled_from(OTHERS)), *rest]
        case Slip.BESIDE:
            return [first, draw(st.sampled_from(OTHERS)), *rest]
        case Slip.MISSPELT:
            at = draw(st.integers(0, len(first) - 1))
            letter = draw(st.sampled_from(("", "x", first[at] * 2, first[at].swapcase())))
            return [first[:at] + letter + first[at + 1 :], *rest]
        case Slip.OTHER_SORT:
            return [first.strip('"') if first[0] == '"' else f'"{first}"', *rest]
        case Slip.CUT_OFF:
            return [first[: draw(st.integers(0, len(first)))], *rest]
