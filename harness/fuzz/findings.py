"""Findings on disk: one JSON file for each minimal form, below the user's state directory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.directories import state_directory
from harness.fuzz.campaign import FAILURES, Finding
from harness.fuzz.property import Mismatch, Tally
from harness.fuzz.registry import PROPERTIES
from harness.fuzz.wire import CaseError, from_json, to_json

FORMAT = 1


class FindingError(Exception):
    """No such finding, or a file that is none; the message says which."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A finding as it was written. `id` names its minimal form; `backend` what it ran under."""

    id: str
    property: str
    case: object
    text: str
    third_party: str
    path: Path
    backend: str = ""


@dataclass(frozen=True, kw_only=True)
class Again:
    """What came of trying a finding again: nothing in `text` where the property holds for it now.

    `third_party` is whose fault it is this time, which the finding itself cannot know.
    """

    text: str = ""
    third_party: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether the property is broken, and nobody else is to blame."""
        return bool(self.text) and not self.third_party


def fuzz_directory() -> Path:
    """Where findings and examples are kept, below the user's state directory."""
    return state_directory() / "fuzz"


def keep(finding: Finding, directory: Path, backend: str = "") -> tuple[Kept, bool]:
    """Write a finding unless its minimal form is there already; whether it is new."""
    under = [backend] if backend else []
    form = json.dumps([finding.target, to_json(finding.case), *under], sort_keys=True)
    called = f"{finding.target}-{hashlib.sha256(form.encode()).hexdigest()[:10]}"
    path = directory / f"{called}.json"
    kept = Kept(
        id=called,
        property=finding.target,
        case=finding.case,
        text=finding.text(),
        third_party=finding.third_party,
        path=path,
        backend=backend,
    )
    if path.exists():
        return kept, False
    directory.mkdir(parents=True, exist_ok=True)
    record = {
        "format": FORMAT,
        "property": finding.target,
        "third_party": finding.third_party,
        "backend": backend,
        "text": finding.text(),
        "case": to_json(finding.case),
    }
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    temporary.rename(path)
    return kept, True


def load(path: Path) -> Kept:
    """Read one finding. Raises FindingError."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FindingError(f"{path}: no finding: {error}") from None
    if not isinstance(record, Mapping) or record.get("property") not in PROPERTIES:
        raise FindingError(f"{path}: no finding of a property that there is")
    try:
        case = from_json(record["case"])
    except (CaseError, KeyError) as error:
        raise FindingError(f"{path}: {error}") from None
    return Kept(
        id=path.stem,
        property=record["property"],
        case=case,
        text=str(record.get("text", "")),
        third_party=str(record.get("third_party", "")),
        path=path,
        backend=str(record.get("backend", "")),
    )


def find(wanted: str, directory: Path) -> Kept:
    """The finding of this name, beginning of a name, or path. Raises FindingError."""
    if wanted.endswith(".json"):
        return load(Path(wanted))
    found = sorted(directory.glob(f"{wanted}*.json"))
    if len(found) == 1:
        return load(found[0])
    what = "several findings begin with it" if found else "there is no such finding"
    raise FindingError(f"{wanted}: {what} in {directory}")


def replay(kept: Kept) -> Again:
    """Try the case again, whoever's fault it was; what came this time."""
    try:
        PROPERTIES[kept.property].check(kept.case, Tally(backend=kept.backend, wide=True))
    except Mismatch as mismatch:
        return Again(text=mismatch.text(), third_party=mismatch.third_party)
    except FAILURES as error:
        return Again(text=str(error) or type(error).__name__)
    return Again()


def promote(kept: Kept, examples: Path) -> Path:
    """Make a finding an explicit example, which tests/fuzz tries for ever after.

    Programs of calls too, with their backend: a scenario wants a benign twin, a direct attempt and
    an effect, which a program that was made by chance does not have.
    """
    examples.mkdir(parents=True, exist_ok=True)
    target = examples / f"{kept.id}.json"
    target.write_text(kept.path.read_text(encoding="utf-8"), encoding="utf-8")
    return target
