"""Cases of one scenario, carried out together: who differs in the backend only shares bare runs.

    control, direct control | benign, direct, attack under A | the same under B | control again

In a guest, variants come one after the other in the same copy, each with all of that. Every case
has its controls before it and behind it, as it has alone. Nothing of them depends on a backend. In
an emulated machine they are half of the work, beside the copy itself, whose code QEMU translates
anew; here they are four of the seven runs of a case that is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from enforcer.arch.record import Abi
from harness.model import Observation, RunKind
from harness.places.controls import CONTROLS, asks_for_another_control, cases
from harness.places.layout import Layout
from harness.places.local import Answer, Place

Request = Mapping[str, object]
_OWN = frozenset({"runs", "gate"})
"""What requests that are carried out together may differ in."""


def merged(requests: Mapping[int, Request]) -> tuple[Request, list[int]]:
    """One request with the runs of all those that the first one's bare runs will do for, and whose
    they are, in their order.
    """
    first, *_ = requests.values()
    like = [
        number
        for number, each in requests.items()
        if _bare(each) == _bare(first) and _common(each) == _common(first)
    ]
    gates = (requests[number]["gate"] for number in like)
    runs = [run for number in like for run in _runs(requests[number]) if not _is_bare(run)]
    request = {**first, "gate": next(filter(None, gates), None), "runs": [*_bare(first), *runs]}
    return request, like


def parted(answer: Answer, count: int, *, command: bool, race: bool) -> list[Answer]:
    """The answer to each of `count` merged requests. One in which a control showed
    nothing is all of them.
    """
    every = cases(answer.observations)
    again = [each for each in answer.observations if each.kind is RunKind.CONTROL_AGAIN]
    every += [every[0]] * (count - len(every))
    found = []
    for seen in every:
        asks = asks_for_another_control(seen, command=command, race=race)
        observations: tuple[Observation, ...] = (*seen.values(), *(again if asks else ()))
        found.append(Answer(observations=observations, isolation=answer.isolation))
    return found


def _runs(request: Request) -> Sequence[Mapping[str, object]]:
    return cast("Sequence[Mapping[str, object]]", request["runs"])


def _is_bare(run: Mapping[str, object]) -> bool:
    return run["kind"] in CONTROLS


def _bare(request: Request) -> list[Mapping[str, object]]:
    return [run for run in _runs(request) if _is_bare(run)]


def _common(request: Request) -> Request:
    return {key: value for key, value in request.items() if key not in _OWN}


@dataclass(frozen=True)
class Answered:
    """A place whose answer is there already."""

    place: Place
    answer: Answer

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def kernel(self) -> str:
        return self.place.kernel

    @property
    def abis(self) -> tuple[Abi, ...]:
        return self.place.abis

    @property
    def machine(self) -> str:
        return self.place.machine

    @property
    def patience(self) -> float:
        return self.place.patience

    def layout(self) -> Layout:
        return self.place.layout()

    def run(self, request: Mapping[str, object], timeout_s: float) -> Answer:
        return self.answer

    def close(self) -> None:
        """It is others'."""
