"""Results in SQLite: one writer, so that a killed campaign resumes and two runs can be compared."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.directories import state_directory
from harness.model import Provenance, Result, RunKind, VerdictKind

VERSION = 2
SCHEMA = """
CREATE TABLE campaign (
    id INTEGER PRIMARY KEY,
    started REAL NOT NULL,
    arguments TEXT NOT NULL,
    cases INTEGER NOT NULL,
    root TEXT NOT NULL,
    tree TEXT NOT NULL,
    machine TEXT NOT NULL,
    selection TEXT NOT NULL,
    finished REAL
);
CREATE TABLE result (
    campaign INTEGER NOT NULL REFERENCES campaign(id),
    case_id TEXT NOT NULL,
    scenario TEXT NOT NULL,
    title TEXT NOT NULL,
    attack TEXT NOT NULL,
    catalogue TEXT NOT NULL,
    variant TEXT NOT NULL,
    backend TEXT NOT NULL,
    leaky INTEGER NOT NULL,
    arch TEXT NOT NULL,
    kernel TEXT NOT NULL,
    place TEXT NOT NULL,
    verdict TEXT NOT NULL,
    expected TEXT NOT NULL,
    as_expected INTEGER NOT NULL,
    weakness TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    wins INTEGER NOT NULL,
    bound REAL,
    seconds REAL NOT NULL,
    isolation TEXT NOT NULL,
    finished REAL NOT NULL,
    provenance TEXT NOT NULL,
    observations TEXT NOT NULL,
    PRIMARY KEY (campaign, case_id)
);
"""


class ResultsError(Exception):
    """The results' file cannot be used; the message has the fix."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stored result. `finished` is when it came, in seconds since the epoch."""

    case_id: str
    scenario: str
    title: str
    attack: str
    catalogue: tuple[str, ...]
    variant: str
    backend: str
    leaky: bool
    arch: str
    kernel: str
    place: str
    verdict: str
    expected: str
    as_expected: bool
    weakness: str
    reason: str
    attempts: int
    wins: int
    bound: float | None
    seconds: float
    isolation: str
    finished: float = 0.0
    provenance: Provenance | None = None
    observations: tuple[dict[str, object], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a campaign comes from: the directory of its attacks and scenarios, what stood there
    (revision and digest of the modules), the machine in words, and the options that select cases.
    """

    root: str
    tree: str
    machine: str
    selection: str = "{}"


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """One call of `harness run`."""

    id: int
    started: float
    arguments: str
    cases: int
    root: str
    tree: str
    machine: str
    selection: str
    finished: float | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A case whose verdict differs between two campaigns; "" where it did not run."""

    case_id: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class LeakyRun:
    """How an attack on a leaky backend ended, and what that belongs to.

    `campaign` is None for one of this run; `finished` is in seconds since the epoch.
    """

    scenario: str
    variant: str
    arch: str
    kernel: str
    place: str
    backend: str
    attempts: int
    wins: int
    rung: int | None = None
    provenance: Provenance
    campaign: int | None
    finished: float


ENDED = (VerdictKind.BYPASSED, VerdictKind.UNLOGGED, VerdictKind.HELD)
"""What tells who won against a leaky backend."""


def _rung(row: Row) -> int | None:
    """The delay that won most in its attack run; rows of earlier versions have none."""
    for each in row.observations:
        found = each.get("rung")
        if each.get("kind") == RunKind.ATTACK and isinstance(found, int):
            return found
    return None


def leaky_run(row: Row, campaign: int | None) -> LeakyRun | None:
    """What a result tells of a leaky backend; None for others and for those without a verdict."""
    ended = row.verdict in ENDED
    if not (row.leaky and ended and row.attack and row.provenance):
        return None
    return LeakyRun(
        scenario=row.scenario,
        variant=row.variant,
        arch=row.arch,
        kernel=row.kernel,
        place=row.place,
        backend=row.backend,
        attempts=max(row.attempts, 1),
        wins=row.wins,
        rung=_rung(row),
        provenance=row.provenance,
        campaign=campaign,
        finished=row.finished,
    )


def row_of(result: Result) -> Row:
    """A result as it is stored and reported."""
    case, verdict = result.case, result.verdict
    return Row(
        case_id=case.id,
        scenario=case.scenario.id,
        title=case.scenario.title,
        attack=case.scenario.attack or "",
        catalogue=case.catalogue,
        variant=case.variant,
        backend=case.backend_name,
        leaky=case.leaky,
        arch=case.abi,
        kernel=case.kernel,
        place=case.place,
        verdict=verdict.kind.value,
        expected=case.expected.value,
        as_expected=result.as_expected,
        weakness=case.weakness or "",
        reason=verdict.reason,
        attempts=verdict.attempts,
        wins=verdict.wins,
        bound=verdict.bound,
        seconds=result.seconds,
        isolation=result.isolation,
        finished=round(time.time(), 3),
        provenance=result.provenance,
        observations=tuple(
            json.loads(json.dumps(asdict(observation))) for observation in result.observations
        ),
    )


def default_path() -> Path:
    """Below the user's state directory."""
    return state_directory() / "results.sqlite"


class Store:
    """The results' file, opened by the one process that writes it, or by readers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._running: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._no_directory(f"cannot be made: {error.strerror}") from None
        if not os.access(path.parent, os.W_OK):
            raise self._no_directory("cannot be written to")
        try:
            self._database = self._connect()
            older = self._database.execute("PRAGMA user_version").fetchone()[0]
            if 0 < older < VERSION:
                # Their references have no provenance; what they tell stays readable beside.
                self._database.execute("PRAGMA journal_mode = DELETE")
                self._database.close()
                path.replace(path.with_suffix(f".v{older}{path.suffix}"))
                self._database = self._connect()
            self._prepare()
        except (sqlite3.DatabaseError, OSError) as error:
            raise self._failure(error) from error

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
        database.row_factory = sqlite3.Row
        return database

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            version = self._database.execute("PRAGMA user_version").fetchone()[0]
            if version == VERSION:
                return
            if version != 0:
                raise ResultsError(
                    f"{self.path}: results of another version ({version}); move the file away"
                )
            for statement in SCHEMA.split(";"):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version = {VERSION}")

    def _no_directory(self, why: str) -> ResultsError:
        mend = "set XDG_STATE_HOME to one that you can write to, or name a file: --results"
        return ResultsError(f"no results at {self.path}: its directory {why}; {mend}")

    def _failure(self, error: Exception) -> ResultsError:
        full = "full" in str(error) or "I/O" in str(error)
        mend = "make room" if full else "move the file away"
        return ResultsError(f"{self.path}: {error}; {mend}, or name another file: --results")

    def _execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def begin(self, arguments: Sequence[str], cases: int, origin: Origin) -> Campaign:
        """A new campaign, which runs until this process ends or says so."""
        fields = asdict(origin)
        cursor = self._execute(
            f"INSERT INTO campaign (started, arguments, cases, {', '.join(fields)}) "
            f"VALUES (?, ?, ?{', ?' * len(fields)})",
            (time.time(), json.dumps(list(arguments)), cases, *fields.values()),
        )
        assert cursor.lastrowid is not None
        self._claim(cursor.lastrowid)
        return self._campaign(cursor.lastrowid)

    def interrupted(self, root: str) -> Campaign | None:
        """The latest campaign of the tree `root`, if it was interrupted; it runs again from here.

        Raises ResultsError while another process carries it out.
        """
        found = next((each for each in self.campaigns() if each.root == root), None)
        if found is None or found.finished is not None:
            return None
        if not self._claim(found.id):
            raise ResultsError(f"campaign {found.id} is still running: wait for its end")
        return found

    def _claim(self, campaign: int) -> bool:
        """Mark the campaign as running while this process lives; False when another one does it.

        A lock on one byte of a file beside (fcntl(2), F_SETLK): the kernel drops it with its
        holder, however that ends, and workers do not inherit it.
        """
        if self._running is None:
            path = self.path.with_name(self.path.name + ".running")
            self._running = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._running, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, campaign)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def finish(self, campaign: int) -> Campaign:
        """Every case of the campaign has its result; the campaign as it is now."""
        self._execute("UPDATE campaign SET finished = ? WHERE id = ?", (time.time(), campaign))
        return self._campaign(campaign)

    def add(self, campaign: int, row: Row) -> None:
        """Store one result, at once and for good."""
        fields = asdict(row)
        fields["catalogue"] = json.dumps(row.catalogue)
        fields["provenance"] = json.dumps(fields["provenance"])
        fields["observations"] = json.dumps(row.observations)
        names = ("campaign", *fields)
        marks = ", ".join("?" for _ in names)
        self._execute(
            f"INSERT OR REPLACE INTO result ({', '.join(names)}) VALUES ({marks})",
            (campaign, *fields.values()),
        )

    def _campaign(self, number: int) -> Campaign:
        return next(each for each in self.campaigns() if each.id == number)

    def campaigns(self) -> tuple[Campaign, ...]:
        """All campaigns, the latest first."""
        rows = self._execute("SELECT * FROM campaign ORDER BY id DESC")
        return tuple(Campaign(**dict(row)) for row in rows)

    def rows(self, campaign: int) -> tuple[Row, ...]:
        """The results of a campaign by case."""
        found = self._execute(
            "SELECT * FROM result WHERE campaign = ? ORDER BY case_id", (campaign,)
        )
        return tuple(map(_row, found))

    def last_of(self, case_id: str) -> Row | None:
        """The latest result of one case."""
        found = self._execute(
            "SELECT * FROM result WHERE case_id = ? ORDER BY campaign DESC LIMIT 1", (case_id,)
        ).fetchone()
        return None if found is None else _row(found)

    def leaky_runs(self) -> tuple[LeakyRun, ...]:
        """How attacks on leaky backends ended, the latest of each case last."""
        found = self._execute(
            "SELECT * FROM result WHERE leaky AND verdict IN (?, ?, ?) ORDER BY campaign",
            tuple(kind.value for kind in ENDED),
        )
        runs = (leaky_run(_row(each), each["campaign"]) for each in found)
        return tuple(run for run in runs if run is not None)

    def compare(self, before: int, after: int) -> tuple[Change, ...]:
        """The cases whose verdicts differ between two campaigns."""
        first = {row.case_id: row.verdict for row in self.rows(before)}
        second = {row.case_id: row.verdict for row in self.rows(after)}
        return tuple(
            Change(case_id=case, before=first.get(case, ""), after=second.get(case, ""))
            for case in sorted(first.keys() | second.keys())
            if first.get(case) != second.get(case)
        )

    def close(self) -> None:
        """Close the file; a campaign begun here counts as running no longer."""
        self._database.close()
        if self._running is not None:
            os.close(self._running)
            self._running = None


def _row(found: sqlite3.Row) -> Row:
    fields = dict(found)
    del fields["campaign"]
    fields["catalogue"] = tuple(json.loads(fields["catalogue"]))
    found_provenance = json.loads(fields["provenance"])
    fields["provenance"] = Provenance(**found_provenance) if found_provenance else None
    fields["observations"] = tuple(json.loads(fields["observations"]))
    fields["leaky"] = bool(fields["leaky"])
    fields["as_expected"] = bool(fields["as_expected"])
    return Row(**fields)
