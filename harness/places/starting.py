"""Starting a run's target: pipes, limits, ids, and then its enforcer's launch."""

from __future__ import annotations

import os
import shutil
import signal
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from enforcer.events import FileLog
from enforcer.kernel import procfs
from enforcer.mechanisms.contract import LaunchError, Plan, Unavailable
from harness.backends import place_of
from harness.backends.life import Backend
from harness.model import Limits
from harness.places import isolation as walls
from harness.places.isolation import Identity, Isolation
from harness.places.layout import Layout
from harness.places.outcome import UNAVAILABLE
from harness.places.sentinels import Sentinel, TerminalSentinel
from harness.places.watch import Pipes
from harness.process import close_all_but, fork

LAUNCH_FAILED = 71
OWN_KERNEL_FACTOR = 16
NOT_FOUND = 127  # as shells report a command that is not installed


def start(
    life: Backend,
    plan: Plan,
    command: Sequence[str],
    *,
    layout: Layout,
    limits: Limits,
    isolation: Isolation,
    who: Identity,
    holds: Sequence[int],
    sentinel: Sentinel | None,
    waiting: int | None,
    searched: str | None,
) -> tuple[int, Pipes]:
    """Fork the process that becomes `command`, confined by `life`; its pid, and our pipe ends.

    `waiting` is the pipe that a held target reads, else its input is nothing. `searched`: this
    program has to be in PATH, else the target ends as a shell that does not find it. `holds` are
    capabilities that the target begins with.
    """
    ends = [os.pipe() for _ in range(4)]
    (_, stdout), (_, stderr), (_, log), (_, failure) = ends

    def target() -> int:
        try:
            os.setsid()
            if isinstance(sentinel, TerminalSentinel):
                sentinel.control()
            if waiting is not None:
                os.dup2(waiting, 0)
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            close_all_but({log, failure})
            walls.limit(spacious(limits) if life.needs.unlimited else limits)
            if not life.rooted:
                walls.become(isolation, who, holds)
            if isolation is Isolation.PLAIN:
                # No namespace ends it with a campaign that is killed.
                walls.die_with_parent()
            # Not before: the file is root's until the process is dumpable.
            Path("/proc/self/oom_score_adj").write_text("1000")
            os.chdir(layout.directory)
            _reset(layout)
            if searched is not None and shutil.which(searched) is None:
                return NOT_FOUND
            life.launch(plan, command, FileLog(log))
        except Unavailable as error:
            _say(failure, f"{UNAVAILABLE}{error}")
        except LaunchError as error:
            _say(failure, str(error))
        except OSError as error:
            _say(failure, f"{type(error).__name__}: {error}")
        except BaseException as error:
            place = place_of(error, life.name)
            said = f"{place}: {type(error).__name__}: {error}\n{traceback.format_exc()}"
            _say(failure, said)
        return LAUNCH_FAILED

    pid = fork(target)
    for _, write_end in ends:
        os.close(write_end)
    (stdout, _), (stderr, _), (log, _), (failure, _) = ends
    return pid, Pipes(stdout=stdout, stderr=stderr, log=log, failure=failure)


def spacious(limits: Limits) -> Limits:
    """The limits for a sandbox with a kernel of its own: its memory is one file, and for each
    process of the target it has several (gVisor's ptrace platform: one for each address space).
    """
    return replace(
        limits, memory_bytes=-1, file_bytes=-1, processes=limits.processes * OWN_KERNEL_FACTOR
    )


def _say(descriptor: int, text: str) -> None:
    os.write(descriptor, text.encode("utf-8", "backslashreplace"))


def _reset(layout: Layout) -> None:
    """The same environment and signals for every target."""
    os.environ.clear()
    os.environ.update(
        PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME=str(layout.directory),
        TMPDIR=str(layout.directory),
        LANG="C.UTF-8",
    )
    # Python ignores two; a shell's background commands, SIGINT and SIGQUIT; nohup, SIGHUP. To set
    # all 62 takes 0.75 ms, and far longer in an emulated machine.
    for number in _taken() & signal.valid_signals():
        signal.signal(number, signal.SIG_DFL)


def _taken() -> set[int]:
    """The signals that this process ignores or catches."""
    status = procfs.status_fields(Path("/proc/self/status").read_bytes())
    mask = int(status[b"SigIgn"], 16) | int(status[b"SigCgt"], 16)
    return {number for number in range(1, mask.bit_length() + 1) if mask >> (number - 1) & 1}
