"""A best-effort user of Landlock: what the oldest ABI lacks is left out, and nobody is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enforcer.arch.record import Abi
from enforcer.kernel.landlock import FileRight, NetRight, Scope
from enforcer.mechanisms.contract import Options, Plan
from enforcer.mechanisms.landlock import MECHANISM, Landlock
from enforcer.mechanisms.landlock.layer import layer_from_json, layer_to_json
from enforcer.policy.ast import Policy
from harness.backends.weak import Leaky

FIRST_ABI = FileRight.REFER - 1
"""LANDLOCK_ACCESS_FS_EXECUTE to _MAKE_SYM (linux/landlock.h); ABI 2 and later brought the rest."""


class _BestEffort(Landlock):
    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """The same layers, as much of them as the first ABI knows."""
        sound = super().compile(policies, abis, options)
        layers = sound.data["layers"]
        assert isinstance(layers, Sequence)
        known = [
            replace(
                layer,
                files=layer.files & FIRST_ABI,
                net=NetRight(0),
                scope=Scope(0),
                places=tuple(
                    (path, shape, right & FIRST_ABI) for path, shape, right in layer.places
                ),
                ports=(),
            )
            for layer in map(layer_from_json, layers)
        ]
        data = {**sound.data, "abi": 1, "layers": [layer_to_json(layer) for layer in known]}
        return replace(sound, data=data)


BACKEND = Leaky(
    name="leaky-landlock-best-effort",
    weakness="leaves out the rights that Landlock's first ABI lacks, truncation among them",
    enforcer=_BestEffort(),
    repaired=MECHANISM,
    options=Options(partial=True),
)
