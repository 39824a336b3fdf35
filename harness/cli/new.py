"""`harness new`: the files to start from; they build and run as they are."""

from __future__ import annotations

import re
from pathlib import Path

import click

from harness import tree
from harness.attack import AttackClass, AttackKind
from harness.backends import LEAKY_PREFIX
from harness.cli import UserError
from harness.cli.load import laboratory
from harness.cli.names import complete_attacks

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
MECHANISMS = ("ptrace", "notify", "seccomp")
LEAKY = {
    AttackKind.DETERMINISTIC: "leaky-notify-textual",
    AttackKind.RACE: "leaky-notify-bare, leaky-ptrace-bare",
}
"""Whom the attacks that are written here defeat."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@click.group("new")
def command() -> None:
    """Write the files of a new attack, scenario or backend."""


@command.command("attack")
@click.argument("name")
@click.option(
    "--class",
    "directory",
    type=click.Choice([each.value for each in AttackClass]),
    default=AttackClass.RACE.value,
    show_default=True,
)
@click.option(
    "--race/--deterministic", default=None, help="Many tries, or one; default: as the class says."
)
def attack(name: str, directory: str, race: bool | None) -> None:
    """An attack program and its manifest."""
    _check_name(name)
    where = _here() / "attacks" / directory
    is_race = directory == AttackClass.RACE if race is None else race
    kind = AttackKind.RACE if is_race else AttackKind.DETERMINISTIC
    program, manifest = where / f"{name}.c", where / f"{name}.yaml"
    _write(program, f"{kind}.c", {})
    _write(manifest, "attack.yaml", {"NAME": name, "KIND": kind.value})
    click.echo(f"Now edit both, then: harness new scenario {name}")


@command.command("scenario")
@click.argument("name")
@click.option(
    "--attack",
    "attack_id",
    metavar="CLASS/NAME",
    help="Default: the attack of the same name.",
    shell_complete=complete_attacks,
)
def scenario(name: str, attack_id: str | None) -> None:
    """A scenario that runs an attack under every backend."""
    _check_name(name)
    attacks = laboratory().attacks
    if attack_id is None:
        same = [known for known in attacks if known.split("/")[1] == name]
        attack_id = same[0] if len(same) == 1 else name
    if attack_id not in attacks:
        raise UserError(
            f"there is no attack {attack_id!r}; name one of `harness list attacks` by --attack"
        )
    found = attacks[attack_id]
    path = _here() / "scenarios" / found.attack_class / f"{name}.yaml"
    values = {"TITLE": found.title, "ATTACK": attack_id, "LEAKY": LEAKY[found.kind]}
    _write(path, "scenario.yaml", values)
    click.echo(f"Now: harness run -k {name}, or: pytest scenarios/ -k {name}")


@command.command("backend")
@click.argument("name")
@click.option("--external", is_flag=True, help="NAME.yaml here: somebody else's sandbox.")
@click.option(
    "--mechanism",
    type=click.Choice(MECHANISMS),
    help="NAME.py here: an enforcer of your own on one of our mechanisms.",
)
def new_backend(name: str, external: bool, mechanism: str | None) -> None:
    """A backend to start from: an enforcer or sandbox of your own or of somebody else's.

    With neither option it is a leaky enforcer of the project: one of ours with one weakness
    planted in it; `leaky-` goes before NAME.
    """
    if external and mechanism:
        raise UserError("--external describes a sandbox, --mechanism is an enforcer: take one")
    if external or mechanism:
        _check_name(name)
        path = Path.cwd() / (f"{name}.py" if mechanism else f"{name}.yaml")
        _write(path, f"{mechanism or 'external'}.txt", {"NAME": name})
        click.echo(f"Now edit it (docs/external.md), then: harness run --backend ./{path.name}")
        return
    name = name.removeprefix(LEAKY_PREFIX)
    _check_name(name)
    if tree.OWN == tree.SHIPPED:
        raise UserError("a leaky backend is a module of the project: go to a clone of it")
    path = tree.OWN / "harness" / "backends" / "leaky" / f"{name.replace('-', '_')}.py"
    _write(path, "leaky.txt", {"NAME": name})
    click.echo(f"Now name it in the scenarios that must defeat it: leaky: [leaky-{name}]")


def _here() -> Path:
    """The tree that one stands in, else where one stands: another's, installed from a clone or
    not, is not written to.
    """
    here, root = Path.cwd(), tree.root()
    return root if here.is_relative_to(root) else here


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is not a name: write lower case words joined by '-'")


def _write(path: Path, template: str, values: dict[str, str]) -> None:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise UserError(f"{path} exists already; take another name") from None
    click.echo(f"wrote {path}")
