"""Acts in a task's own namespaces: what a deputy is told, and what it asks meanwhile.

A work is a function of a module that is called with a RemoteView, a judge and its arguments, there;
everything that it wants to know of the task, or from the policy, the supervisor answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

from enforcer.pin.channel import Answer, Deputed, Question, Value
from enforcer.pin.deputy import current
from enforcer.pin.identity import acting_deputy
from enforcer.pin.ourselves import hides
from enforcer.pin.places import Unplaced
from enforcer.pin.view import O_PATH, Names, View, names_in
from enforcer.syscalls.memory import UnreadableMemory

Judge = Callable[[tuple[str, ...], int], int]
"""See opening.Judge."""


class Facts(NamedTuple):
    """What a deputy is told of a task beforehand."""

    tid: int
    tgid: int
    has_same_objects: bool
    opens_what_it_judged: bool
    tells_missing: bool


def permit(names: tuple[str, ...], missing: int) -> int:
    """The judge of what was judged already, or is not judged."""
    return 0


def is_deputed() -> bool:
    """Whether the current thread acts by a deputy."""
    return acting_deputy() is not None


def carry_out(
    work: Callable[..., Answer],
    view: View,
    judge: Judge,
    *arguments: Value,
    descriptors: Sequence[int] = (),
) -> tuple[Value, list[int]]:
    """What `work` gives, done by the current thread's deputy: a value and descriptors of ours.

    `descriptors` are handed on as its last arguments. Raises TargetGone, OutOfReach.
    """
    deputy = current()
    assert deputy is not None
    facts = Facts(
        tid=view.tid,
        tgid=view.tgid,
        has_same_objects=view.same_objects is not None,
        opens_what_it_judged=view.opens_what_it_judged,
        tells_missing=view.tells_missing,
    )
    return deputy.do(work, (facts, *arguments), descriptors, _questions(view, judge))


def _questions(view: View, judge: Judge) -> Mapping[str, Question]:
    def read(method: Callable[..., bytes]) -> Question:
        def answer(*arguments: int) -> Answer:
            try:
                return method(*arguments), ()
            except UnreadableMemory as error:
                return (error.address, error.errno), ()

        return answer

    def descriptor(method: Callable[..., int]) -> Question:
        def answer(*arguments: int) -> Answer:
            found = method(*arguments)
            return (0, (found,)) if found >= 0 else (found, ())

        return answer

    def write(address: int, data: bytes) -> Answer:
        try:
            view.write_bytes(address, data)
        except UnreadableMemory as error:
            return (error.address, error.errno), ()
        return b"", ()

    def same(fd: int) -> Answer:
        return () if view.same_objects is None else view.same_objects.of(fd), ()

    def open_own(leaf: bytes, flags: int, resolve: int, fd: int) -> Answer:
        found = view.open_own(fd, leaf, flags, resolve)
        return (found, ()) if found is None or found < 0 else (0, (found,))

    def names(fd: int) -> Answer:
        try:
            return tuple(names_in(view, fd)), ()
        except Unplaced:
            return None, ()

    return {
        "names": names,
        "own": open_own,
        "text": lambda leaf, fd: (view.own_text(fd, leaf), ()),
        "root": descriptor(view.root),
        "directory": descriptor(view.directory),
        "duplicate": descriptor(view.duplicate),
        "string": read(view.read_string),
        "bytes": read(view.read_bytes),
        "write": write,
        "judge": lambda names, missing: (judge(names, missing), ()),
        "same": same,
        "hides": lambda writes, fd: (hides(view, fd, writes=bool(writes)), ()),
        "number": lambda fd: (view.number_on(fd), ()),
        "umask": lambda: (view.umask(), ()),
        "limit": lambda: (view.file_size_limit(), ()),
        "terminal": lambda: (view.terminal(), ()),
    }


class _SameObjects:
    """Asks the supervisor, in whose mount namespace the denied names are."""

    def __init__(self, deputed: Deputed) -> None:
        self._deputed = deputed

    def of(self, fd: int) -> tuple[str, ...]:
        found, _ = self._deputed.ask("same", descriptors=(fd,))
        return cast("tuple[str, ...]", found)


class RemoteView(View):
    """A task as its deputy sees it: by asking."""

    __slots__ = ("_deputed", "_opens_what_it_judged")

    def __init__(self, deputed: Deputed, facts: Facts) -> None:
        super().__init__(
            facts.tid,
            facts.tgid,
            same_objects=_SameObjects(deputed) if facts.has_same_objects else None,
            tells_missing=facts.tells_missing,
        )
        self._deputed = deputed
        self._opens_what_it_judged = facts.opens_what_it_judged

    @property
    def opens_what_it_judged(self) -> bool:
        return self._opens_what_it_judged

    def told_names(self, fd: int) -> Names:
        found, _ = self._deputed.ask("names", descriptors=(fd,))
        if found is None:
            raise Unplaced
        return Names(*cast("tuple[tuple[bytes, ...], bytes]", found))

    def judge(self, names: tuple[str, ...], missing: int) -> int:
        """The policy's word on names, as the supervisor has it."""
        return self._ask_number("judge", names, missing)

    def root(self) -> int:
        return self._ask_descriptor("root")

    def directory(self, dirfd: int) -> int:
        return self._ask_descriptor("directory", dirfd)

    def duplicate(self, descriptor: int) -> int:
        return self._ask_descriptor("duplicate", descriptor)

    def read_string(self, address: int) -> bytes:
        return self._ask_bytes("string", address)

    def read_bytes(self, address: int, size: int) -> bytes:
        return self._ask_bytes("bytes", address, size)

    def write_bytes(self, address: int, data: bytes) -> None:
        self._ask_bytes("write", address, data)

    def umask(self) -> int:
        return self._ask_number("umask")

    def file_size_limit(self) -> int:
        return self._ask_number("limit")

    def terminal(self) -> tuple[bytes, tuple[int, int]] | None:
        return cast("tuple[bytes, tuple[int, int]] | None", self._deputed.ask("terminal")[0])

    def told_hidden(self, fd: int, writes: bool) -> bool | None:
        return bool(self._ask_number("hides", int(writes), descriptors=(fd,)))

    def open_own(
        self, directory: int, leaf: bytes, flags: int = O_PATH, resolve: int = 0
    ) -> int | None:
        found, given = self._deputed.ask("own", leaf, flags, resolve, descriptors=(directory,))
        return given[0] if given else cast("int | None", found)

    def own_text(self, directory: int, leaf: bytes) -> bytes | int | None:
        found, _ = self._deputed.ask("text", leaf, descriptors=(directory,))
        return cast("bytes | int | None", found)

    def number_on(self, procfs_root: int) -> tuple[int, int] | None:
        found, _ = self._deputed.ask("number", descriptors=(procfs_root,))
        return cast("tuple[int, int] | None", found)

    def _ask_number(self, kind: str, *arguments: Value, descriptors: Sequence[int] = ()) -> int:
        found, _ = self._deputed.ask(kind, *arguments, descriptors=descriptors)
        return cast(int, found)

    def _ask_descriptor(self, kind: str, *arguments: int) -> int:
        number, given = self._deputed.ask(kind, *arguments)
        return given[0] if given else cast(int, number)

    def _ask_bytes(self, kind: str, *arguments: Value) -> bytes:
        found, _ = self._deputed.ask(kind, *arguments)
        if isinstance(found, tuple):
            raise UnreadableMemory(*found)
        return cast(bytes, found)
