"""Policies: their language, their meaning, and what is made of them.

The functions that read texts are loaded when first used, because they need PyYAML, which the
guests where a plan is launched do not have.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enforcer.policy.check import check_policy
    from enforcer.policy.convert import convert
    from enforcer.policy.format import format_systrace, format_yaml
    from enforcer.policy.load import load_policies, prepared
    from enforcer.policy.parser import parse_systrace, parse_yaml

__all__ = [
    "check_policy",
    "convert",
    "format_systrace",
    "format_yaml",
    "load_policies",
    "parse_systrace",
    "parse_yaml",
    "prepared",
]

_MODULES = {
    "check_policy": "check",
    "convert": "convert",
    "format_systrace": "format",
    "format_yaml": "format",
    "load_policies": "load",
    "parse_systrace": "parser",
    "parse_yaml": "parser",
    "prepared": "load",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found
