"""Answers from virtual machines: believed with the number of their question, as all others."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.places import vm, vng
from harness.places.local import Answer, Place, PlaceError
from harness.places.vm import VmPlace
from harness.places.vng import VngPlace
from harness.process import Completed
from tests.harness.test_wire import RAW

REQUEST = {"program": None, "runs": [{"kind": "control", "backend": "none"}]}
Reply = Callable[[str], str]


def right(question: str) -> str:
    number = json.loads(question)["number"]
    return json.dumps({"number": number, "isolation": "namespaces", "observations": [RAW]})


WRONG: dict[str, Reply] = {
    "another number": lambda question: right(json.dumps({"number": "0" * 32})),
    "an answer to the request as it was": lambda question: right(json.dumps({"number": None})),
    "garbage": lambda question: "{garbage",
    "half a line": lambda question: right(question)[:-4],
    "a list": lambda question: '{"number": []}',
}


def from_a_copy(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place whose restored machines answer so."""

    class Guest:
        def adopt(self, number: int) -> int:
            return number

        def input(self, running: int, data: bytes) -> None:
            self.asked = data.decode()

        def read_line(self, running: int, timeout_s: float) -> bytes:
            return reply(self.asked).encode()

    @contextlib.contextmanager
    def restored(*_: object) -> Iterator[Guest]:
        yield Guest()

    monkeypatch.setattr(vm, "restored", restored)
    monkeypatch.setattr(vm, "is_saved", lambda base: True)
    anything: Any = None
    return VmPlace(base=anything, kernel="6.1", snapshot=anything, agent=2)


def from_a_boot(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place whose booted machines answer so."""

    def execute(_: object, words: object, *, stdin: str, **__: object) -> Completed:
        said = f"booting\n{reply(stdin)}\n"
        return Completed(command=("vng",), status=0, stdout=said, stderr="")

    monkeypatch.setattr(vng.VngPlace, "execute", execute)
    return VngPlace(arch="x86_64", kernel="6.1", options=(), foreign=False, built_ns=0)


@pytest.mark.parametrize("made", [from_a_copy, from_a_boot])
def test_an_answer(
    made: Callable[[Reply, pytest.MonkeyPatch], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its question's number."""
    answer: Answer = made(right, monkeypatch).run(REQUEST, 1)
    assert answer.observations[0].outcome.value == RAW["outcome"]


@pytest.mark.parametrize("made", [from_a_copy, from_a_boot])
@pytest.mark.parametrize("name", WRONG)
def test_no_answer(
    name: str,
    made: Callable[[Reply, pytest.MonkeyPatch], Place],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The place has failed, and nothing but PlaceError comes of it."""
    with pytest.raises(PlaceError, match="not believed"):
        made(WRONG[name], monkeypatch).run(REQUEST, 1)


def test_what_an_agent_asks_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its answer comes, and by who has the machine."""
    asked: list[object] = []

    class Outside:
        def __init__(self, *_: object) -> None:
            pass

        def carry_out(self, question: object) -> dict[str, object]:
            asked.append(question)
            return {"number": json.loads(numbers[0])["number"]}

    numbers: list[str] = []

    def reply(question: str) -> str:
        numbers.append(question)
        if asked:
            return right(question)
        return json.dumps({"number": json.loads(question)["number"], "asked": {"remove": []}})

    place = from_a_copy(reply, monkeypatch)
    monkeypatch.setattr(vm, "Outside", Outside)
    answer = place.run(REQUEST, 1)
    assert (asked, len(answer.observations)) == ([{"remove": []}], 1)
