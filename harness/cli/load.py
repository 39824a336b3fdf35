"""What every verb needs: attacks, scenarios and backends, with the user's mistakes in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from enforcer.arch import native
from enforcer.mechanisms.contract import MechanismName
from enforcer.policy.problem import Problem, suggestion
from harness import backends, tree
from harness.attack import Attack, ManifestError, stand_ins
from harness.cases import ALL, EVERY_EXTERNAL, EVERY_LEAKY, Selection, expand
from harness.catalogue import CatalogueError
from harness.cli import MachineError, UserError
from harness.laboratory import attacks_of, scenarios_of
from harness.model import Case, Scenario, spelled
from harness.places.choice import Driver, Target, Wish, targets
from harness.places.local import PlaceError, kernel_release
from harness.results import ResultsError, Store
from harness.scenario import Known, ScenarioError

MOST_SHOWN = 20
"""Of the cases that a text fits, how many are shown."""


@dataclass(frozen=True, kw_only=True)
class Laboratory:
    """Everything that can be run; `mistakes` are those of attacks that can only be broken."""

    root: Path
    attacks: Mapping[str, Attack]
    scenarios: tuple[Scenario, ...]
    backends: tuple[str, ...]
    mistakes: tuple[Problem, ...] = ()

    def scenario(self, name: str) -> Scenario:
        """By id or by file. Raises UserError."""
        wanted = spelled(
            name.removeprefix("scenarios/").removesuffix(".yaml").removesuffix(".scenario")
        )
        for scenario in self.scenarios:
            if scenario.id == wanted:
                return scenario
        mend = suggestion(wanted, [scenario.id for scenario in self.scenarios])
        raise UserError(f"there is no scenario {name!r}; {mend or '`harness list` shows them'}")

    def case(self, wanted: str, among: Sequence[str] = ()) -> Case:
        """The case of this machine with this id, or the only one whose id has that text; of those
        of the matrix that nobody asked for, if any has it. `among`: of these backends only, as
        `run` takes them. Raises UserError.
        """
        default = Selection(ours=our_backends(), kernel=kernel_release())
        whole = replace(default, backends=(ALL, *self.backends))
        named = replace(default, backends=tuple(found_backend(name) for name in among))
        for chosen in (named,) if among else (default, whole):
            cases = {each.id: each for each in expand(self.scenarios, self.attacks, chosen)}
            if any(spelled(wanted) in spelled(name) for name in cases):
                break
        same = [name for name in cases if spelled(name) == spelled(wanted)]
        if same:
            return cases[same[0]]
        fitting = [name for name in cases if spelled(wanted) in spelled(name)]
        if len(fitting) == 1:
            return cases[fitting[0]]
        if fitting:
            shown = "\n  ".join(fitting[:MOST_SHOWN])
            more = len(fitting) - MOST_SHOWN
            rest = f"\n  and {more} more: harness list cases -k {wanted}" if more > 0 else ""
            raise UserError(f"{wanted!r} fits {len(fitting)} cases:\n  {shown}{rest}")
        mend = suggestion(wanted, cases) or "`harness list cases` shows them"
        own = "" if among else " (of a backend of your own: --backend FILE)"
        raise UserError(f"there is no case {wanted!r}{own}; {mend}")


def laboratory(root: Path | None = None, *, lenient: bool = False) -> Laboratory:
    """Load everything, of the tree that one works in or of `root`. Raises UserError with every
    mistake of every file. `lenient`: an attack whose files have mistakes breaks its cases alone.
    """
    root = root or tree.root()
    known_backends = backends.names()
    try:
        attacks, wrong = attacks_of(root)
        if wrong and not lenient:
            raise ManifestError(wrong)
        attacks = {**attacks, **stand_ins(wrong)}
        known = Known(attacks=attacks, backends=known_backends)
        scenarios = scenarios_of(root, known)
    except (CatalogueError, ManifestError, ScenarioError) as error:
        count = len(error.problems)
        raise UserError(f"{count} mistake{'s' * (count > 1)}\n{error}") from None
    return Laboratory(
        root=root,
        attacks=attacks,
        scenarios=scenarios,
        backends=known_backends,
        mistakes=tuple(wrong),
    )


def opened(results: Path) -> Store:
    """The results' file. Raises UserError."""
    try:
        return Store(results)
    except ResultsError as error:
        raise UserError(str(error)) from None


def our_backends() -> tuple[str, ...]:
    """Those that stand in the matrix when nobody names any; their `needs` say so."""
    return tuple(
        name.value for name in MechanismName if backends.backend(name.value).needs.by_default
    )


def chosen_targets(wish: Wish, wanted: Sequence[str] = ()) -> tuple[Target, ...]:
    """The places for a wish, guests with what the backends `wanted` need. Raises UserError.

    What changes a whole machine gets one that is thrown away, whatever this machine could run.
    """
    wish = replace(wish, packages=_packages(wanted))
    whole = [name for name in wanted if backends.needs_machine(name)]
    if whole and wish.driver in (Driver.NONE, Driver.VNG):
        raise UserError(f"{whole[0]} needs a snapshot's copies: leave `--vm {wish.driver}` out")
    own = replace(wish, driver=Driver.SNAPSHOT, arches=wish.arches or (native().name,))
    try:
        found = targets(wish) if len(whole) < len(wanted) or not wanted else ()
        keys = {target.key for target in found}
        further = [target for target in targets(own) if target.key not in keys] if whole else []
    except PlaceError as error:
        raise UserError(str(error)) from None
    every = (*found, *(replace(target, whole=True) for target in further))
    settled = tuple(sorted(set(whole)))
    return tuple(replace(each, settled=settled) if each.arch else each for each in every)


def wanted_in(target: Target, wanted: Sequence[str]) -> tuple[str, ...] | None:
    """Which of the backends that were asked for run in this place; None: there are none."""
    if not wanted:
        return ()
    here = [
        name
        for name in wanted
        if (target.arch is not None if backends.needs_machine(name) else not target.whole)
    ]
    return tuple(here) or None


def supported(wanted: Sequence[str], say: Callable[[str], None]) -> tuple[str, ...]:
    """What of the backends that were asked for can be judged; of the others `say` is told why.

    Raises MachineError where nothing is left.
    """
    reasons = [
        f"{name}: {backends.UNSUPPORTED[name]}" for name in wanted if name in backends.UNSUPPORTED
    ]
    left = tuple(name for name in wanted if name not in backends.UNSUPPORTED)
    if reasons and not left:
        raise MachineError("; ".join(reasons))
    for reason in reasons:
        say(f"not judged: {reason}")
    return left


def _packages(wanted: Sequence[str]) -> tuple[str, ...]:
    """The Debian packages that the backends wanted need in a guest."""
    found = set[str]()
    for each in wanted:
        for name in backends.external_names() if each == EVERY_EXTERNAL else (each,):
            if backends.is_asked_for(name):
                with suppress(backends.BrokenBackend):
                    path = str(Path(name).resolve()) if backends.is_file(name) else name
                    found.add(backends.backend(path).needs.packages.get("debian", ""))
    return tuple(sorted({word for words in found for word in words.split()}))


def _found_in(target: Target, name: str) -> str:
    """As found_backend, of one that runs in this place."""
    if target.driver is Driver.VNG and (name == EVERY_EXTERNAL or backends.is_asked_for(name)):
        raise UserError(f"{name} is judged here or in snapshots: leave `--vm vng` out")
    return found_backend(name)


def found_backend(name: str) -> str:
    """A backend's name, or the whole name of its file. Raises UserError.

    A description that cannot be read is the user's mistake here; a module that cannot be imported
    is an error of its own cases.
    """
    if backends.is_file(name):
        path = Path(name).resolve()
        if not path.is_file():
            raise UserError(f"there is no file {name}: write the description of a sandbox there")
        try:
            backends.backend(str(path))
        except backends.BrokenBackend as error:
            if path.suffix != ".py":
                raise UserError(str(error)) from None
        return str(path)
    known = (*backends.names(), ALL, EVERY_LEAKY, EVERY_EXTERNAL)
    if name not in known:
        mend = suggestion(name, known) or "`harness list backends` shows them"
        raise UserError(f"there is no backend {name!r}; {mend}")
    return name


def unmeasured(lab: Laboratory, wanted: Sequence[str]) -> None:
    """Raises UserError for a leaky backend that no scenario names: nothing would be run."""
    named = {name for scenario in lab.scenarios for name in scenario.leaky}
    for name in wanted:
        if backends.is_leaky(name) and name not in named:
            mend = f"add `leaky: [{name}]` to one whose attack it must lose to"
            raise UserError(f"no scenario names {name} under `leaky`: {mend}")


def selection(
    wanted: Sequence[str], keywords: Sequence[str], target: Target, *, quick: bool = False
) -> Selection:
    """What the options of `run` and `list` select in one place. Raises UserError."""
    return Selection(
        ours=our_backends(),
        backends=tuple(_found_in(target, name) for name in wanted),
        abis=target.abis,
        keywords=tuple(keywords),
        kernel=target.kernel_name,
        quick=quick,
        place=target.name,
        here=target.here,
    )
