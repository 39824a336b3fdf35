"""Defences that nobody offers are refused, whatever the mechanism."""

from __future__ import annotations

import importlib

import pytest

from enforcer.arch import native
from enforcer.call import Action
from enforcer.mechanisms.contract import Defence, Inexpressible, Options
from enforcer.policy.ast import Dialect, Policy

PERMISSIVE = Policy(binary=None, dialect=Dialect.STRICT, rules=(), default=Action.PERMIT)


@pytest.mark.parametrize("name", ["ptrace", "notify"])
def test_freeze_is_refused_and_not_ignored(name: str) -> None:
    """A plan that promises to freeze is never made; without the promise it is."""
    mechanism = importlib.import_module(f"enforcer.mechanisms.{name}").MECHANISM
    abis = native().abis
    with pytest.raises(Inexpressible, match="freezes"):
        mechanism.compile([PERMISSIVE], abis, Options(defences=frozenset({Defence.FREEZE})))
    assert mechanism.compile([PERMISSIVE], abis, Options()).mechanism == name
