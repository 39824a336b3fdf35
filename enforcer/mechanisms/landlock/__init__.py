"""Landlock: what a policy says of hierarchies and TCP ports, enforced by the kernel on objects.

No argument can be raced, because nothing is judged before the kernel acts; but most calls have no
right, so that almost every policy is enforced in part only, and `cover` says which part.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import NoReturn

from enforcer.access.notes import TOO_MUCH_DENIED
from enforcer.access.places import Region
from enforcer.arch.record import Abi
from enforcer.events import EventLog
from enforcer.kernel.landlock import FileRight, abi_of, version
from enforcer.mechanisms.contract import (
    Cover,
    Extent,
    Inexpressible,
    MechanismName,
    Missing,
    Options,
    Plan,
)
from enforcer.mechanisms.landlock.judgement import Judgement, judge
from enforcer.mechanisms.landlock.launch import launch_restricted
from enforcer.mechanisms.landlock.layer import Layer, layer_from_json, layer_to_json
from enforcer.policy.ast import Policy


class Landlock:
    """The mechanism.

    A plan uses the rights that the policy needs and says from which version of Landlock's ABI on
    they exist; it is never launched on a kernel that lacks one of them.
    """

    name: str = MechanismName.LANDLOCK
    supervised = False

    def probe(self) -> tuple[Missing, ...]:
        """Landlock itself, asked from the kernel; which ABI a policy needs, its plan says."""
        try:
            version()
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                return (Missing(feature="Landlock", mend="boot with landlock in lsm="),)
            return (Missing(feature="Landlock", mend="Linux 5.13 with CONFIG_SECURITY_LANDLOCK"),)
        return ()

    def cover(self, policy: Policy, abis: Sequence[Abi]) -> tuple[Cover, ...]:
        """Allow-lists of hierarchies in part, deny-lists and rules on registers not at all."""
        return judge(policy, abis).covers

    def compile(self, policies: Sequence[Policy], abis: Sequence[Abi], options: Options) -> Plan:
        """One domain a policy, all of them stacked. Raises Inexpressible, ValueError."""
        if not policies:
            raise ValueError("no policy")
        judgements = [judge(policy, abis) for policy in policies]
        covers = [cover for judgement in judgements for cover in judgement.covers]
        if any(policy != policies[0] for policy in policies):
            covers.append(_SWITCHING)
        lacking = [cover for cover in covers if cover.extent is not Extent.FULL]
        if lacking and not options.partial:
            raise Inexpressible(lacking)
        layers = [_layer(judgement) for judgement in judgements]
        return Plan(
            mechanism=self.name,
            machine=abis[0].name,
            data={
                "abi": max(abi_of(layer.files, layer.net, layer.scope) for layer in layers),
                "layers": [layer_to_json(layer) for layer in layers if not layer.is_empty],
                "inexpressible": [
                    {"rule": c.rule, "extent": c.extent, "reason": c.reason, "errs": c.errs}
                    for c in lacking
                ],
            },
        )

    def describe(self, plan: Plan) -> str:
        """What every layer denies, and where it permits."""
        lines = [f"needs Landlock ABI {plan.data['abi']}"]
        layers = plan.data["layers"]
        assert isinstance(layers, Sequence)
        for number, data in enumerate(layers, 1):
            lines += [f"layer {number}:", *layer_from_json(data).describe()]
        return "\n".join(lines) + "\n"

    def launch(self, plan: Plan, command: Sequence[str], log: EventLog) -> NoReturn:
        """Restrict the calling process and execute."""
        data: Mapping[str, object] = plan.data
        layers, needed = data["layers"], data["abi"]
        assert isinstance(layers, Sequence)
        assert isinstance(needed, int)
        launch_restricted(
            [layer_from_json(layer) for layer in layers],
            needed=needed,
            inexpressible=data["inexpressible"],
            command=command,
            log=log,
        )


MECHANISM = Landlock()

_SWITCHING = Cover(
    rule=None,
    extent=Extent.PARTIAL,
    reason="a domain cannot switch policies with the binary: all of them hold at once",
    errs=TOO_MUCH_DENIED,
)


def layer_of(policy: Policy, abis: Sequence[Abi]) -> Layer:
    """The domain of one policy, as far as Landlock can keep it. Pure."""
    return _layer(judge(policy, abis))


def _layer(judgement: Judgement) -> Layer:
    return Layer(
        files=judgement.files,
        net=judgement.net,
        scope=judgement.scope,
        places=tuple(_places(judgement.rights, judgement.files)),
        ports=tuple(
            (port, right)
            for right, ports in judgement.ports.items()
            for port in sorted(ports or ())
        ),
    )


def _places(
    rights: Mapping[FileRight, Region], handled: FileRight
) -> list[tuple[str, str, FileRight]]:
    """(path, shape, rights) for every place of some handled right, sorted by path."""
    found: dict[tuple[str, str], FileRight] = {}
    for right, region in rights.items():
        if not right & handled:
            continue
        places = (
            [("/", "tree")]
            if region.places is None
            else [(place.path, place.shape.value) for place in region.places]
        )
        for key in places:
            found[key] = found.get(key, FileRight(0)) | right
    return [(path, shape, granted) for (path, shape), granted in sorted(found.items())]
