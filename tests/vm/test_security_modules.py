"""The kernel's security modules in machines of their own: held, bypassed as published, and neither
where nothing is enforced.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pytest

from enforcer.arch.record import Abi
from enforcer.mechanisms.contract import Options, Plan, PreparedName
from enforcer.mechanisms.security_module import SecurityModule
from enforcer.policy.ast import Policy
from harness.backends import backend, boot_of
from harness.backends.prepared import Prepared
from harness.cli.load import chosen_targets
from harness.model import Result, VerdictKind
from harness.places.choice import Target, Wish, boot_options, ready
from harness.places.local import Place
from harness.runner import _PERMISSIVE
from tests.vm.verdicts import verdict_of

pytestmark = pytest.mark.vm

LEAKY = "leaky-notify-open-only"
"""Refuses open and knows no links."""

LEAKY_OF_LINKS = "leaky-notify-names-only"


def _module(name: str) -> SecurityModule | None:
    found = backend(name)
    assert isinstance(found, Prepared)
    return found.enforcer if isinstance(found.enforcer, SecurityModule) else None


MODULES = [name.value for name in PreparedName if _module(name.value)]


@functools.cache
def _place(name: str) -> tuple[Target, Place]:
    """The machine that one of them needs; those that can have the same one share it."""
    (target,) = chosen_targets(Wish(), MODULES)
    place = ready(target, boot_options({}, boot_of(name)), print)
    assert place is not None
    return target, place


def _verdict(name: str, keyword: str, beside: str | None = None) -> Result:
    target, place = _place(name)
    return verdict_of(place, target, name, keyword, beside=beside)


@pytest.mark.parametrize("name", MODULES)
def test_a_link_to_what_is_denied_is_refused(name: str) -> None:
    """And the refusals are in the kernel's log, without which the case would be unlogged."""
    result = _verdict(name, "hardlink_alias[default-", LEAKY)
    assert result.verdict.kind is VerdictKind.HELD, result.verdict.reason


@pytest.mark.parametrize("name", MODULES)
def test_what_is_not_enforced_is_not_held(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same case without the policy that it loads."""
    module = _module(name)
    assert module is not None
    compiled = module.compile

    def nothing(policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        return compiled([_PERMISSIVE], abis, options)

    monkeypatch.setattr(module, "compile", nothing)
    result = _verdict(name, "hardlink_alias[default-")
    assert result.verdict.kind is VerdictKind.NOT_ENFORCING, result.verdict.reason


BY_NAME = {PreparedName.APPARMOR.value, PreparedName.TOMOYO.value}
"""They judge names; the others know the object."""


@pytest.mark.parametrize("name", MODULES)
def test_a_link_from_before_is_as_published(name: str) -> None:
    """Modules that judge names fall to it, and no case says that they held; to those that know
    objects another name is no other object.
    """
    result = _verdict(name, "earlier_link[default-", LEAKY_OF_LINKS)
    assert result.case.weakness == ("B8" if name in BY_NAME else None)
    wanted = VerdictKind.BYPASSED if name in BY_NAME else VerdictKind.HELD
    assert result.verdict.kind is wanted, result.verdict.reason
