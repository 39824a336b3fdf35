r"""Names that are different in every run, as the patterns that they have in common.

Only made when asked for, and shown with the names that each stands for. What a pattern must not
cross is a slash: `match` lets a `*` stand for no slash, but for all that lies beneath, too, so that
whatever is a file and no directory is best said by `re`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from enforcer.learning.observation import Observation, Value
from enforcer.learning.rules import comparison, is_writable, line_of, rule_of, rules_of
from enforcer.policy.ast import AndExpression, Expression, Rule, TextOperator, TextSymbol
from enforcer.policy.decide import NOT_THERE
from enforcer.policy.translators import source
from enforcer.syscalls import syscall

_SPECIAL = re.compile(r"[.\[\]\\()*+?{}|^$]")
_HEX = r"[0-9a-f]"
_WAYS: tuple[tuple[str, str, str], ...] = (
    ("process ids", r"(?<=^/proc/)\d+(?=/|$)|(?<=/task/)\d+(?=/|$)", "[0-9]+"),
    ("object names", rf"(?<=/){_HEX}{{2}}/{_HEX}{{38,62}}(?=$|\.)", f"{_HEX}{{2}}/{_HEX}+"),
    ("object names", rf"(?<=/objects/){_HEX}{{2}}(?=/|$)", f"{_HEX}{{2}}"),
    ("hexadecimal names", rf"(?<=[/._-]){_HEX}{{16,}}(?=[/._-]|$)", f"{_HEX}+"),
    (
        "temporary names",
        r"(?:(?<=/tmp_obj_)|(?<=/tmp_pack_)|(?<=/tmp_idx_))\w{6}$",
        "[^/]+",
    ),
    ("temporary names", r"(?<=/tmp/)(?:tmp|cc|sh-thd)\w*(?:\.\w+)*(?=/|$)", "[^/]+"),
    ("temporary names", r"(?<=/tmp/)(?=\w*\d)(?=\w*[A-Za-z])\w{6,}(?=[/.]|$)", "[^/]+"),
    ("temporary names", r"(?<=/tmp/)[a-z0-9_]{8}(?=/|$)", "[^/]+"),
    ("temporary names", r"(?<=/\.git/t)\w{6}$", "[^/]+"),
    ("temporary names", r"(?<=/temp-)\d+(?=\.)|(?<=\.pyc\.)\d+$", "[0-9]+"),
    ("temporary names", r"(?<=[.-])\d{2,7}(?=\.(?:tmp|temp|rdb)$)", "[0-9]+"),
    ("numbered directories", r"(?<=/pytest-)\d+(?=/|$)", "[0-9]+"),
    ("versions", r"(?<=\.so\.)\d+(?:\.\d+)*$", "[0-9.]+"),
)
"""Why a piece of a name is another one in the next run, how it looks, and what stands for it."""

_HOME = "the home directory"
_PORT = re.compile(r"^(inet6?-\[[^]]*\]:)(\d+)$")
_FIRST_NUMBERED = 32768
"""From here on the kernel numbers ports itself (ip_local_port_range)."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A comparison that stands for several texts; `why` says what differs in them."""

    symbol: TextSymbol
    why: str


@dataclass
class Generalised:
    """Rules by their line, and the texts that each pattern in them stands for."""

    rules: dict[str, Rule] = field(default_factory=dict)
    stands_for: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)


def _pattern(value: Value, home: str) -> Pattern | None:
    translator, place, text = value
    reasons: list[str] = []
    if translator == "sockaddr":
        found = _PORT.match(text)
        if found is None or int(found[2]) < _FIRST_NUMBERED:
            return None
        regular = f"^{_literal(found[1])}[0-9]+$"
        return Pattern(symbol=_re(translator, place, regular), why="numbered ports")
    if translator == "argv":
        words = [_varied(word, reasons) for word in text.split(" ")]
        regular = " ".join(words)
        if not reasons:
            return None
        return Pattern(symbol=_re(translator, place, f"^{regular}$"), why=_joined(reasons))
    if translator != "filename" or not text.startswith("/"):
        return None
    regular = _varied(text, reasons)
    in_home = bool(home) and text.startswith(f"{home}/")
    if not reasons and in_home:
        symbol = TextSymbol(
            translator=translator,
            index=place,
            operator=TextOperator.EQ,
            operand=f"$HOME{text[len(home) :]}",
        )
        return Pattern(symbol=symbol, why=_HOME)
    if not reasons:
        return None
    begin = _literal(home)
    if in_home and regular.startswith(f"{begin}/"):
        reasons.append(_HOME)
        regular = f"$HOME{regular[len(begin) :]}"
    return Pattern(symbol=_re(translator, place, f"^{regular}$"), why=_joined(reasons))


def _joined(reasons: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(reasons))


def _varied(text: str, reasons: list[str]) -> str:
    """A regular expression for a name, and why, if any part of it stands for others."""
    pieces: list[tuple[int, int, str]] = []
    for why, way, regular in _WAYS:
        for hit in re.finditer(way, text):
            if all(hit.end() <= start or end <= hit.start() for start, end, _ in pieces):
                pieces.append((*hit.span(), regular))
                reasons.append(why)
    found, at = "", 0
    for start, end, piece in sorted(pieces):
        found += _literal(text[at:start]) + piece
        at = end
    return found + _literal(text[at:])


def _re(translator: str, place: int, regular: str) -> TextSymbol:
    return TextSymbol(translator=translator, index=place, operator=TextOperator.RE, operand=regular)


def _literal(text: str) -> str:
    return _SPECIAL.sub(lambda hit: f"\\{hit.group()}", text)


def varying(observations: Iterable[Observation]) -> Mapping[str, str]:
    """The texts that the next run may not have, and why."""
    found: dict[str, str] = {}
    for seen in observations:
        for value in seen.values:
            pattern = _pattern(value, "")
            if pattern is not None and pattern.why != "versions":
                found.setdefault(value[2], pattern.why)
    return found


def generalise(observations: Iterable[Observation], home: str) -> Generalised:
    """The rules for what was seen, with patterns for names that the next run will not have.

    A name that is given to an object by rename or link hands its rules to the former name, where
    one of the two is a pattern: by another name nothing may be permitted that was refused before
    (enforcer.policy.renaming).
    """
    found = Generalised()
    moves: dict[tuple[str, str], tuple[TextSymbol, TextSymbol]] = {}
    general: list[tuple[str, list[TextSymbol], bool]] = []
    for seen in observations:
        symbols: list[TextSymbol] = []
        is_general = False
        for value in seen.values:
            if source(seen.call, value[0], value[1]) is None:
                continue
            pattern = _pattern(value, home)
            if pattern is None:
                symbols.append(comparison(value))
                continue
            is_general = True
            symbols.append(pattern.symbol)
            key = (pattern.symbol.operand, pattern.why)
            found.stands_for.setdefault(key, {})[value[2]] = None
        if is_general:
            general.append((seen.call, symbols, bool(seen.absent)))
            names = [each for each in symbols if each.translator == "filename"]
            if len(names) == 2 and syscall(seen.call).moves:
                moves[names[0].operand, names[1].operand] = (names[0], names[1])
        else:
            for rule in rules_of(seen):
                _add(found, rule)
    for call, symbols, absent in general:
        _add(found, rule_of(call, symbols))
        if absent:
            _add(found, rule_of(call, [_absent(symbol) for symbol in symbols]))
    _hand_down(found, list(moves.values()))
    return found


def _absent(symbol: TextSymbol) -> TextSymbol:
    if symbol.translator != "filename" or symbol.index:
        return symbol
    operand = symbol.operand
    if symbol.operator is TextOperator.RE:
        return _re(symbol.translator, symbol.index, f"^{_literal(NOT_THERE)}{operand[1:]}")
    return TextSymbol(
        translator=symbol.translator, operator=symbol.operator, operand=NOT_THERE + operand
    )


def _hand_down(found: Generalised, moves: list[tuple[TextSymbol, TextSymbol]]) -> None:
    pending = True
    while pending:
        pending = False
        for old, new in moves:
            for rule in list(found.rules.values()):
                symbols = symbols_of(rule.when)
                if not symbols or not _speaks_of(symbols, new):
                    continue
                others = [_renamed(symbol, new, old) for symbol in symbols]
                pending = _add(found, rule_of(rule.calls[0], others)) or pending


def _speaks_of(symbols: Iterable[TextSymbol], new: TextSymbol) -> bool:
    return any(
        each.translator == "filename"
        and each.index == 0
        and (each.operator, each.operand) == (new.operator, new.operand)
        for each in symbols
    )


def _renamed(symbol: TextSymbol, new: TextSymbol, old: TextSymbol) -> TextSymbol:
    if not _speaks_of((symbol,), new):
        return symbol
    return TextSymbol(translator=symbol.translator, operator=old.operator, operand=old.operand)


def symbols_of(expression: Expression | None) -> list[TextSymbol]:
    """The comparisons that a learned rule consists of."""
    match expression:
        case TextSymbol():
            return [expression]
        case AndExpression(left, right):
            return [*symbols_of(left), *symbols_of(right)]
        case _:
            return []


def _add(found: Generalised, rule: Rule) -> bool:
    if not is_writable(rule):
        return False
    line = line_of(rule)
    is_new = line not in found.rules
    found.rules.setdefault(line, rule)
    return is_new
