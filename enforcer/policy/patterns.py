"""File name patterns and POSIX extended regular expressions as Python's regular expressions."""

from __future__ import annotations

import re

_CLASSES = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r" \t\n\r\f\v",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "print": r" -~",
    "graph": r"!-~",
    "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9A-Fa-f",
}
_REPEAT_LIMIT = 255
_ESCAPED = re.compile(r"\\.|.", re.DOTALL)
_UNIT = re.compile(r"\\.|\[\^?\]?(?:\[[:.=].*?[:.=]\]|[^\]])*\]|.", re.DOTALL)
"""Of a regular expression: an escape, a bracket, or one character."""


class PatternError(ValueError):
    """A pattern that cannot be used, and why."""


def translate_fnmatch(pattern: str) -> str:
    r"""fnmatch(3) with FNM_PATHNAME and FNM_LEADING_DIR, for `re.fullmatch`.

    `*`, `?` and brackets do not match `/`; a match of a leading directory counts. `[` that is not
    closed before the next `/` stands for itself, as POSIX says.

    What stands between two stars is taken where it fits first, and never sought again: the names
    come from targets, which must not be able to make a match take long. Nothing is lost, because
    the next star stands for whatever was passed over.
    """
    parts: list[str] = []
    pieces: list[str] = []
    place = 0
    while place < len(pattern):
        character = pattern[place]
        place += 1
        if character == "*":
            while pattern[place : place + 1] == "*":
                place += 1
            pieces.append("".join(parts))
            parts.clear()
        elif character == "?":
            parts.append("[^/]")
        elif character == "\\" and place < len(pattern):
            parts.append(re.escape(pattern[place]))
            place += 1
        elif (
            character == "["
            and (end := _bracket_end(pattern, place, "!^", escapes=True)) is not None
        ):
            if "/" in pattern[place:end]:
                parts.append(r"\[")
            else:
                parts.append("(?!/)" + _bracket(pattern[place:end], "!^", escapes=True))
                place = end + 1
        else:
            parts.append(re.escape(character))
    last = "".join(parts)
    if pieces:
        first, *between = pieces
        last = first + "".join(f"(?>[^/]*?{piece})" for piece in between) + "[^/]*" + last
    return f"(?s:{last}(?:/.*)?)"


def literal_of(pattern: str) -> str | None:
    """The one text that a file name pattern matches, not counting what is beneath it."""
    return None if any(character in "*?[\\" for character in pattern) else pattern


def literal_prefix(pattern: str) -> str:
    """How every text that a file name pattern matches begins."""
    return re.split(r"[*?\[\\]", pattern, maxsplit=1)[0]


def path_components(pattern: str) -> list[str]:
    """A file name pattern as patterns of the names between its slashes, one escaped or not."""
    units = _ESCAPED.findall(pattern)
    return "".join("/" if unit == "\\/" else unit for unit in units).split("/")


def translate_ere(pattern: str) -> str:
    """A POSIX extended regular expression, for `re.search`.

    Raises PatternError for what POSIX leaves undefined: back references, `\\w` and the like,
    `(?...)`, a repetition of nothing or of a repetition, collating symbols and equivalence classes.
    """
    parts: list[str] = []
    place, depth = 0, 0
    repeatable = False
    while place < len(pattern):
        character = pattern[place]
        place += 1
        match character:
            case "[":
                end = _bracket_end(pattern, place, "^", escapes=False)
                if end is None:
                    raise PatternError("`[` without its `]`")
                parts.append(_bracket(pattern[place:end], "^", escapes=False))
                place, repeatable = end + 1, True
            case "\\":
                if place == len(pattern):
                    raise PatternError("a backslash at the end")
                if pattern[place] not in r".[]\()*+?{}|^$/-":
                    raise PatternError(f"`\\{pattern[place]}` is not in POSIX regular expressions")
                parts.append(re.escape(pattern[place]))
                place, repeatable = place + 1, True
            case "*" | "+" | "?" | "{":
                if not repeatable:
                    raise PatternError(f"`{character}` has nothing to repeat")
                if character == "{":
                    found = re.compile(r"([0-9]{1,3})(,([0-9]{1,3})?)?\}").match(pattern, place)
                    if found is None:
                        raise PatternError("`{` is not followed by `n}`, `n,}` or `n,m}`")
                    _check_repeat(found.group(1), found.group(3))
                    parts.append("{" + found.group())
                    place = found.end()
                else:
                    parts.append(character)
                repeatable = False
            case "(":
                depth += 1
                if depth > 50:
                    raise PatternError("groups more than 50 levels deep")
                if pattern[place : place + 1] == "?":
                    raise PatternError("`(?` is not in POSIX regular expressions")
                parts.append("(?:")
                repeatable = False
            case ")":
                if not depth:
                    raise PatternError("`)` without its `(`")
                depth -= 1
                parts.append(")")
                repeatable = True
            case "|":
                parts.append("|")
                repeatable = False
            case "^":
                parts.append(r"\A")
                repeatable = False
            case "$":
                parts.append(r"\Z")
                repeatable = False
            case ".":
                parts.append(".")
                repeatable = True
            case _:
                parts.append(re.escape(character))
                repeatable = True
    if depth:
        raise PatternError("`(` without its `)`")
    return "(?s:" + "".join(parts) + ")"


def can_take_long(pattern: str) -> bool:
    """Whether a regular expression repeats what repeats or chooses: tried in very many ways."""
    inside, closed = [False], False
    for unit in _UNIT.findall(pattern):
        if unit in ("*", "+", "{"):
            if closed:
                return True
            inside[-1], closed = True, False
        elif unit == "(":
            inside.append(False)
            closed = False
        elif unit == ")" and len(inside) > 1:
            closed = inside.pop()
            inside[-1] = inside[-1] or closed
        else:
            inside[-1], closed = inside[-1] or unit in ("|", "?"), False
    return False


def _check_repeat(least: str, most: str | None) -> None:
    if int(most or least) > _REPEAT_LIMIT or int(least) > _REPEAT_LIMIT:
        raise PatternError(f"a repetition of more than {_REPEAT_LIMIT} times")
    if most is not None and int(most) < int(least):
        raise PatternError("`{n,m}` with m less than n")


def _bracket_end(pattern: str, start: int, negations: str, *, escapes: bool) -> int | None:
    """Where the `]` is that closes the bracket whose inside begins at `start`."""
    place = start
    if pattern[place : place + 1] and pattern[place] in negations:
        place += 1
    if pattern[place : place + 1] == "]":
        place += 1
    while place < len(pattern):
        if pattern[place] == "]":
            return place
        if escapes and pattern[place] == "\\":
            place += 1
        elif pattern[place] == "[" and pattern[place + 1 : place + 2] in (":", ".", "="):
            end = pattern.find(pattern[place + 1] + "]", place + 2)
            if end >= 0:
                place = end + 1
        place += 1
    return None


def _bracket(inside: str, negations: str, *, escapes: bool) -> str:
    """A POSIX bracket expression, given without its brackets."""
    negated = inside[0] in negations
    place = 1 if negated else 0
    parts: list[str] = []
    while place < len(inside):
        if inside[place] == "[" and inside[place + 1 : place + 2] in (":", ".", "="):
            kind = inside[place + 1]
            end = inside.find(kind + "]", place + 2)
            if end >= 0:
                name = inside[place + 2 : end]
                if kind != ":" or name not in _CLASSES:
                    raise PatternError(f"`{inside[place : end + 2]}` is not supported")
                parts.append(_CLASSES[name])
                place = end + 2
                continue
        first, place = _bracket_character(inside, place, escapes=escapes)
        if inside[place : place + 1] == "-" and place + 1 < len(inside):
            last, place = _bracket_character(inside, place + 1, escapes=escapes)
            if ord(last) < ord(first):
                raise PatternError(f"the range `{first}-{last}` is empty")
            parts.append(f"{_literal(first)}-{_literal(last)}")
        else:
            parts.append(_literal(first))
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _bracket_character(inside: str, place: int, *, escapes: bool) -> tuple[str, int]:
    if escapes and inside[place] == "\\" and place + 1 < len(inside):
        return inside[place + 1], place + 2
    return inside[place], place + 1


def _literal(character: str) -> str:
    return "\\" + character if character in r"\]^-[&~|" else character
