"""Every property by name."""

from __future__ import annotations

from typing import Any

from harness.fuzz.properties import (
    compilers,
    importers,
    input,
    kernel,
    language,
    live,
    metamorphic,
    others,
    stateful,
    wires,
)
from harness.fuzz.property import Property

PROPERTIES: dict[str, Property[Any]] = {
    each.name: each
    for each in (
        language.ROUND_TRIP,
        language.CONVERSION,
        language.CHECKER,
        input.NEAR_VALID,
        compilers.COMPILER,
        compilers.FILTERS,
        compilers.SIMULATORS,
        compilers.DECIDER,
        compilers.LIBSECCOMP,
        kernel.KERNEL,
        metamorphic.PERMIT,
        metamorphic.DISJOINT,
        live.LIVE,
        stateful.STATEFUL,
        input.LOADERS,
        importers.IMPORTERS,
        input.MEMORY,
        wires.WIRES,
        others.KAFEL_COMPILER,
        others.MINIJAIL_COMPILER,
        others.MINIJAIL0,
        others.CRUN,
        others.SYSTEMD,
        others.BWRAP,
    )
}

GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(name for name, each in PROPERTIES.items() if each.group == group)
    for group in dict.fromkeys(each.group for each in PROPERTIES.values())
}
