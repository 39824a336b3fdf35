"""What each call belongs to: aliases, calls that do the same, and who may perform it."""

from __future__ import annotations

import pytest

from enforcer.arch import ABIS
from enforcer.condition import TRUE, Compare, Operator
from enforcer.syscalls import names, number, syscall
from enforcer.syscalls.model import Membership

READS = """
    name_to_handle_at open_tree open_tree_attr uselib stat stat64 oldstat lstat lstat64 oldlstat
    newfstatat fstatat64 statx access faccessat faccessat2 readlink readlinkat statfs statfs64
    getxattr lgetxattr getxattrat listxattr llistxattr listxattrat file_getattr inotify_add_watch
    fanotify_mark
"""
WRITES = """
    creat mkdir mkdirat mknod mknodat rmdir unlink unlinkat rename renameat renameat2 link linkat
    symlink symlinkat truncate truncate64 chmod fchmod fchmodat fchmodat2 chown chown32 fchown
    fchown32 lchown lchown32 fchownat utime utimes futimesat utimensat utimensat_time64 setxattr
    lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr
    acct spu_create swapon
"""
"""What looks at an object by its name, and what changes one or what a name means."""

OPENS = {"open": 1, "openat": 2, "open_by_handle_at": 2}
"""Either, by the open flags in this register."""

SAME = """
    open openat openat2 creat open_by_handle_at
    access faccessat faccessat2
    readlink readlinkat
    statfs statfs64
    fstatfs fstatfs64
    inotify_add_watch fanotify_mark
    mkdir mkdirat
    mknod mknodat
    rename renameat renameat2
    link linkat
    symlink symlinkat
    truncate truncate64
    ftruncate ftruncate64
    utime utimes futimesat utimensat utimensat_time64
    chdir fchdir
    umount umount2
    quotactl quotactl_fd
    close close_range
    pipe pipe2
    eventfd eventfd2
    epoll_create epoll_create1
    epoll_wait epoll_pwait epoll_pwait2
    inotify_init inotify_init1
    signalfd signalfd4
    timerfd_settime timerfd_settime64
    timerfd_gettime timerfd_gettime64
    select _newselect pselect6 pselect6_time64
    poll ppoll ppoll_time64
    read readv pread64 preadv preadv2
    write writev pwrite64 pwritev pwritev2
    lseek _llseek
    sendfile sendfile64 copy_file_range splice
    getdents getdents64 readdir
    fadvise64 fadvise64_64 arm_fadvise64_64
    sync_file_range sync_file_range2 arm_sync_file_range
    sync syncfs
    fsync fdatasync
    io_getevents io_pgetevents io_pgetevents_time64
    accept accept4
    send sendto sendmsg sendmmsg
    recv recvfrom recvmsg recvmmsg recvmmsg_time64
    execve execveat
    fork vfork clone clone3
    exit exit_group
    wait4 waitid waitpid
    kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal
    process_vm_readv process_vm_writev ptrace
    prctl seccomp
    getpgid getpgrp
    setpriority nice
    sched_setparam sched_setscheduler sched_setattr
    sched_rr_get_interval sched_rr_get_interval_time64
    getgroups getgroups32
    setuid setuid32 setreuid setreuid32 setresuid setresuid32
    setgid setgid32 setregid setregid32 setresgid setresgid32
    setfsuid setfsuid32
    setfsgid setfsgid32
    setgroups setgroups32
    mmap mmap2 remap_file_pages
    mprotect pkey_mprotect
    mlock mlock2
    rt_sigaction sigaction signal
    rt_sigprocmask sigprocmask ssetmask
    rt_sigpending sigpending
    rt_sigsuspend sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64
    rt_sigreturn sigreturn
    alarm setitimer timer_settime timer_settime64
    timer_gettime timer_gettime64
    time gettimeofday clock_gettime clock_gettime64
    stime settimeofday adjtimex clock_settime clock_settime64 clock_adjtime clock_adjtime64
    clock_getres clock_getres_time64
    clock_nanosleep clock_nanosleep_time64 nanosleep
    futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue
    semop semtimedop semtimedop_time64
    mq_timedsend mq_timedsend_time64
    mq_timedreceive mq_timedreceive_time64
    uname olduname oldolduname
    init_module finit_module
    kexec_load kexec_file_load
"""
"""Each line: calls every one of which does what every other does, for some arguments."""

GENERAL = """
    open_tree: open_tree_attr
    open_tree_attr: mount_setattr open_tree
    stat stat64 oldstat: fstatat64 newfstatat statx
    lstat lstat64 oldlstat: fstatat64 newfstatat statx
    newfstatat fstatat64 statx: fstat fstat64 lstat lstat64 oldfstat oldlstat oldstat stat stat64
    fstat fstat64 oldfstat: fstatat64 newfstatat statx
    getxattr: getxattrat
    lgetxattr: getxattrat
    fgetxattr: getxattrat
    getxattrat: fgetxattr getxattr lgetxattr
    listxattr: listxattrat
    llistxattr: listxattrat
    flistxattr: listxattrat
    listxattrat: flistxattr listxattr llistxattr
    rmdir: unlinkat
    unlink: unlinkat
    unlinkat: rmdir unlink
    chmod fchmodat: fchmodat2
    fchmod: fchmodat2
    fchmodat2: chmod fchmod fchmodat
    chown chown32: fchownat
    lchown lchown32: fchownat
    fchown fchown32: fchownat
    fchownat: chown chown32 fchown fchown32 lchown lchown32
    setxattr: setxattrat
    lsetxattr: setxattrat
    fsetxattr: setxattrat
    setxattrat: fsetxattr lsetxattr setxattr
    removexattr: removexattrat
    lremovexattr: removexattrat
    fremovexattr: removexattrat
    removexattrat: fremovexattr lremovexattr removexattr
    mount_setattr: open_tree_attr
    dup dup2 dup3: fcntl fcntl64
    fcntl fcntl64: dup dup2 dup3 flock
    flock: fcntl fcntl64
    sched_getparam: sched_getattr
    sched_getscheduler: sched_getattr
    sched_getattr: sched_getparam sched_getscheduler
    getrlimit ugetrlimit: prlimit64
    setrlimit: prlimit64
    prlimit64: getrlimit setrlimit ugetrlimit
    getuid getuid32: getresuid getresuid32
    getgid getgid32: getresgid getresgid32
    geteuid geteuid32: getresuid getresuid32
    getegid getegid32: getresgid getresgid32
    getresuid getresuid32: geteuid geteuid32 getuid getuid32
    getresgid getresgid32: getegid getegid32 getgid getgid32
"""
"""Each line: calls that share what is behind the colon, which are not all the same themselves."""

STRONGER = """
    truncate: open openat openat2 creat
    mknod mknodat: bind
    mount: move_mount fsmount
    chroot: pivot_root
    unshare: clone clone3
    connect: sendto sendmsg sendmmsg
    read: sendfile sendfile64 splice copy_file_range io_submit
    read: recv recvfrom recvmsg recvmmsg recvmmsg_time64
    write: sendfile sendfile64 splice copy_file_range io_submit vmsplice
    write: send sendto sendmsg sendmmsg
"""
"""Each line: calls, and others that can do the same and more."""

DESCRIPTORS = """
    open openat openat2 creat open_by_handle_at open_tree open_tree_attr fsopen fspick fsmount dup
    dup2 dup3 eventfd eventfd2 epoll_create epoll_create1 inotify_init inotify_init1 fanotify_init
    signalfd signalfd4 timerfd_create memfd_create memfd_secret userfaultfd io_uring_setup socket
    accept accept4 pidfd_open pidfd_getfd landlock_create_ruleset mq_open perf_event_open spu_create
"""
"""Calls whose value is a new descriptor."""

GONE = """
    lookup_dcookie epoll_ctl_old epoll_wait_old timerfd bdflush _sysctl afs_syscall break
    create_module ftime get_kernel_syms getpmsg gtty idle lock mpx multiplexer nfsservctl prof
    profil putpmsg query_module security stty tuxcall ulimit vserver
"""
"""Numbers that fail in every kernel of the table."""

CARRIERS = "io_uring_setup io_uring_enter io_uring_register"

ALONE = """
    uselib chdir fchdir chroot pivot_root mount umount umount2 move_mount mount_setattr fsopen
    fspick fsconfig fsmount umask close close_range dup dup2 dup3 fcntl fcntl64 pipe pipe2 signalfd
    signalfd4 userfaultfd io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
    io_pgetevents_time64 io_uring_setup io_uring_enter io_uring_register socketpair execve execveat
    fork vfork clone clone3 exit exit_group wait4 waitid waitpid ptrace prctl arch_prctl seccomp
    landlock_restrict_self lsm_get_self_attr lsm_set_self_attr unshare setns personality gettid
    getpid getppid getpgrp setpgid setsid nice sched_yield getrlimit ugetrlimit setrlimit getrusage
    times membarrier rseq rseq_slice_yield set_tid_address set_robust_list restart_syscall vhangup
    getuid getuid32 getgid getgid32 geteuid geteuid32 getegid getegid32 getresuid getresuid32
    getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32
    setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid
    setfsgid32 setgroups setgroups32 capset brk mmap mmap2 munmap mremap mprotect pkey_mprotect
    pkey_alloc pkey_free mseal madvise mincore mlock mlock2 mlockall munlock munlockall msync
    remap_file_pages map_shadow_stack mbind get_mempolicy set_mempolicy set_mempolicy_home_node
    modify_ldt set_thread_area get_thread_area subpage_prot rt_sigaction rt_sigprocmask
    rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_sigreturn sigreturn
    sigaction sigprocmask sigpending sigsuspend sigaltstack signal sgetmask ssetmask pause alarm
    getitimer setitimer timer_create timer_settime timer_settime64 timer_gettime timer_gettime64
    timer_getoverrun timer_delete clock_nanosleep clock_nanosleep_time64 nanosleep futex
    futex_time64 futex_waitv futex_wait futex_wake futex_requeue shmat shmdt mq_notify keyctl getcpu
    ioperm iopl vm86 vm86old uprobe uretprobe breakpoint cacheflush usr26 usr32 set_tls get_tls
    riscv_flush_icache s390_guarded_storage s390_runtime_instr spu_create spu_run swapcontext
    switch_endian sys_debug_setcontext
"""
"""Calls that nobody can make for another: they act on the caller's own memory, ids, descriptors,
limits, signals, directories, mounts or time."""


def pairs(text: str, *, within: bool) -> set[tuple[str, str]]:
    """(call, another that does the same) of every line."""
    found: set[tuple[str, str]] = set()
    for line in text.strip().splitlines():
        left, colon, right = line.partition(":")
        group = left.split()
        if within:
            found.update((one, other) for one in group for other in group if one != other)
        if colon:
            found.update((one, other) for one in group for other in right.split())
    return found


EQUIVALENTS = pairs(SAME, within=True) | pairs(STRONGER, within=False)
for _line in GENERAL.strip().splitlines():
    EQUIVALENTS |= pairs(_line, within=True)


def test_equivalents() -> None:
    """What does the same by another name, in full."""
    for call in sorted(names()):
        expected = {other for one, other in EQUIVALENTS if one == call}
        assert syscall(call).equivalents == expected, call


def test_memberships() -> None:
    """Reading, writing, either by open flags (O_ACCMODE, O_CREAT, O_TRUNC), by memory, or none."""
    for call in sorted(names()):
        assert syscall(call).aliases == memberships(call), call


def memberships(call: str) -> tuple[Membership, ...]:
    """What the tables above say of a call."""
    if call in READS.split():
        return (Membership(alias="fsread", when=TRUE),)
    if call in WRITES.split():
        return (Membership(alias="fswrite", when=TRUE),)
    if call in OPENS:
        reads = Compare(OPENS[call], Operator.EQ, 0, 0o3 | 0o100 | 0o1000)
        writes = Compare(OPENS[call], Operator.NE, 0, 0o3 | 0o100 | 0o1000)
        return (
            Membership(alias="fsread", when=reads),
            Membership(alias="fswrite", when=writes),
        )
    if call == "openat2":
        return (Membership(alias="fsread", when=None), Membership(alias="fswrite", when=None))
    return (Membership(alias="fswrite", when=None),) if call == "bind" else ()


@pytest.mark.parametrize(
    ("attribute", "calls"),
    [
        ("returns_fd", DESCRIPTORS),
        ("carrier", CARRIERS),
        ("acts_on_caller", ALONE),
    ],
)
def test_attributes(attribute: str, calls: str) -> None:
    """Exactly these calls have it."""
    assert {call for call in names() if getattr(syscall(call), attribute)} == set(calls.split())


def test_numbers_without_a_call() -> None:
    """Exactly these are not implemented any more."""
    assert {call for call in names() if not syscall(call).implemented} == set(GONE.split())


@pytest.mark.parametrize("abi", ABIS)
def test_classes_are_the_same_on_every_abi(abi: str) -> None:
    """Only registers differ."""
    for call in names():
        if number(abi, call) is not None:
            own, common = syscall(call, abi), syscall(call)
            assert own.equivalents == common.equivalents, call
            assert own.aliases == common.aliases, call
            for attribute in ("returns_fd", "carrier", "acts_on_caller", "implemented"):
                assert getattr(own, attribute) == getattr(common, attribute), call
