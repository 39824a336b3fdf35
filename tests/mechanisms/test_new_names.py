"""An object is judged, not a spelling: whatever gives it another name frees it from no rule."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.mechanisms.acting import bare_acts, run_acts

BOTH = ("ptrace", "notify")
SECRET = "SECRET"

_NAMES = """
AT = 0x1000

def look(name):
    with open(name) as file:
        return file.read()

def look_after(result, name):
    return result if result < 0 else look(name)
"""

RENAMES: Mapping[str, str] = {
    "rename of the directory": "look_after(call('rename', 'priv', 'moved'), 'moved/secret')",
    "renameat of the directory": (
        "look_after(call('renameat', HERE, 'priv', HERE, 'moved'), 'moved/secret')"
    ),
    "renameat2 of the directory": (
        "look_after(call('renameat2', HERE, 'priv', HERE, 'moved', 1), 'moved/secret')"
    ),
    "rename into another": "look_after(call('rename', 'priv', 'pub/priv2'), 'pub/priv2/secret')",
    "rename of an ancestor": "look_after(call('rename', HOME, HOME + '2'), HOME + '2/priv/secret')",
    "exchange": "look_after(call('renameat2', HERE, 'priv', HERE, 'pub', 2), 'pub/secret')",
    "exchange the other way": (
        "look_after(call('renameat2', HERE, 'pub', HERE, 'priv', 2), 'pub/secret')"
    ),
    "exchange of the file": (
        "look_after(call('renameat2', HERE, 'pub/a', HERE, 'priv/secret', 2), 'pub/a')"
    ),
    "rename of the file": "look_after(call('rename', 'priv/secret', 'pub/s'), 'pub/s')",
    "link": "look_after(call('link', 'priv/secret', 'pub/s'), 'pub/s')",
    "linkat": "look_after(call('linkat', HERE, 'priv/secret', HERE, 'pub/s', 0), 'pub/s')",
    "linkat over a link": (
        "os.symlink('../priv/secret', 'pub/way') or "
        "look_after(call('linkat', HERE, 'pub/way', HERE, 'pub/s', 0x400), 'pub/s')"
    ),
    "linkat from a directory's descriptor": (
        "look_after(call('linkat', os.open('priv', 0x200000), 'secret', HERE, 'pub/s', 0), 'pub/s')"
    ),
}
"""Titles to acts in a directory with `priv/secret` and `pub/a`: each reads by another name."""

RULES: Mapping[str, str] = {
    "match": 'filename match "{home}/priv/*"',
    "match with more stars": 'filename match "{above}/*/priv/*"',
    "eq": 'filename eq "{home}/priv/secret"',
    "sub": 'filename sub "/{name}/priv/"',
    "re": 'filename re "/{name}/priv/[a-z]+$"',
    "inpath": 'filename inpath "{home}/priv/secret" and not filename inpath "{home}/priv"',
}


def policy(conditions: list[str], is_list: str) -> str:
    """Reading what the conditions say is denied; all else is permitted, or (permit-list) named."""
    condition = " or ".join(f"({each})" for each in conditions)
    if is_list == "deny-list":
        rule = f"  - deny: fsread\n    when: {condition}\n"
    else:
        rule = f"  - permit: fsread\n    when: not ({condition})\n  - deny: fsread\n"
    return f"default: permit\nrules:\n{rule}"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a short name that others can walk to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def homes(place: Path, acts: Mapping[str, str]) -> dict[str, Path]:
    """A directory for each act, with its secret."""
    found = {}
    for number, title in enumerate(acts):
        home = found[title] = place / f"home{number}"
        for directory, file, text in (("priv", "secret", SECRET), ("pub", "a", "permitted")):
            (home / directory).mkdir(parents=True)
            (home / directory / file).write_text(text)
    return found


def at_home(acts: Mapping[str, str], found: Mapping[str, Path]) -> dict[str, str]:
    """The acts, each in its own directory."""
    return {
        title: f"os.chdir({str(found[title])!r})\nHOME = os.getcwd()\nglobals()['HOME'] = HOME\n"
        f"return {text}"
        for title, text in acts.items()
    }


def test_the_acts_read_by_another_name(place: Path) -> None:
    """Without an enforcer each act brings the secret."""
    outcomes = bare_acts(at_home(RENAMES, homes(place, RENAMES)), place, prelude=_NAMES)
    assert {title: text for title, text in outcomes.items() if SECRET not in text} == {}


@pytest.mark.parametrize("is_list", ["deny-list", "permit-list"])
@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("backend", BOTH)
def test_no_other_name_frees_an_object(backend: str, kind: str, is_list: str, place: Path) -> None:
    """No act reads what a rule on reading denies, and each refusal is in the log with its reason.

    The rule says nothing of the calls that rename.
    """
    found = homes(place, RENAMES)
    conditions = [
        RULES[kind].format(home=home, above=place, name=home.name) for home in found.values()
    ]
    if kind == "match with more stars":
        conditions = conditions[:1]
    ran, outcomes = run_acts(
        backend, policy(conditions, is_list), at_home(RENAMES, found), place, prelude=_NAMES
    )
    assert [title for title, text in outcomes.items() if SECRET in text] == []
    refused = {title for title, text in outcomes.items() if text == "-18"}
    named = [e for e in ran.events if "would not be refused by" in str(e.get("reason"))]
    assert len(named) == len(refused)
    assert {"rename of the file", "link", "exchange of the file"} <= refused
