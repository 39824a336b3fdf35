"""Carries out one case's runs, each isolated and bounded, and reports what was seen from outside.

The same module runs on this machine and in guests; standard library and python-ptrace only. It
is a warm server: one JSON request a line in, one JSON answer a line out, and a fork for every run.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NoReturn, cast

from enforcer.kernel import namespaces, procfs
from enforcer.kernel.prctl import forbid_dumping
from enforcer.mechanisms.contract import LaunchError, Plan, Unavailable
from enforcer.mechanisms.preparing import Ask, Event, Stage
from harness.backends import BrokenBackend, UnknownBackend, backend
from harness.backends.life import stage_of
from harness.backends.prepared import settle
from harness.model import Effect, Limits, Observation, Outcome, RunKind
from harness.places import isolation as walls
from harness.places.arranging import arranged, nobody
from harness.places.controls import (
    CONTROLS,
    CONTROLS_AGAIN,
    asks_for_another_control,
    cases,
    repeated,
    shows_something,
)
from harness.places.ending import children, end_all
from harness.places.features import lacking
from harness.places.gate import Gate, NotMet
from harness.places.isolation import Identity, Isolation, tmp_is_free
from harness.places.layout import Layout, variant_words
from harness.places.outcome import observe
from harness.places.sentinels import Sentinel, SentinelError, fresh_nonce, plant
from harness.places.starting import start
from harness.places.usage import Meter
from harness.places.warming import warm
from harness.places.watch import GRACE_S, drain, watch
from harness.places.wire import (
    ASKED,
    NUMBER,
    Garbled,
    decode_observation,
    encode_observation,
    fresh_number,
)
from harness.process import (
    ANSWER_BYTES,
    ProcessTimeout,
    close_all_but,
    fork,
    kill,
    kill_group,
    wait,
)
from harness.wideners import on_one_cpu

MARGIN_S = 10.0  # beyond a run's own time limit, before its init is given up
UNREADABLE = (
    AttributeError,
    BrokenBackend,
    ImportError,
    KeyError,
    OSError,
    RecursionError,
    TypeError,
    UnknownBackend,
    ValueError,
)
"""What a request that is none raises on its way."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a request."""

    kind: RunKind
    backend: str
    plan: Plan
    mode: str
    attempts: int
    stop: bool
    command: tuple[str, ...]
    enough: int = 0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a case needs; see `parse_request` for the JSON."""

    layout: Layout
    limits: Limits
    program: Path | None
    variant: str
    sentinel: str
    effect: Effect | None
    files: Mapping[str, str]
    runs: tuple[Run, ...]
    race: bool = False
    rung: int | None = None
    needs: tuple[str, ...] = ()
    gate: Path | None = None
    disposable: bool = False
    holds: tuple[int, ...] = ()


def parse_request(raw: Mapping[str, object]) -> Request:
    """The JSON of a request, as local.py writes it. Raises KeyError, ValueError."""
    data = cast("dict[str, dict[str, object]]", raw)
    layout = cast("dict[str, str]", data["layout"])
    limits = Limits(**cast("dict[str, int]", data["limits"]))
    runs = []
    for item in cast("list[dict[str, object]]", raw["runs"]):
        plan = cast("dict[str, object]", item["plan"])
        runs.append(
            Run(
                kind=RunKind(str(item["kind"])),
                backend=str(item["backend"]),
                plan=Plan(
                    mechanism=str(plan["mechanism"]),
                    machine=str(plan["machine"]),
                    data=cast("dict[str, object]", plan["data"]),
                ),
                mode=str(item["mode"]),
                attempts=int(str(item["attempts"])),
                stop=bool(item["stop"]),
                enough=int(str(item.get("enough", 0))),
                command=tuple(cast("list[str]", item["command"])),
            )
        )
    program = raw["program"]
    effect = raw["effect"]
    return Request(
        layout=Layout(
            root=Path(layout["root"]),
            port=int(layout["port"]),
            allowed_port=int(layout["allowed_port"]),
        ),
        limits=limits,
        program=None if program is None else Path(str(program)),
        variant=str(raw["variant"]),
        rung=cast("int | None", raw.get("rung")),
        sentinel=str(raw["sentinel"]),
        effect=None if effect is None else Effect(str(effect)),
        files=cast("dict[str, str]", raw["files"]),
        runs=tuple(runs),
        race=bool(raw.get("race", False)),
        needs=tuple(cast("list[str]", raw.get("needs", []))),
        gate=Path(str(raw["gate"])) if raw.get("gate") else None,
        disposable=bool(raw.get("disposable", False)),
        holds=tuple(cast("list[int]", raw.get("holds", []))),
    )


def run_case(request: Request, isolation: Isolation, ask: Ask = nobody) -> list[Observation]:
    """The observations of the runs, in order; the rest is left out once a control shows nothing,
    and a control is added behind them where the effect of a case might come and go.

    On a kernel that lacks what the case needs there are none but one that says so.
    """
    absent = "; ".join(f"{name}: {why}" for name, why in lacking(request.needs).items())
    if absent:
        detail = f"this kernel lacks {absent}"
        return [Observation(kind=RunKind.CONTROL, outcome=Outcome.UNAVAILABLE, detail=detail)]
    for run in request.runs:
        backend(run.backend)
        warm(run.plan.mechanism)
    command = request.program is None
    stage = _stage(request, isolation, walls.identity(isolation))
    seen: list[Observation] = []
    for run in request.runs:
        seen.append(
            arranged(
                run.backend,
                run.kind,
                run.plan,
                ask,
                _runner(request, run, isolation),
                stage,
            )
        )
        if run.kind in CONTROLS and not shows_something(seen[-1], command=command):
            break
    if any(
        asks_for_another_control(each, command=command, race=request.race) for each in cases(seen)
    ):
        control = next(run for run in request.runs if run.kind is RunKind.CONTROL)
        again = replace(control, kind=RunKind.CONTROL_AGAIN)
        repeats = 1 if command else CONTROLS_AGAIN
        seen.append(repeated([run_isolated(request, again, isolation) for _ in range(repeats)]))
    return seen


def _runner(request: Request, run: Run, isolation: Isolation) -> Callable[[Plan], Observation]:
    """The run, with the plan that it gets."""
    return lambda plan: run_isolated(request, replace(run, plan=plan), isolation)


def run_isolated(request: Request, run: Run, isolation: Isolation) -> Observation:
    """One run in a process tree of its own, of which nothing is left afterwards."""
    who = walls.identity(isolation)
    number = fresh_number()
    known = children()
    read_end, write_end = os.pipe()
    guard = fork(lambda: _guard(request, run, isolation, who, number, write_end))
    os.close(write_end)
    deadline = time.monotonic() + request.limits.timeout_s + MARGIN_S
    answer = b""
    while len(answer) < ANSWER_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([read_end], [], [], left)[0]:
            break
        chunk = os.read(read_end, 1 << 20)
        if not chunk:
            break
        answer += chunk
    os.close(read_end)
    kill(guard)
    status = wait(guard)
    # The run's init, whose guard may have ended first, and where no namespace ends them together
    # whoever it left: all are ours then (`main` adopts orphans).
    end_all(known)
    if not answer:
        return _broken(run, f"the run's init gave no answer (guard's wait status {status})")
    try:
        return decode_observation(answer, number)
    except Garbled as error:
        return _broken(run, f"what came for the run's init is not believed: {error}")


def _broken(run: Run, detail: str) -> Observation:
    return Observation(kind=run.kind, outcome=Outcome.BROKEN, detail=detail)


def _guard(
    request: Request, run: Run, isolation: Isolation, who: Identity, number: str, write_end: int
) -> int:
    """Between the agent and the init of the new namespaces; dies with the agent, ends the init.

    Neither keeps the agent's descriptors: who opens those of one of them gets no farther. Their
    input is nothing, and so is the target's.
    """
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    close_all_but({write_end})
    alive_read, alive_write = os.pipe()

    def answer(observation: Observation) -> None:
        # An agent that was ended, as at Ctrl-C, wants no answer.
        with contextlib.suppress(BrokenPipeError), open(write_end, "wb") as stream:
            stream.write(encode_observation(number, observation))

    procfs.forget()
    if on_one_cpu(request.variant, guest=request.disposable, race=request.race):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    try:
        walls.enter(isolation)
    except OSError as error:
        answer(_broken(run, f"making the run's walls: {error}"))
        return 1
    forbid_dumping()
    walls.die_with_parent()

    def init() -> int:
        os.close(alive_write)
        walls.die_with_parent()
        # A guard that had died before the line above would not be noticed otherwise.
        if select.select([alive_read], [], [], 0)[0]:
            return 1
        try:
            observation = _first_process(request, run, isolation, who)
        except Exception as error:
            observation = _broken(run, f"the run's init failed: {type(error).__name__}: {error}")
        answer(observation)
        return 0

    first = fork(init)
    os.close(write_end)
    return os.waitstatus_to_exitcode(wait(first))


def _first_process(request: Request, run: Run, isolation: Isolation, who: Identity) -> Observation:
    """Pid 1 of the run: furnish, plant, start the target, watch it, end everything, look."""
    os.umask(0o022)  # whoever asks for the run may have a closed one
    with ExitStack() as stack:
        try:
            program = request.program.read_bytes() if request.program else None
            door = request.gate.read_bytes() if request.gate else None
            life = backend(run.backend)
            walls.furnish(
                isolation, request.layout, request.limits, cover_tmp=tmp_is_free(), own=life.own
            )
            procfs.forget()  # that of the agent's namespace has other pids
            _furnish_layout(request, who, program, door)
            sentinel: Sentinel | None = None
            if request.effect is not None:
                sentinel = plant(request.sentinel, request.effect, request.layout, who)
                stack.callback(sentinel.close)
        except (OSError, SentinelError) as error:
            return _broken(run, f"preparing the run: {error}")
        nonce = fresh_nonce()
        command = _command(request, run, sentinel, nonce)
        stage = _stage(request, isolation, who)
        try:
            plan = stack.enter_context(life.prepare(run.plan, stage))
        except Unavailable as error:
            return Observation(kind=run.kind, outcome=Outcome.UNAVAILABLE, detail=str(error))
        except (LaunchError, OSError, ProcessTimeout) as error:
            return _broken(run, f"preparing the backend: {error}")
        gate = Gate(stage.gate, life.probes(plan, stage)) if life.held else None
        target, pipes = start(
            life,
            plan,
            gate.wrapped(command) if gate else command,
            layout=request.layout,
            limits=request.limits,
            isolation=isolation,
            who=who,
            holds=request.holds,
            sentinel=sentinel,
            waiting=gate.waiting if gate else None,
            searched=command[0] if request.program is None else None,
        )
        pidfd = os.pidfd_open(target)
        stack.callback(os.close, pidfd)
        told: tuple[Event, ...] = ()
        failed = ""
        if gate is not None:
            try:
                met = gate.meet(command, pipes.stdout, pidfd, request.limits.timeout_s)
                told = life.witness(plan, stage, met)
            except (NotMet, OSError) as error:
                failed = str(error)
                kill_group(target)
            gate.open()
        # Elsewhere the private file systems have a size of their own.
        scratch = request.layout.root if isolation is Isolation.PLAIN else None
        meter = Meter(limits=request.limits, scratch=scratch)
        seen = watch(pidfd, pipes, sentinel, request.limits, meter)
        # What the target left behind keeps its supervisor from its last word.
        kill_group(target)
        drain(seen, pipes, GRACE_S)
        status = end_all().get(target, seen.status)
        assert status is not None
        drain(seen, pipes, 0)
        if failed and not seen.failure:
            seen.failure = b": ".join(filter(None, (failed.encode(), seen.stderr.content())))
        try:
            return observe(
                run.kind,
                seen=seen,
                told=(*told, *life.collect(plan, stage)),
                wait_status=status if seen.ended else None,
                nonce=nonce if request.program else None,
                sentinel=sentinel,
                scratch=None if request.program else request.layout.directory,
                planted=request.layout.allowed,
            )
        except (OSError, SentinelError) as error:
            return _broken(run, f"looking at what happened: {error}")


def _stage(request: Request, isolation: Isolation, who: Identity) -> Stage:
    return stage_of(
        request.layout,
        uid=who.uid,
        gid=who.gid,
        walled=isolation is Isolation.NAMESPACES,
        disposable=request.disposable,
        holds=request.holds,
    )


def _furnish_layout(
    request: Request, who: Identity, program: bytes | None, gate: bytes | None
) -> None:
    layout = request.layout
    for directory in (layout.directory, layout.denied_directory):
        directory.mkdir(mode=0o755)
        os.chown(directory, who.uid, who.gid)
    layout.program.parent.mkdir(mode=0o755)
    if gate is not None:
        layout.gate.write_bytes(gate)
        layout.gate.chmod(0o755)
    if program is not None:
        layout.program.write_bytes(program)
        layout.program.chmod(0o755)
    for name, content in request.files.items():
        path = layout.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755 if content.startswith("#!") else 0o644)
        for made in (path, *path.relative_to(layout.directory).parents):
            os.chown(layout.directory / made, who.uid, who.gid)


def _command(request: Request, run: Run, sentinel: Sentinel | None, nonce: str) -> list[str]:
    if request.program is None:
        return list(run.command)
    words = {"dir": str(request.layout.directory), "nonce": nonce}
    words |= variant_words(request.variant)
    words |= {} if request.rung is None else {"rung": str(request.rung)}
    words |= {"enough": str(run.enough)} if run.enough else {}
    words |= {"attempts": str(run.attempts), "stop": str(int(run.stop))}
    words |= sentinel.arguments() if sentinel else {}
    return [str(request.layout.program), run.mode, *(f"{k}={v}" for k, v in words.items())]


def serve(requests: Callable[[], str], answer: Callable[[str], None]) -> NoReturn:
    """Answer requests until there are no more; one that cannot be read is answered so.

    `{"warm": [mechanisms], "settle": [backends]}` only imports what their launches need, and
    settles what changes the whole machine (before that is saved).
    """

    def ask(question: Mapping[str, object]) -> Mapping[str, object]:
        answer(json.dumps({NUMBER: number, ASKED: dict(question)}) + "\n")
        return cast("dict[str, object]", json.loads(requests()))

    isolation = walls.available()
    walls.needed_paths(), tmp_is_free()  # they stay the same: found before the forks
    gc.freeze()
    gc.disable()
    number: object = None
    while line := requests():
        number = None
        try:
            raw = json.loads(line)
            if "warm" in raw:
                for name in raw["warm"]:
                    # A mechanism that cannot be imported is broken in its own cases.
                    with contextlib.suppress(ImportError):
                        warm(str(name))
                settle(raw.get("settle", ()))
                answer('{"warm": true}\n')
                continue
            number = raw[NUMBER]
            observations = run_case(parse_request(raw), isolation, ask)
            reply: dict[str, object] = {
                "isolation": isolation.value,
                "observations": [asdict(observation) for observation in observations],
            }
        except UNREADABLE as error:
            reply = {"isolation": isolation.value, "error": f"{type(error).__name__}: {error}"}
        answer(json.dumps({NUMBER: number, **reply}) + "\n")
    raise SystemExit(0)


def main() -> NoReturn:
    """Serve on standard input and output; nothing else of ours may write there."""
    # A target of the same user finds neither descriptors nor numbers in /proc/PID/{fd,mem}.
    forbid_dumping()
    walls.die_with_parent()
    namespaces.adopt_orphans()
    output = os.dup(1)
    os.dup2(2, 1)

    def answer(text: str) -> None:
        data = text.encode()
        try:
            while data:
                data = data[os.write(output, data) :]
        except BrokenPipeError:
            # Who asked was ended, as at Ctrl-C.
            raise SystemExit(1) from None

    serve(sys.stdin.readline, answer)


if __name__ == "__main__":
    main()
