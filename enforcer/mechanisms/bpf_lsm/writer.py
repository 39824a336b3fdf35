"""What all of our programs do: let others pass, go up from an object to a mark, refuse and tell.

frame of a program        -8 key or what was read        -16 OBJECT  -24 LEVEL   -32 OP
-40 ALLOWED  -48 NODE     -56..-80 the same of the first of two names  -88 FLAGS
-160 KEY of a name        -208 BLOCK of an entry         -424 EVENT
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from enforcer.access.kinds import Access
from enforcer.kernel.btf import Types
from enforcer.mechanisms.bpf_lsm import layout
from enforcer.mechanisms.bpf_lsm.assembler import (
    FP,
    R0,
    R1,
    R2,
    R3,
    R4,
    R6,
    R7,
    R8,
    R9,
    Assembly,
    Do,
    Helper,
    If,
)
from enforcer.mechanisms.bpf_lsm.layout import ALL, BITS, DEEPEST, EVENT, NAME_BYTES, Op

READ, WRITE, EXECUTE = BITS[Access.READ], BITS[Access.WRITE], BITS[Access.EXECUTE]
LOOK, CHANGE = BITS[Access.LOOK], BITS[Access.CHANGE]
CREATE, REMOVE = BITS[Access.CREATE], BITS[Access.REMOVE]

STRUCTURES = ("file", "path", "dentry", "qstr", "super_block", "iattr", "vm_area_struct")
"""Of which members are read."""

SCRATCH, OBJECT, LEVEL, OP, ALLOWED, NODE, FLAGS = -8, -16, -24, -32, -40, -48, -88
FIRST_ALLOWED, FIRST_NODE, FIRST_OBJECT, FIRST_LEVEL = -56, -64, -72, -80
_KEY, _BLOCK, _BLOCK_BYTES = -160, -208, 48
_EVENT = _BLOCK - EVENT.size
_HEAD_BYTES = 24  # of an event

FMODE_EXEC = 0x20  # in f_flags: opened by the kernel to be executed
_OVERWRITE = 2  # BPF_EXIST: of a full queue the oldest goes


@dataclass(frozen=True)
class Maps:
    """Descriptors: the settings, marks by object and by name, and the log."""

    settings: int
    marks: int
    names: int
    log: int


@dataclass
class Writer:
    """One program while it is written. `types` tell where this kernel keeps what."""

    maps: Maps
    types: Types
    parameters: tuple[str, ...]
    code: Assembly
    is_marking: bool = False
    is_door: bool = False

    def argument(self, to: int, name: str) -> None:
        """A parameter of the hook; R6 is still what the program was called with."""
        self.code.load(to, R6, 8 * self.parameters.index(name))

    def fetch(self, to: int, source: int, offset: int, size: int = 8) -> None:
        """What lies behind an address of the kernel's. What cannot be read is refused."""
        code = self.code
        code.move(R3, source)
        code.do(Do.ADD, R3, offset)
        code.address(R1, SCRATCH)
        code.set(R2, size)
        code.call(Helper.PROBE_READ_KERNEL)
        code.jump_if(If.NOT_EQUAL, R0, 0, "refuse")
        code.load(to, FP, SCRATCH, size)

    def entry_of_file(self, to: int, file: int) -> None:
        """The directory entry that a file was opened by."""
        at = self.types.offset("file", "f_path") + self.types.offset("path", "dentry")
        self.fetch(to, file, at)

    def object(self, entry: int, op: Op) -> None:
        """What is judged, for the log too."""
        self.code.store(FP, OBJECT, entry)
        self.code.store_value(FP, OP, op)
        self.code.store_value(FP, NODE, 0)
        self.code.store_value(FP, LEVEL, 0)

    def mark_of(self, inode: int) -> None:
        """R0: the mark of an object, or nothing."""
        self.code.store(FP, SCRATCH, inode)
        self.code.map(R1, self.maps.marks)
        self.code.address(R2, SCRATCH)
        self.code.call(Helper.MAP_LOOKUP)

    def own(self, inode: int, name: str) -> None:
        """Refuse what R8 asks of an object that has a mark of its own, unless that permits it."""
        code = self.code
        self.mark_of(inode)
        code.jump_if(If.EQUAL, R0, 0, name)
        code.load(R1, R0, layout.OWN, 4)
        code.load(R2, R0, layout.NAMED, 4)
        code.store(FP, NODE, R2)
        code.do(Do.XOR, R1, ALL)
        code.combine(Do.AND, R1, R8)
        code.jump_if(If.NOT_EQUAL, R1, 0, "refuse")
        code.store_value(FP, NODE, 0)
        code.label(name)

    def _read_entry(self) -> None:
        """BLOCK: the members of the entry R7, which lie together."""
        code = self.code
        code.address(R1, _BLOCK)
        code.set(R2, self._last - self._first)
        code.move(R3, R7)
        code.do(Do.ADD, R3, self._first)
        code.call(Helper.PROBE_READ_KERNEL)

    @property
    def _members(self) -> tuple[int, int, int]:
        """Of an entry: its parent, the address of its name, its object."""
        name = self.types.offset("dentry", "d_name") + self.types.offset("qstr", "name")
        parent, inode = (self.types.offset("dentry", each) for each in ("d_parent", "d_inode"))
        return parent, name, inode

    @property
    def _first(self) -> int:
        return min(self._members)

    @property
    def _last(self) -> int:
        last = max(self._members) + 8
        assert last - self._first <= _BLOCK_BYTES
        return last

    def _member(self, to: int, offset: int) -> None:
        self.code.load(to, FP, _BLOCK + offset - self._first)

    def walk(self, prefix: str) -> None:
        """ALLOWED, NODE, LEVEL, FLAGS: what is permitted at OBJECT. R6 is lost, R7 too."""
        code = self.code
        parent, name, inode = self._members
        code.load(R7, FP, OBJECT)
        code.set(R6, 0)
        code.store_value(FP, FLAGS, 0)
        code.store_value(FP, ALLOWED, ALL)
        code.label(f"{prefix}loop")
        code.store(FP, LEVEL, R6)
        code.jump_if(If.GREATER, R6, DEEPEST, "refuse")
        self._read_entry()
        code.jump_if(If.NOT_EQUAL, R0, 0, "refuse")
        self._member(R1, inode)
        code.jump_if(If.EQUAL, R1, 0, f"{prefix}by_name")
        self.mark_of(R1)
        code.jump_if(If.EQUAL, R0, 0, f"{prefix}by_name")
        code.jump_if(If.NOT_EQUAL, R6, 0, f"{prefix}node")
        code.load(R1, R0, layout.OWN, 4)
        code.store(FP, ALLOWED, R1)
        code.load(R1, R0, layout.NAMED, 4)
        code.store(FP, NODE, R1)
        code.label(f"{prefix}node")
        code.load(R1, R0, layout.FLAGS, 4)
        code.jump_if(If.ANY_BIT, R1, layout.IS_NODE, f"{prefix}found")
        code.label(f"{prefix}by_name")
        self._member(R1, parent)
        code.jump_if_registers(If.EQUAL, R1, R7, f"{prefix}unmarked")
        self.fetch(R1, R1, inode)
        self.mark_of(R1)
        code.jump_if(If.EQUAL, R0, 0, f"{prefix}up")
        code.load(R1, R0, layout.DIRECTORY, 4)
        code.jump_if(If.EQUAL, R1, 0, f"{prefix}up")
        self._named(R1, name)
        code.jump_if(If.NOT_EQUAL, R0, 0, f"{prefix}found")
        code.label(f"{prefix}up")
        self._member(R7, parent)
        code.do(Do.ADD, R6, 1)
        code.jump(f"{prefix}loop")
        code.label(f"{prefix}unmarked")
        self._without_mark(prefix)
        code.label(f"{prefix}found")
        code.load(R1, R0, layout.FLAGS, 4)
        code.store(FP, FLAGS, R1)
        code.load(R2, R0, layout.HERE, 4)
        code.jump_if(If.EQUAL, R6, 0, f"{prefix}here")
        code.load(R2, R0, layout.BENEATH, 4)
        code.label(f"{prefix}here")
        self._narrowed(R2, lambda: code.load(R3, R0, layout.NODE, 4))
        code.label(f"{prefix}done")

    def _named(self, directory: int, name: int) -> None:
        """R0: the mark of the name of BLOCK's entry in a marked directory."""
        code = self.code
        for offset in range(0, layout.KEY.size, 8):
            code.store_value(FP, _KEY + offset, 0)
        code.store(FP, _KEY, directory, 4)
        code.address(R1, _KEY + 4)
        code.set(R2, NAME_BYTES)
        self._member(R3, name)
        code.call(Helper.PROBE_READ_KERNEL_STR)
        code.jump_if(If.GREATER, R0, NAME_BYTES, "refuse")  # negative: it cannot be read
        code.map(R1, self.maps.names)
        code.address(R2, _KEY)
        code.call(Helper.MAP_LOOKUP)

    def _without_mark(self, prefix: str) -> None:
        """In a file system that was not there. What nobody can mount (pipes, memory files) is
        somebody's own already, but may not be executed unless everything may.
        """
        code = self.code
        self.fetch(R1, R7, self.types.offset("dentry", "d_sb"))
        self.fetch(R1, R1, self.types.offset("super_block", "s_flags"))
        code.load(R2, R9, layout.UNMARKED, 4)
        code.do(Do.SHIFT_LEFT, R1, 32)  # 1 << 31 is no positive value of an instruction
        code.set(R3, 1)
        code.do(Do.SHIFT_LEFT, R3, 63)
        code.combine(Do.AND, R1, R3)
        code.jump_if(If.EQUAL, R1, 0, f"{prefix}mountable")
        code.do(Do.OR, R2, ALL & ~EXECUTE)
        code.label(f"{prefix}mountable")
        self._narrowed(R2, lambda: code.set(R3, 0))
        code.jump(f"{prefix}done")

    def _narrowed(self, mask: int, node: Callable[[], None]) -> None:
        """ALLOWED without what a mask lacks; NODE is the one of the mask that refuses."""
        code = self.code
        lie, told = f"lie{code.size}", f"told{code.size}"
        code.load(R1, FP, ALLOWED)
        code.combine(Do.AND, mask, R1)
        code.store(FP, ALLOWED, mask)
        code.do(Do.XOR, R1, ALL)
        code.combine(Do.AND, R1, R8)
        code.jump_if(If.EQUAL, R1, 0, lie)
        code.store_value(FP, LEVEL, 0)  # the object's own mark refuses, and has the whole name
        code.jump(told)
        code.label(lie)
        node()
        code.store(FP, NODE, R3)
        code.label(told)

    def require(self, wanted: int = R8) -> None:
        """Refuse what ALLOWED lacks of a register's kinds."""
        self.code.load(R1, FP, ALLOWED)
        self.code.do(Do.XOR, R1, ALL)
        self.code.combine(Do.AND, R1, wanted)
        self.code.jump_if(If.NOT_EQUAL, R1, 0, "refuse")

    def begin(self) -> None:
        """Everybody passes who is not the target: R9 are the settings."""
        code = self.code
        code.move(R6, R1)
        # Every place of the frame that is read has been written.
        for place in (SCRATCH, OBJECT, LEVEL, OP, ALLOWED, NODE, FLAGS):
            code.store_value(FP, place, 0)
        code.set(R8, 0)
        code.map(R1, self.maps.settings)
        code.address(R2, SCRATCH)
        code.call(Helper.MAP_LOOKUP)
        code.jump_if(If.EQUAL, R0, 0, "pass")
        code.move(R9, R0)
        code.set(R1, 1)
        code.call(Helper.GET_CURRENT_ANCESTOR_CGROUP_ID)
        code.load(R1, R9, layout.GROUP)
        code.jump_if_registers(If.NOT_EQUAL, R0, R1, "pass")
        code.call(Helper.GET_CURRENT_UID_GID)
        code.narrow(R0)
        code.load(R1, R9, layout.UID, 4)
        code.jump_if_registers(If.NOT_EQUAL, R0, R1, "other")
        code.load(R1, R9, layout.IS_ON, 4)
        code.jump_if(If.EQUAL, R1, 0, "idle")

    def end(self) -> None:
        """Refusals, told and answered; and who passes."""
        code = self.code
        code.jump("pass")
        code.label("refuse")
        for offset in range(0, EVENT.size, 8):
            code.store_value(FP, _EVENT + offset, 0)
        for place, slot in enumerate((OP, NODE, LEVEL)):
            code.load(R1, FP, slot)
            code.store(FP, _EVENT + 4 * place, R1, 4)
        code.store(FP, _EVENT + 12, R8, 4)
        code.load(R7, FP, OBJECT)
        parent, name, _ = self._members
        for index in range(layout.NAMES_TOLD):
            code.jump_if(If.EQUAL, R7, 0, "tell")
            self._read_entry()
            code.jump_if(If.NOT_EQUAL, R0, 0, "tell")
            self._member(R7, parent)
            code.address(R1, _EVENT + _HEAD_BYTES + index * layout.TOLD_BYTES)
            code.set(R2, layout.TOLD_BYTES)
            self._member(R3, name)
            code.call(Helper.PROBE_READ_KERNEL_STR)
        code.label("tell")
        code.map(R1, self.maps.log)
        code.address(R2, _EVENT)
        code.set(R3, _OVERWRITE)
        code.call(Helper.MAP_PUSH)
        code.load(R1, R9, layout.ERRNO, 4)
        # The verifier (since 6.12) wants to see a result that can be an errno.
        code.do(Do.AND, R1, 0xFFF)
        code.set(R0, 0)
        code.combine(Do.SUBTRACT, R0, R1)
        code.exit()
        code.label("idle")
        if self.is_door:
            self._begin_with_gate()
            code.jump("pass")
        code.label("other")
        if self.is_marking:
            self._mark()
        code.label("pass")
        code.set(R0, 0)
        code.exit()

    def _mark(self) -> None:
        """What root looks at in the target's group, before there is a target, is marked."""
        code = self.code
        code.load(R1, R9, layout.MARKING, 4)
        code.jump_if(If.EQUAL, R1, 0, "pass")
        code.jump_if(If.NOT_EQUAL, R0, 0, "pass")
        self.argument(R7, "path")
        self.fetch(R7, R7, self.types.offset("path", "dentry"))
        self.fetch(R1, R7, self.types.offset("dentry", "d_inode"))
        code.store(FP, SCRATCH, R1)
        code.map(R1, self.maps.marks)
        code.address(R2, SCRATCH)
        code.move(R3, R9)
        code.do(Do.ADD, R3, layout.NEW_MARK)
        code.set(R4, 0)
        code.call(Helper.MAP_UPDATE)

    def _begin_with_gate(self) -> None:
        """Who executes the gate is confined from here on; what became of it so far was ours."""
        code = self.code
        self.argument(R7, "file")
        self.fetch(R1, R7, self.types.offset("file", "f_flags"), 4)
        code.jump_if(If.ANY_BIT, R1, FMODE_EXEC, "is executed")
        code.jump("pass")
        code.label("is executed")
        self.fetch(R1, R7, self.types.offset("file", "f_inode"))
        self.mark_of(R1)
        code.jump_if(If.EQUAL, R0, 0, "pass")
        code.load(R1, R0, layout.FLAGS, 4)
        code.jump_if(If.ANY_BIT, R1, layout.IS_GATE, "is the gate")
        code.jump("pass")
        code.label("is the gate")
        code.store_value(R9, layout.IS_ON, 1, 4)

    def keep_first(self) -> None:
        """What the first walk of two found."""
        for place, slot in (
            (ALLOWED, FIRST_ALLOWED),
            (NODE, FIRST_NODE),
            (OBJECT, FIRST_OBJECT),
            (LEVEL, FIRST_LEVEL),
        ):
            self.code.load(R1, FP, place)
            self.code.store(FP, slot, R1)

    def no_weaker(self, before: int, after: int, label: str) -> None:
        """Refuse that an object comes under a name at which more is permitted of it."""
        code = self.code
        code.load(R1, FP, before)
        code.do(Do.XOR, R1, ALL)
        code.load(R2, FP, after)
        code.combine(Do.AND, R1, R2)
        code.do(Do.AND, R1, READ | WRITE | EXECUTE)
        code.jump_if(If.EQUAL, R1, 0, label)
        for place, slot in ((NODE, FIRST_NODE), (OBJECT, FIRST_OBJECT), (LEVEL, FIRST_LEVEL)):
            code.load(R1, FP, slot)
            code.store(FP, place, R1)
        code.jump("refuse")
        code.label(label)
