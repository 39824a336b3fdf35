"""Does my policy hold? From a user's policy to scenarios: the attacks that its rules speak of, with
the sentinels where they deny.

The user's names are exchanged for those of a run's own directories, so that nothing of the user's
is touched; everything else of the text, its lines too, stays as it is.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from enforcer.access.notes import listed
from enforcer.arch import native
from enforcer.call import Action, Call, Decision, Value
from enforcer.policy.ast import Policy, Rule, TextOperator, TextSymbol
from enforcer.policy.check import symbols
from enforcer.policy.decide import decide
from enforcer.policy.format import format_rule
from enforcer.policy.load import process_variables
from enforcer.policy.problem import PolicyError
from enforcer.syscalls import ALIASES, syscall, table
from enforcer.syscalls.model import Kind
from enforcer.syscalls.translate import CONSTANTS, translate_oflags
from harness.attack import Attack, SentinelKind
from harness.model import Effect, Scenario, VerdictKind
from harness.results import Row
from harness.scenario import SAMPLE, parse_policies, substitute

_ADDRESS = re.compile(r"inet-\[[^\]\"]*\]:\d+")
_WILDCARD = re.compile(r"[*?\[]")
_OPENED = {Effect.READ: os.O_RDONLY, Effect.WRITE: os.O_WRONLY}
_NAMED_BY = {
    SentinelKind.PORT: "sockaddr",
    SentinelKind.SOCKET: "sockaddr",
    SentinelKind.TTY: "",
    SentinelKind.PEER: "",
}
"""The translator that says which object a call is on, where it is not a file's name."""
SUFFIX = {"yaml": "yaml", "systrace": "systrace"}
"""Of a policy's file, by its dialect."""
WORST_FIRST = (
    VerdictKind.BYPASSED,
    VerdictKind.NOT_ENFORCING,
    VerdictKind.UNLOGGED,
    VerdictKind.HELD,
    VerdictKind.OVERBLOCKED,
    VerdictKind.INEXPRESSIBLE,
    VerdictKind.INAPPLICABLE,
    VerdictKind.BROKEN,
)
"""What a rule is said to do, of all that its attacks came to."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """What an attempt does: a call, to have an effect on a kind of object."""

    call: str
    effect: Effect
    sentinel: SentinelKind

    def on(self, name: str, port: int) -> Call:
        """The call, on the object of this name or on this port of the machine's own."""
        abi = native().abis[0].name
        model = syscall(self.call, abi)
        address = f"inet-[127.0.0.1]:{port}" if self.sentinel is SentinelKind.PORT else name
        opened = _OPENED.get(self.effect, os.O_RDONLY)
        # openat2 has its flags in memory, the others in a register.
        texts = {"filename": name, "sockaddr": address, "oflags": translate_oflags(opened)}
        registers = [0] * 6
        for argument in model.arguments:
            if argument.kind is Kind.OFLAGS:
                registers[argument.index] = opened
        if self.sentinel is SentinelKind.TTY:
            registers[1] = CONSTANTS["TIOCSTI"]
        a, b, c, d, e, f = registers
        return Call(
            name=self.call,
            abi=abi,
            args=(a, b, c, d, e, f),
            values=tuple(
                Value(translator=each, text=texts[each])
                for each in model.translators
                if each in texts
            ),
        )

    @property
    def names_its_object(self) -> bool:
        """Whether the call says what it acts on; of a terminal and a process it need not."""
        needed = _NAMED_BY.get(self.sentinel, "filename")
        abi = native().abis[0].name
        return not needed or (
            self.call in table(abi) and needed in syscall(self.call, abi).translators
        )


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One rule (None: the default), as the user wrote it, that denies the plain act of an attack;
    and the policy's text with a run's own objects for those that it denies and permits. `permitted`
    are calls of the attack's that no rule denies.
    """

    rule: int | None
    place: str
    said: str
    attack: Attack
    text: str
    permitted: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The scenario's id."""
        where = "default" if self.rule is None else f"rule-{self.rule + 1}"
        return f"audit/{where}-{self.attack.attack_class}-{self.attack.name}"


def act_of(attack: Attack) -> Act:
    """The plain act of an attack, which its direct attempt makes."""
    return Act(call=attack.direct_call, effect=attack.effect, sentinel=attack.sentinel)


def _acts(attack: Attack) -> list[Act]:
    """The plain act, and the others at which the attack can be refused, in whichever way."""
    plain = act_of(attack)
    calls = {call for each in attack.every_variant for call in attack.attack_calls(each)}
    others = (replace(plain, call=call) for call in sorted(calls - {plain.call}))
    return [plain, *(act for act in others if act.names_its_object)]


def probes(text: str, dialect: str, source: str, attacks: Iterable[Attack]) -> list[Probe]:
    """For every denying rule the attacks that it should stop, by rule. Raises PolicyError."""
    for name, value in process_variables().items():
        text = text.replace(f"${name}", value)
    wanted = [(attack, _acts(attack)) for attack in attacks]
    found: dict[str, Probe] = {}
    for moved, policy, written in _moved(text, dialect, source):
        denials = {act: _denial(policy, act) for _, acts in wanted for act in acts}
        for attack, acts in wanted:
            if denials[acts[0]] is None:
                continue  # there would be no direct attempt to tell whether it is enforced
            permitted = tuple(act.call for act in acts if denials[act] is None)
            for denied in filter(None, (denials[act] for act in acts)):
                rule = None if denied.rule is None else written.rules[denied.rule]
                probe = Probe(
                    rule=denied.rule,
                    place=_place(rule, source),
                    said=_said(rule, written),
                    attack=attack,
                    text=moved,
                    permitted=permitted,
                )
                found.setdefault(probe.id, probe)
    return sorted(found.values(), key=lambda probe: (probe.rule is None, probe.rule or 0, probe.id))


@dataclass(frozen=True, kw_only=True)
class Untried:
    """A denying rule that no attack was found for, and why."""

    place: str
    said: str
    why: str


def untried(
    text: str, dialect: str, source: str, attacks: Sequence[Attack], found: Iterable[Probe]
) -> list[Untried]:
    """The denying rules that none of the probes `found` is for. Raises PolicyError."""
    for name, value in process_variables().items():
        text = text.replace(f"${name}", value)
    places = {probe.place for probe in found if probe.rule is not None}
    made = {act.call for attack in attacks for act in _acts(attack)}
    left = []
    for policy in parse_policies(text, dialect, source):
        for rule in policy.rules:
            if rule.action is Action.PERMIT or _place(rule, source) in places:
                continue
            named = {call for each in rule.calls for call in ALIASES.get(each, (each,))}
            why = "its calls are made by attacks, but on objects that another rule decides about, "
            why += "that are permitted nowhere, or whose names no sentinel has (*.key, ~/key)"
            if not named & made:
                why = f"no attack is made of {listed(sorted(named))}"
            left.append(Untried(place=_place(rule, source), said=_said(rule, policy), why=why))
    return left


def _denial(policy: Policy, act: Act) -> Decision | None:
    """Why the act is refused on the denied object, where it is permitted on the other one."""
    denied = decide(policy, act.on(str(SAMPLE.denied), SAMPLE.port))
    if denied.action is Action.PERMIT:
        return None
    if denied.rule is None and policy.default is Action.PERMIT:
        return None  # refused for what an Act does not say (a mode)
    if not _NAMED_BY.get(act.sentinel, "filename"):
        return denied
    allowed = decide(policy, act.on(str(SAMPLE.allowed), SAMPLE.allowed_port))
    return denied if allowed.action is Action.PERMIT else None


def _moved(text: str, dialect: str, source: str) -> Iterator[tuple[str, Policy, Policy]]:
    """The text with one of its objects as the denied one, and one as the permitted one, or neither;
    the policy of it that concerns the attack's program, and the same one as it was written.
    """
    policies = parse_policies(text, dialect, source)
    for number, policy in enumerate(policies):
        program = {policy.binary: "${program}"} if policy.binary else {}
        objects = _objects(policy)
        for denied, allowed in itertools.product([*objects, None], [None, *objects]):
            if denied == allowed and denied is not None:
                continue
            names = {**program}
            if allowed is not None:
                names[allowed.text] = allowed.permitted
            if denied is not None:
                names[denied.text] = denied.denied
            moved = _renamed(text, names)
            try:
                sample = substitute(moved, SAMPLE.placeholders())
                yield moved, parse_policies(sample, dialect, source)[number], policy
            except PolicyError:
                continue  # what was a name there is something else, too


@dataclass(frozen=True, kw_only=True)
class _Object:
    """What a policy speaks of, and what a run has instead of it."""

    text: str
    denied: str
    permitted: str


def _objects(policy: Policy) -> list[_Object]:
    """Directories, files and addresses that the rules name, the longest names first."""
    found: dict[str, _Object] = {}
    for symbol in _texts(policy):
        if address := _ADDRESS.search(symbol.operand):
            port = "inet-[127.0.0.1]:${port}", "inet-[127.0.0.1]:${allowed_port}"
            found[address[0]] = _Object(text=address[0], denied=port[0], permitted=port[1])
        name = _stem(symbol.operand)
        if symbol.operand.startswith("/") and name:
            is_name = symbol.operator in (TextOperator.EQ, TextOperator.NEQ)
            if is_name and name == symbol.operand:
                single = _Object(text=name, denied="${denied}", permitted="${allowed}")
                found.setdefault(name, single)
            else:
                beneath = "${denied_dir}", "${allowed_dir}"
                found[name] = _Object(text=name, denied=beneath[0], permitted=beneath[1])
    return sorted(found.values(), key=lambda each: -len(each.text))


def _texts(policy: Policy) -> Iterator[TextSymbol]:
    for rule in policy.rules:
        for symbol, _ in symbols(rule.when) if rule.when is not None else ():
            if isinstance(symbol, TextSymbol):
                yield symbol


def _stem(pattern: str) -> str:
    """The name before the first part of it that has a wildcard."""
    found = _WILDCARD.search(pattern)
    if found is None:
        return pattern.rstrip("/")
    return pattern[: found.start()].rpartition("/")[0]


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Every one of the names, whole or as the beginning of a longer one, in one go."""
    if not names:
        return text
    longest = sorted(names, key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest))
    whole = re.compile(rf"(?<![\w/.-])({pattern})(?![\w.-])")
    return whole.sub(lambda found: names[found[1]], text)


def _place(rule: Rule | None, source: str) -> str:
    return source if rule is None or rule.position is None else f"{source}:{rule.position.line}"


def _said(rule: Rule | None, policy: Policy) -> str:
    return f"default: {policy.default}" if rule is None else format_rule(rule, policy.dialect)


def write(
    found: Iterable[Probe],
    directory: Path,
    *,
    dialect: str,
    backends: Sequence[str],
    scenarios: Iterable[Scenario],
) -> None:
    """A tree of scenarios, one for each probe, each with the policy moved as it needs it. Judged by
    the leaky enforcers that lose to the attack in `scenarios`. Raises OSError.
    """
    (directory / "attacks").mkdir(parents=True)
    leaky: dict[str, dict[str, None]] = {}
    for scenario in scenarios:
        if scenario.attack:
            leaky.setdefault(scenario.attack, {}).update(dict.fromkeys(scenario.leaky))
    for probe in found:
        policy = Path("policies") / f"{probe.id.rpartition('/')[2]}.{SUFFIX[dialect]}"
        content = {
            "title": f"{probe.place}: {probe.said}",
            "attack": probe.attack.id,
            "policy_file": str(policy),
            "backends": list(backends),
            "leaky": list(leaky.get(probe.attack.id, ())),
            # The first of this machine's that the attack has a program for.
            "abis": [abi.name for abi in native().abis if abi.name in probe.attack.abis][:1]
            or list(probe.attack.abis),
        }
        for path, text in (
            (directory / "scenarios" / policy, probe.text),
            (
                directory / "scenarios" / f"{probe.id}.yaml",
                yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000),
            ),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of one rule under one backend. `rows` are its results, those that matter first;
    `kind` is the worst of them.
    """

    backend: str
    kind: VerdictKind
    rows: tuple[Row, ...]

    @property
    def holds(self) -> bool:
        return self.kind is VerdictKind.HELD

    @property
    def is_judged(self) -> bool:
        return self.kind not in (VerdictKind.BROKEN, VerdictKind.INAPPLICABLE)

    @property
    def worst(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict == self.kind)


def judged(rows: Iterable[Row]) -> list[Judged]:
    """The results of one rule, by backend. An attack that could not be judged leaves the verdict to
    the others: a rule holds where all that was judged was held, and something was.
    """
    by_backend: dict[str, list[Row]] = {}
    for row in rows:
        if not row.leaky:
            by_backend.setdefault(row.backend, []).append(row)
    found = []
    for backend, of_it in by_backend.items():
        kinds = {VerdictKind(row.verdict) for row in of_it}
        worst = next(kind for kind in WORST_FIRST if kind in kinds)
        found.append(Judged(backend=backend, kind=worst, rows=tuple(of_it)))
    return found
