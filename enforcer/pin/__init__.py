"""Names resolved once, in one task's view, to an object; the call then acts on that object.

Everything here answers like the kernel: a result >= 0 or -errno. See the functions below.

The signatures (bodies land in the modules named; import from `enforcer.pin`):

Judge = Callable[[tuple[str, ...], int], int]
    judge(names, missing) -> 0 to permit, else the positive errno to answer with. `names` are the
    canonical names in argument order (surrogate escapes, as os.fsdecode); bit i of `missing` says
    that the directory of name i does not exist. May be called several times for one call (first
    on the lexical name): the LAST answer counts, so keep the Decision in the closure and log late.

class View(tid: int, tgid: int, *, fixed_root=False, fixed_credentials=False, validate=None)
    One task as it sees names. Holds no kernel state: make one a task, keep it as long as you like.
    `fixed_root`: the sandbox can never change root or mount namespace (filter denies chroot,
    pivot_root, setns, unshare, clone with CLONE_NEWNS|NEWUSER), so the supervisor's are the same.
    `fixed_credentials`: no call that changes credentials or user namespace is ever permitted.
    `validate()` (settable attribute) is called after /proc/TID was looked at and before anything is
    decided; it raises TargetGone when the call is no longer held (SECCOMP_IOCTL_NOTIF_ID_VALID).

lexical(name: bytes) -> bytes | None
    `//` and inner `/./` cleaned; None when the step-by-step way is needed.

open_judged(view, dirfd: int, name: bytes, flags: int, mode: int, judge, *,
            resolve: int | None = None) -> int
    open/openat/creat (resolve None: flags sanitised as build_open_how does) or openat2 (resolve =
    how.resolve, flags strict). Returns a descriptor of the supervisor (O_CLOEXEC; caller injects
    and closes it) or -errno. `dirfd` is the target's, AT_FDCWD is -100 (signed!). May block
    (FIFO without a peer); a handled signal sent to the thread makes it return -EINTR.

resolve(view, dirfd: int, name: bytes, *, follow: bool = True, empty: bool = False) -> Pinned
    Pinned: .name (str, canonical), .missing (bool: directory does not exist), .exists (bool),
    .fd (O_PATH descriptor of the object or -1), .parent (O_PATH descriptor of its directory or -1),
    .leaf (bytes), .errno (0, or why the walk ended: ENOENT, ENOTDIR, EACCES, ELOOP...), .magic
    (reached through a magic link: reopen through the descriptor only), .close(); context manager.
    Does not raise for names that fail: .errno says so, .name is what is to be judged.

performs(call: str) -> bool
perform(view, abi: str, call: str, args: Sequence[int], judge) -> int
    Reads the path arguments of the target once, resolves, judges, does the call on the pinned
    objects with the target's umask and credentials, writes results to the target's memory.
    Raises nothing but TargetGone; unreadable memory is -EFAULT (judge is then not called).
    `abi` is "x86_64", "i386"... (as in enforcer.arch); socketcall must be split before.
"""

from __future__ import annotations

from enforcer.pin.lexical import lexical
from enforcer.pin.opening import Judge, open_judged
from enforcer.pin.performing import perform, performed, performs
from enforcer.pin.resolution import Pinned, resolve
from enforcer.pin.view import TargetGone, View

__all__ = [
    "Judge",
    "Pinned",
    "TargetGone",
    "View",
    "lexical",
    "open_judged",
    "perform",
    "performed",
    "performs",
    "resolve",
]
