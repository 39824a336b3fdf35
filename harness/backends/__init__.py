"""What confines the target in a run, by name or by file: a mechanism of ours, a leaky enforcer, a
sandbox that a YAML file describes, or a module of the user's.

Imported on first use, because a guest has only what its mechanism needs.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import json
import pkgutil
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, get_origin, get_type_hints

from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    LaunchError,
    Mechanism,
    MechanismName,
    Missing,
    Options,
    Plan,
    PreparedName,
    module_of,
)
from enforcer.mechanisms.preparing import Needs
from enforcer.policy.ast import Policy
from enforcer.policy.problem import PolicyError
from harness.backends.life import Backend, InProcess
from harness.model import VerdictKind

LEAKY_PREFIX = "leaky-"
EXTERNAL = Path(__file__).resolve().parent.parent / "external"
"""Where the shipped descriptions of others' sandboxes are."""
SUFFIXES = (".yaml", ".yml", ".py")


UNSUPPORTED = {
    "smack": "no kernel of Debian's is built with Smack (docs/lsm.md has the evidence)",
}
"""What there is no backend for, and why; asked for, it is said."""


class UnknownBackend(Exception):
    """No backend has this name."""


class BrokenBackend(Exception):
    """A backend's own file is at fault; the message begins with its place."""


@dataclass(frozen=True)
class Ours(InProcess):
    """One of our mechanisms, by default with every defence on; or an `enforcer` of the user's that
    is built on one.
    """

    name: str
    options: Options = field(default_factory=Options)
    leaky: bool = False
    weakness: str = ""
    enforcer: Mechanism | None = None

    @property
    def _mechanism(self) -> Mechanism:
        return self.enforcer or mechanism(self.name)

    @property
    def mechanism(self) -> str:
        return self._mechanism.name

    @property
    def needs(self) -> Needs:
        return Needs(by_default=self.name != MechanismName.NONE)

    @property
    def counts(self) -> bool:
        return self._mechanism.supervised

    def probe(self) -> tuple[Missing, ...]:
        return self._mechanism.probe()

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        return self._mechanism.cover(policy, abis)

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi]) -> Plan:
        """Raises Inexpressible for a rule of which nothing is enforced.

        A rule that is enforced in part is run: what the part is worth, the oracle sees.
        """
        try:
            return self._mechanism.compile(policies, abis, self.options)
        except Inexpressible as error:
            if any(cover.extent is Extent.NONE for cover in error.covers):
                raise
            return self._mechanism.compile(policies, abis, replace(self.options, partial=True))

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        self._mechanism.launch(plan, command, log)


def mechanism(name: str) -> Mechanism:
    """The mechanism's instance. Raises UnknownBackend."""
    if name not in list(MechanismName):
        raise UnknownBackend(name)
    found: Mechanism = importlib.import_module(module_of(name)).MECHANISM
    return found


def names() -> tuple[str, ...]:
    """Every backend of the laboratory, ours first."""
    ours = (*(name.value for name in MechanismName), *prepared_names())
    return (*ours, *leaky_names(), *external_names())


def prepared_names() -> tuple[str, ...]:
    """Those of ours that are switched on with privilege, outside of their target."""
    return tuple(name.value for name in PreparedName)


@functools.cache
def leaky_names() -> tuple[str, ...]:
    """The deliberately weak enforcers, one module each."""
    package = importlib.import_module("harness.backends.leaky")
    modules = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    return tuple(LEAKY_PREFIX + module.replace("_", "-") for module in modules)


@functools.cache
def external_names() -> tuple[str, ...]:
    """Others' sandboxes that are described here, one file each."""
    return tuple(sorted(path.stem for path in EXTERNAL.glob("*.yaml")))


def is_file(name: str) -> bool:
    """Whether a backend's name is the file that describes it."""
    return name.endswith(SUFFIXES)


def is_external(name: str) -> bool:
    """Whether it is somebody else's: a shipped description, or a file of the user's."""
    return is_file(name) or name in external_names()


def is_asked_for(name: str) -> bool:
    """Whether it stands in no matrix that nobody asked for it in, and keeps what policies it can:
    others' sandboxes, and what is switched on outside of the target.
    """
    return is_external(name) or name in prepared_names()


def needs_machine(name: str) -> bool:
    """Whether a backend changes what holds for the whole machine."""
    return name in prepared_names() and backend(name).needs.machine


def boot_of(name: str) -> tuple[str, ...]:
    """The security modules that the kernel is booted with for a backend; empty: its own list."""
    return backend(name).needs.boot if name in prepared_names() else ()


def is_leaky(name: str) -> bool:
    """Whether it is one of the deliberately weak; nothing of it is imported."""
    return name in leaky_names()


def usual_of(name: str) -> VerdictKind:
    """The verdict on attacks that a description of somebody else's expects where scenarios say
    nothing; of one that cannot be read its own cases speak.
    """
    if is_external(name):
        with contextlib.suppress(BrokenBackend):
            return backend(name).usual
    return VerdictKind.HELD


def mechanism_of(name: str) -> str:
    """The mechanism of a backend, empty for one that cannot be asked: that its own case says."""
    try:
        return backend(name).mechanism
    except BrokenBackend:
        return ""


@functools.cache
def backend(name: str) -> Backend:
    """The backend of this name, or in this file. Raises UnknownBackend, BrokenBackend."""
    if name in list(MechanismName):
        return Ours(name)
    if name in prepared_names():
        prepared = importlib.import_module("harness.backends.prepared")
        enforcer = importlib.import_module(module_of(name)).MECHANISM
        made: Backend = prepared.Prepared(enforcer)
        return made
    if name in leaky_names():
        module = name.removeprefix(LEAKY_PREFIX).replace("-", "_")
        with blamed(name):
            found: Backend = importlib.import_module(f"harness.backends.leaky.{module}").BACKEND
            return found
    if name in external_names():
        return _described(EXTERNAL / f"{name}.yaml")
    if is_file(name):
        return _own(Path(name)) if name.endswith(".py") else _described(Path(name))
    raise UnknownBackend(name)


def _described(path: Path) -> Backend:
    definition = importlib.import_module("harness.backends.definition")
    external = importlib.import_module("harness.backends.external")
    try:
        found: Backend = external.External(definition.load(path))
        return found
    except (definition.DefinitionError, OSError) as error:
        raise BrokenBackend(str(error)) from None


def _own(path: Path) -> Backend:
    """A module of the user's; it says BACKEND, as those of `leaky` do."""
    with blamed(str(path)):
        spec = importlib.util.spec_from_file_location(f"own_backend_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        said: Any = getattr(module, "BACKEND", None)
        if wrong := not_of_a_backend(said):
            raise BrokenBackend(f"{path}: {wrong}: write e.g. BACKEND = Ours(NAME, enforcer=...)")
        found: Backend = said
        if unasked := _never_asked(found):
            raise BrokenBackend(
                f"{path}: `{unasked}` of its BACKEND is asked only where the target waits at a "
                "gate: say `held = True` beside it"
            )
        return found


def _never_asked(found: Backend) -> str:
    """What an author wrote to judge the target by, and nobody would call; empty: nothing."""
    if found.held or not isinstance(found, InProcess):
        return ""
    made = ("witness", "probes")
    return next(
        (each for each in made if vars(InProcess)[each] is not getattr(type(found), each)), ""
    )


def not_of_a_backend(found: object) -> str:
    """What a module's BACKEND lacks, or has of another type; empty: it is a Backend."""
    if found is None:
        return "it says no BACKEND"
    for name, member in vars(Backend).items():
        if name.startswith("_"):
            continue
        if not hasattr(found, name):
            return f"its BACKEND, of {type(found).__name__}, has no `{name}`"
        if isinstance(member, property):
            wanted = get_type_hints(member.fget)["return"]
            if not isinstance(getattr(found, name), get_origin(wanted) or wanted):
                return f"`{name}` of its BACKEND is not of {wanted.__name__}"
        elif not callable(getattr(found, name)):
            return f"`{name}` of its BACKEND cannot be called"
    return ""


NO_BLAME = (BrokenBackend, Inexpressible, LaunchError, PolicyError)


@contextlib.contextmanager
def blamed(name: str) -> Iterator[None]:
    """Whatever a backend raises that no backend may raise becomes an error with the line of its
    own file: it is the author's, not a failure of the laboratory. Raises BrokenBackend.
    """
    try:
        yield
    except NO_BLAME:
        raise
    except (Exception, SystemExit) as error:
        raise BrokenBackend(f"{place_of(error, name)}: {type(error).__name__}: {error}") from error


def compiled(name: str, policies: Sequence[Policy], abis: Sequence[Abi]) -> Plan:
    """A backend's plan, which can be sent to where it is launched. Raises Inexpressible,
    BrokenBackend.
    """
    with blamed(name):
        plan: object = backend(name).compile(policies, abis)
        if not isinstance(plan, Plan):
            raise BrokenBackend(f"{name}: `compile` of its BACKEND gave no Plan: {plan!r:.80}")
        json.dumps(plan.to_json())
        return plan


def place_of(error: BaseException, name: str) -> str:
    """The last line of a backend's own file on the way to an error, as file:line, or that file."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    module = name.removeprefix(LEAKY_PREFIX).replace("-", "_") + ".py"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if name in frame.filename or frame.filename.endswith(module)]
    if not own and is_file(name):
        return name
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"
