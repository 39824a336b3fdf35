"""Every spelling of an address that the kernel accepts is judged as what it means."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import process
from tests.mechanisms.sandbox import run

SPELLINGS = Path(__file__).with_name("spellings.py")

DENIED = {
    "reach": ("inet-[127.0.0.1]:{port}", "inet6-[::1]:{port}"),
    "bind": ("inet-[127.0.0.1]:{port}", "inet-[0.0.0.0]:{port}", "inet6-[::1]:{port}"),
}
OUTCOMES = {
    "reach": ("127.0.0.1 {port}", "::1 {port}"),
    "bind": ("127.0.0.1 {port}", "0.0.0.0 {port}", "::1 {port}"),
}
CALLS = {"reach": "[connect, sendto, sendmsg]", "bind": "[bind]"}
FEWEST = {"reach": 500, "bind": 300}
"""So many spellings of the denied addresses the kernel accepts at least."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[int, Mapping[str, str]]]:
    """What the kernel makes of every spelling when nobody is asked, and the port tried."""
    found: dict[str, tuple[int, Mapping[str, str]]] = {}
    for what in DENIED:
        port = _free_port()
        command = [sys.executable, str(SPELLINGS), what, str(port)]
        ran = process.run(command, timeout_s=60.0, cwd=tmp_path_factory.mktemp(what))
        assert (ran.status, ran.stderr) == (0, "")
        found[what] = port, _outcomes(ran.stdout, port)
    return found


@pytest.mark.parametrize("what", DENIED)
@pytest.mark.parametrize("is_deny_list", [True, False], ids=["deny-list", "allow-list"])
@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_one_object_gets_one_decision(
    backend: str,
    is_deny_list: bool,
    what: str,
    bare: Mapping[str, tuple[int, Mapping[str, str]]],
    tmp_path: Path,
) -> None:
    """A spelling that leads to a denied address is refused, and one to a permitted address is not.

    What the kernel itself refuses is refused: with its errno, or by a rule on what was written.
    """
    _, expected = bare[what]
    port = _free_port()
    texts = [text.format(port=port) for text in DENIED[what]]
    either = " or ".join(f'sockaddr eq "{text}"' for text in texts)
    answers = ("deny[exdev]", "permit") if is_deny_list else ("permit", "deny[exdev]")
    policy = f"""\
default: permit
rules:
  - {answers[0]}: {CALLS[what]}
    when: {either}
  - {answers[1]}: {CALLS[what]}
"""
    ran = run(
        backend, policy, [sys.executable, SPELLINGS, what, str(port)], tmp_path, timeout_s=120.0
    )
    assert (ran.status, ran.stderr) == (0, "")
    found = _outcomes(ran.stdout, port)
    assert found.keys() == expected.keys()
    objects = {outcome.format(port="PORT") for outcome in OUTCOMES[what]}
    leads = {spelling for spelling, outcome in expected.items() if outcome in objects}
    assert len(leads) > FEWEST[what]
    for spelling, outcome in expected.items():
        is_permitted = (spelling in leads) != is_deny_list
        if outcome.startswith("E") or (outcome == "nothing" and not is_deny_list):
            wanted = {outcome, "EXDEV"}
        else:
            wanted = {outcome if is_permitted else "EXDEV"}
        assert found[spelling] in wanted, f"{spelling}: {outcome} bare"


_ANY_TWICE = """\
import socket

for source in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((source, 0))
        try:
            bound.connect(("0.0.0.0", 9))
            print(bound.getpeername()[0])
        except OSError as error:
            print(error.errno)
"""


@pytest.mark.parametrize("backend", ["ptrace", "notify"])
def test_what_an_any_address_was_permitted_as_is_not_what_it_always_means(
    backend: str, tmp_path: Path
) -> None:
    """Bytes that a permitted destination was written in lead a socket with another source on."""
    policy = """\
default: permit
rules:
  - deny[exdev]: connect
    when: sockaddr eq "inet-[127.0.0.2]:9"
  - permit: connect
    when: sockaddr eq "inet-[127.0.0.1]:9"
"""
    ran = run(backend, policy, [sys.executable, "-c", _ANY_TWICE], tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    assert ran.stdout.split() == ["127.0.0.1", "127.0.0.1", str(errno.EXDEV)]


def _outcomes(text: str, port: int) -> Mapping[str, str]:
    pairs = (line.split("\t") for line in text.splitlines())
    return {spelling: outcome.replace(f" {port}", " PORT") for spelling, outcome in pairs}


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port
