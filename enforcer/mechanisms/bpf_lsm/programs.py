"""Our programs: one for each hook, the same for every policy, which stands in their maps.

Each goes from the object's directory entry up through its file system to the nearest mark, so that
it judges the object and where that lies, and no spelling. An address in the kernel is an object's
name here: whoever marks it holds it open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from enforcer.kernel.btf import Types
from enforcer.mechanisms.bpf_lsm import layout
from enforcer.mechanisms.bpf_lsm.assembler import FP, R1, R2, R7, R8, Assembly, Do, If
from enforcer.mechanisms.bpf_lsm.layout import Op
from enforcer.mechanisms.bpf_lsm.writer import (
    ALLOWED,
    CHANGE,
    CREATE,
    EXECUTE,
    FIRST_ALLOWED,
    FIRST_LEVEL,
    FIRST_NODE,
    FLAGS,
    FMODE_EXEC,
    LOOK,
    OP,
    READ,
    REMOVE,
    WRITE,
    Maps,
    Writer,
)

FMODE_READ, FMODE_WRITE = 1, 2
O_TRUNC = 0x200
PROT_EXEC = 4
MAY_ACCESS, MAY_CHDIR = 0x10, 0x40
ATTR_SIZE, ATTR_FORCE = 1 << 3, 1 << 9
RENAME_EXCHANGE = 2


def _opened(w: Writer, op: Op) -> None:
    """Of a file what it can be used for."""
    code = w.code
    w.is_door = op is Op.OPEN
    w.argument(R7, "file")
    w.fetch(R1, R7, w.types.offset("file", "f_inode"))
    code.store(FP, FIRST_ALLOWED, R1)  # only kept there
    w.fetch(R1, R7, w.types.offset("file", "f_flags"), 4)
    code.store(FP, FIRST_NODE, R1)
    w.fetch(R1, R7, w.types.offset("file", "f_mode"), 4)
    code.store(FP, FIRST_LEVEL, R1)
    w.entry_of_file(R7, R7)
    w.object(R7, op)
    code.load(R1, FP, FIRST_NODE)
    if op is Op.OPEN:
        code.jump_if(If.ANY_BIT, R1, FMODE_EXEC, "execute")
        code.jump_if(If.ANY_BIT, R1, O_TRUNC, "truncate")
    code.load(R2, FP, FIRST_LEVEL)
    code.label("modes")
    code.jump_if(If.ANY_BIT, R2, FMODE_READ, "read")
    code.jump("after_read")
    code.label("read")
    code.do(Do.OR, R8, READ)
    code.label("after_read")
    code.jump_if(If.ANY_BIT, R2, FMODE_WRITE, "write")
    code.jump("judge")
    code.label("write")
    code.do(Do.OR, R8, WRITE)
    code.jump("judge")
    if op is Op.OPEN:
        code.label("truncate")
        code.set(R8, WRITE)
        code.load(R2, FP, FIRST_LEVEL)
        code.jump("modes")
        code.label("execute")
        code.set(R8, EXECUTE)
        code.store_value(FP, OP, Op.EXECUTE)
    code.label("judge")
    # What an overlay shows is the object of another file system (up to 6.4 with this entry).
    code.load(R1, FP, FIRST_ALLOWED)
    w.own(R1, "not_marked")
    w.walk("")
    w.require()


def _executable(w: Writer, file: Callable[[], None]) -> None:
    """A file whose pages become code, where a rule speaks of the place."""
    w.argument(R1, "prot")
    w.code.jump_if(If.ANY_BIT, R1, PROT_EXEC, "executable")
    w.code.jump("pass")
    w.code.label("executable")
    file()
    w.code.jump_if(If.EQUAL, R7, 0, "pass")
    w.entry_of_file(R7, R7)
    w.code.set(R8, EXECUTE)
    w.object(R7, Op.MAP)
    w.walk("")
    w.code.load(R1, FP, FLAGS)
    w.code.jump_if(If.ANY_BIT, R1, layout.SPOKEN, "spoken")
    w.code.jump("pass")
    w.code.label("spoken")
    w.require()


def _mapped(w: Writer) -> None:
    _executable(w, lambda: w.argument(R7, "file"))


def _protected(w: Writer) -> None:
    def file() -> None:
        w.argument(R7, "vma")
        w.fetch(R7, R7, w.types.offset("vm_area_struct", "vm_file"))

    _executable(w, file)


def _looked_at(w: Writer) -> None:
    w.is_marking = True
    w.argument(R7, "path")
    w.fetch(R7, R7, w.types.offset("path", "dentry"))
    _on_entry(w, Op.LOOK, LOOK)


def _on_entry(w: Writer, op: Op, kind: int) -> None:
    w.code.set(R8, kind)
    w.object(R7, op)
    w.walk("")
    w.require()


def _of(op: Op, kind: int) -> Callable[[Writer], None]:
    """One kind of access to an entry that the hook is told."""

    def write(w: Writer) -> None:
        w.argument(R7, "dentry")
        _on_entry(w, op, kind)

    return write


def _permission(w: Writer) -> None:
    """access(2) and chdir(2): no entry is known here, so the object's own mark alone decides."""
    w.argument(R1, "mask")
    w.code.jump_if(If.ANY_BIT, R1, MAY_ACCESS | MAY_CHDIR, "asked")
    w.code.jump("pass")
    w.code.label("asked")
    w.code.set(R8, LOOK)
    w.code.store_value(FP, OP, Op.LOOK)
    w.argument(R7, "inode")
    w.own(R7, "not_marked")


def _attributes(w: Writer) -> None:
    code = w.code
    w.argument(R7, "attr")
    w.fetch(R7, R7, w.types.offset("iattr", "ia_valid"), 4)
    code.set(R8, WRITE)
    code.jump_if(If.ANY_BIT, R7, ATTR_SIZE, "changed")
    # The kernel's own: who writes to a program loses its set-user-id bit.
    code.jump_if(If.ANY_BIT, R7, ATTR_FORCE, "pass")
    code.set(R8, CHANGE)
    code.label("changed")
    w.argument(R7, "dentry")
    w.object(R7, Op.CHANGE)
    w.walk("")
    w.require()


def _two(op: Op, first: int, second: int) -> Callable[[Writer], None]:
    """Of two names; an exchange takes each of both."""

    def write(w: Writer) -> None:
        code = w.code
        code.set(R8, first)
        if op is Op.RENAME:
            w.argument(R1, "flags")
            code.jump_if(If.ANY_BIT, R1, RENAME_EXCHANGE, "exchange")
            code.jump("one_way")
            code.label("exchange")
            code.do(Do.OR, R8, second)
            code.label("one_way")
        w.argument(R7, "new_dentry")
        code.store(FP, FIRST_LEVEL, R7)  # only kept there
        w.argument(R7, "old_dentry")
        w.object(R7, op)
        w.walk("old ")
        w.require()
        code.load(R7, FP, FIRST_LEVEL)
        w.keep_first()
        w.object(R7, op)
        code.jump_if(If.ANY_BIT, R8, second, "both")
        code.set(R8, second)
        code.label("both")
        w.walk("new ")
        w.require()
        w.no_weaker(FIRST_ALLOWED, ALLOWED, "no weaker")
        if op is Op.RENAME:
            code.jump_if(If.ANY_BIT, R8, first, "back")
            code.jump("pass")
            code.label("back")
            w.no_weaker(ALLOWED, FIRST_ALLOWED, "no weaker back")

    return write


HOOKS: Mapping[str, Callable[[Writer], None]] = {
    "file_open": lambda w: _opened(w, Op.OPEN),
    "file_receive": lambda w: _opened(w, Op.RECEIVE),
    "mmap_file": _mapped,
    "file_mprotect": _protected,
    "inode_getattr": _looked_at,
    "inode_readlink": _of(Op.LOOK, LOOK),
    "inode_getxattr": _of(Op.LOOK, LOOK),
    "inode_listxattr": _of(Op.LOOK, LOOK),
    "inode_permission": _permission,
    "inode_setattr": _attributes,
    "inode_setxattr": _of(Op.CHANGE, CHANGE),
    "inode_removexattr": _of(Op.CHANGE, CHANGE),
    "inode_set_acl": _of(Op.CHANGE, CHANGE),
    "inode_remove_acl": _of(Op.CHANGE, CHANGE),
    "path_mknod": _of(Op.MAKE, CREATE),
    "path_mkdir": _of(Op.MAKE, CREATE),
    "path_symlink": _of(Op.MAKE, CREATE),
    "path_unlink": _of(Op.REMOVE, REMOVE),
    "path_rmdir": _of(Op.REMOVE, REMOVE),
    "path_rename": _two(Op.RENAME, REMOVE, CREATE),
    "path_link": _two(Op.LINK, WRITE, CREATE),
}
LATER = frozenset({"inode_set_acl", "inode_remove_acl"})
"""Hooks since 6.2; before, these attributes are set as all others are."""


def program(hook: str, maps: Maps, types: Types) -> bytes:
    """The program of one hook, as this kernel wants it. Raises BtfError."""
    names = types.functions[f"bpf_lsm_{hook}"].parameters
    writer = Writer(
        maps=maps,
        types=types,
        parameters=tuple(name.removesuffix("__nullable") for name in names),
        code=Assembly(),
    )
    writer.begin()
    HOOKS[hook](writer)
    writer.end()
    return writer.code.assembled()
