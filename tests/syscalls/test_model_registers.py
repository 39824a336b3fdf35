"""Every other argument of every call, by the kernel's prototypes: what stands in which register.

The table is turned round (calls by what they have in a register), so that no line of it can be
copied from the model's.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from enforcer.arch import ABIS
from enforcer.syscalls import names, number, syscall
from enforcer.syscalls.model import Argument, Kind

JUDGED = """
argv 1
    execve
argv 2
    execveat
cmd 0
    quotactl sysfs socketcall prctl arch_prctl seccomp membarrier ipc syslog bpf keyctl
    s390_guarded_storage s390_runtime_instr
cmd 1
    fsconfig quotactl_fd fcntl fcntl64 ioctl flock epoll_ctl io_uring_register futex futex_time64
    msgctl shmctl
cmd 2
    kcmp semctl reboot
cmd/64 0
    ptrace vm86
fd 0
    openat openat2 open_by_handle_at name_to_handle_at open_tree open_tree_attr newfstatat fstatat64
    statx fstat fstat64 oldfstat faccessat faccessat2 readlinkat fstatfs fstatfs64 fgetxattr
    getxattrat flistxattr listxattrat file_getattr inotify_add_watch fanotify_mark mkdirat mknodat
    unlinkat renameat renameat2 linkat ftruncate ftruncate64 fallocate fchmod fchmodat fchmodat2
    fchown fchown32 fchownat futimesat utimensat utimensat_time64 fsetxattr setxattrat fremovexattr
    removexattrat file_setattr fchdir move_mount mount_setattr fspick fsconfig fsmount quotactl_fd
    close close_range dup dup2 dup3 fcntl fcntl64 ioctl flock epoll_ctl epoll_wait epoll_pwait
    epoll_pwait2 inotify_rm_watch signalfd signalfd4 timerfd_settime timerfd_settime64
    timerfd_gettime timerfd_gettime64 read write readv writev pread64 pwrite64 preadv pwritev
    preadv2 pwritev2 lseek _llseek sendfile sendfile64 copy_file_range splice tee vmsplice getdents
    getdents64 readdir readahead fadvise64 fadvise64_64 arm_fadvise64_64 sync_file_range
    sync_file_range2 arm_sync_file_range cachestat syncfs fsync fdatasync io_uring_enter
    io_uring_register bind connect listen accept accept4 getsockname getpeername send sendto sendmsg
    sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 setsockopt getsockopt shutdown execveat
    pidfd_send_signal pidfd_getfd process_madvise process_mrelease landlock_add_rule
    landlock_restrict_self setns mq_timedsend mq_timedsend_time64 mq_timedreceive
    mq_timedreceive_time64 mq_notify mq_getsetattr finit_module kexec_file_load spu_run
fd 1
    symlinkat dup2 dup3 sendfile sendfile64 tee kexec_file_load
fd 2
    renameat renameat2 linkat move_mount epoll_ctl copy_file_range splice
fd 3
    fanotify_mark perf_event_open spu_create
fd 4
    mmap mmap2
flags 0
    epoll_create1 inotify_init1 fanotify_init memfd_secret userfaultfd clone personality mlockall
flags 1
    fanotify_mark umount2 fsopen fsmount swapon pipe2 eventfd2 fanotify_init timerfd_create
    timerfd_settime timerfd_settime64 memfd_create sync_file_range2 arm_sync_file_range pidfd_open
    process_mrelease seccomp landlock_restrict_self setns membarrier timer_settime timer_settime64
    clock_nanosleep clock_nanosleep_time64 futex_requeue msgget delete_module spu_create
flags 2
    open_tree open_tree_attr statx getxattrat listxattrat inotify_add_watch unlinkat setxattrat
    removexattrat mount_setattr fspick close_range dup3 sendmsg recvmsg wait4 waitpid pidfd_getfd
    landlock_create_ruleset lsm_list_modules sched_setattr rseq mlock2 msync map_shadow_stack
    futex_waitv semget shmget shmat finit_module getrandom cacheflush
flags 3
    newfstatat fstatat64 faccessat2 fchmodat2 utimensat utimensat_time64 statmount listmount listns
    signalfd4 tee vmsplice sync_file_range cachestat io_uring_enter accept4 send sendto sendmmsg
    recv recvfrom recvmmsg recvmmsg_time64 waitid pidfd_send_signal landlock_add_rule
    lsm_get_self_attr lsm_set_self_attr sched_getattr mmap mmap2 futex_wait futex_wake msgsnd
flags 4
    name_to_handle_at file_getattr renameat2 linkat fchownat setxattr lsetxattr fsetxattr
    file_setattr move_mount execveat process_madvise msgrcv riscv_hwprobe
flags 5
    preadv2 pwritev2 copy_file_range splice mbind move_pages
flags/64 0
    unshare pkey_alloc
flags/64 2
    mseal riscv_flush_icache
flags/64 3
    mount mremap set_mempolicy_home_node kexec_load s390_sthyi
flags/64 4
    remap_file_pages get_mempolicy kexec_file_load perf_event_open
flags/64 5
    process_vm_readv process_vm_writev
gid 0
    setgid setgid32 setregid setregid32 setresgid setresgid32 setfsgid setfsgid32
gid 1
    setregid setregid32 setresgid setresgid32
gid 2
    chown chown32 lchown lchown32 fchown fchown32 setresgid setresgid32
gid 3
    fchownat
mode 0
    umask
mode 1
    creat mkdir mknod chmod fchmod
mode 2
    open mkdirat mknodat fchmodat fchmodat2 mq_open spu_create
mode 3
    openat
oflags 1
    open mq_open
oflags 2
    openat open_by_handle_at
pid 0
    wait4 waitpid kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open process_vm_readv
    process_vm_writev kcmp getpgid getsid setpgid sched_setparam sched_getparam sched_setscheduler
    sched_getscheduler sched_setattr sched_getattr sched_setaffinity sched_getaffinity
    sched_rr_get_interval sched_rr_get_interval_time64 prlimit64 get_robust_list migrate_pages
    move_pages
pid 1
    waitid tgkill rt_tgsigqueueinfo ptrace kcmp perf_event_open
prot 2
    mmap mmap2
prot/64 2
    mprotect pkey_mprotect remap_file_pages
signal 0
    rt_sigaction sigaction signal
signal 1
    kill tkill rt_sigqueueinfo pidfd_send_signal s390_runtime_instr
signal 2
    tgkill rt_tgsigqueueinfo
sockaddr[2] 1
    bind connect
sockaddr[5] 4
    sendto
sockdom 0
    socket socketpair
socktype 1
    socket socketpair
string 0
    symlink symlinkat mount fsopen memfd_create mq_open mq_unlink delete_module add_key request_key
string 1
    getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
    finit_module add_key request_key
string 2
    mount fsconfig init_module request_key
string 3
    getxattrat setxattrat removexattrat kexec_file_load
string[1] 0
    sethostname setdomainname
struct:bpf_attr[2] 1
    bpf
struct:clone_args[1] 0
    clone3
struct:mmsghdr 1
    sendmmsg
struct:mount_attr[4] 3
    open_tree_attr mount_setattr
struct:msghdr 1
    sendmsg
struct:open_how[3] 2
    openat2
struct:perf_event_attr 0
    perf_event_open
struct:sched_attr 1
    sched_setattr
uid 0
    setuid setuid32 setreuid setreuid32 setresuid setresuid32 setfsuid setfsuid32
uid 1
    chown chown32 lchown lchown32 fchown fchown32 setreuid setreuid32 setresuid setresuid32
uid 2
    fchownat setresuid setresuid32
"""
"""What rules speak of, its register, and the calls that have it there on 64-bit ABIs. 32 bits of it
count (of a mode 16) unless 64 are given; `[N]` is the register that holds its length."""

PLAIN = """
int 0
    ustat eventfd eventfd2 epoll_create timerfd_create select _newselect pselect6 pselect6_time64
    io_setup io_uring_setup exit exit_group waitid lsm_get_self_attr lsm_set_self_attr getpriority
    setpriority nice sched_get_priority_max sched_get_priority_min ioprio_set ioprio_get getrlimit
    ugetrlimit setrlimit getrusage getgroups getgroups32 setgroups setgroups32 pkey_free
    set_mempolicy modify_ldt rt_sigprocmask sigprocmask sigsuspend ssetmask alarm getitimer
    setitimer timer_create timer_settime timer_settime64 timer_gettime timer_gettime64
    timer_getoverrun timer_delete clock_gettime clock_gettime64 clock_settime clock_settime64
    clock_getres clock_getres_time64 clock_adjtime clock_adjtime64 clock_nanosleep
    clock_nanosleep_time64 semget semop semtimedop semtimedop_time64 semctl msgget msgsnd msgrcv
    msgctl shmget shmat shmctl reboot iopl
int 1
    access fallocate close_range inotify_rm_watch poll ppoll ppoll_time64 arm_fadvise64_64
    io_uring_enter listen setsockopt getsockopt shutdown pidfd_getfd landlock_add_rule setpgid
    getpriority setpriority sched_setscheduler sched_setaffinity sched_getaffinity ioprio_set
    ioprio_get prlimit64 rseq sigsuspend futex_waitv semget semctl ipc sethostname setdomainname
    reboot sys_debug_setcontext
int 2
    faccessat faccessat2 readlink mknod fsmount quotactl quotactl_fd epoll_wait epoll_pwait
    epoll_pwait2 poll lseek getdents getdents64 readdir io_uring_enter socket socketpair bind
    connect sendmmsg recvmmsg recvmmsg_time64 setsockopt getsockopt lsm_set_self_attr setpriority
    sched_getattr ioprio_set membarrier madvise futex futex_time64 futex_wake futex_requeue semop
    semtimedop semtimedop_time64 syslog bpf perf_event_open ioperm
int 3
    statx readlinkat mknodat epoll_wait epoll_pwait fadvise64 fadvise64_64 io_uring_register
    process_madvise rseq pkey_mprotect futex_requeue mq_timedsend mq_timedsend_time64 request_key
int 4
    fsconfig _llseek setsockopt futex_waitv bpf add_key
int 5
    sendto futex futex_time64 futex_wait
long 0
    lookup_dcookie io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64
    brk mmap mmap2 munmap mremap mprotect pkey_mprotect mseal madvise mincore mlock mlock2 munlock
    msync remap_file_pages map_shadow_stack mbind set_mempolicy_home_node subpage_prot kexec_load
    ioperm cacheflush set_tls riscv_flush_icache s390_pci_mmio_read s390_pci_mmio_write s390_sthyi
    pciconfig_read pciconfig_write pciconfig_iobase
long 1
    statfs64 fstatfs64 truncate truncate64 ftruncate ftruncate64 getcwd sysfs lseek _llseek
    readahead fadvise64 fadvise64_64 sync_file_range io_submit io_getevents io_pgetevents
    io_pgetevents_time64 clone clone3 prctl arch_prctl landlock_create_ruleset set_robust_list mmap
    mmap2 munmap mremap mprotect pkey_mprotect pkey_alloc mseal madvise mincore mlock mlock2 munlock
    msync remap_file_pages map_shadow_stack mbind set_mempolicy_home_node migrate_pages move_pages
    subpage_prot rt_sigpending rt_sigsuspend signal futex_wait futex_wake shmget init_module
    kexec_load keyctl getrandom ioperm vm86 cacheflush riscv_flush_icache riscv_hwprobe
    pciconfig_read pciconfig_write pciconfig_iobase
long 2
    listxattr llistxattr flistxattr fanotify_mark lookup_dcookie fallocate statmount listmount
    listns sysfs fcntl fcntl64 ioctl signalfd signalfd4 read write readv writev pread64 pwrite64
    preadv pwritev preadv2 pwritev2 _llseek tee vmsplice readahead fadvise64 fadvise64_64
    arm_fadvise64_64 sync_file_range sync_file_range2 arm_sync_file_range io_getevents io_pgetevents
    io_pgetevents_time64 send sendto recv recvfrom process_madvise process_vm_readv
    process_vm_writev ptrace prctl mremap mbind get_mempolicy set_mempolicy set_mempolicy_home_node
    modify_ldt sigsuspend futex_wait msgsnd msgrcv ipc mq_timedsend mq_timedsend_time64
    mq_timedreceive mq_timedreceive_time64 kexec_file_load keyctl riscv_hwprobe s390_pci_mmio_read
    s390_pci_mmio_write pciconfig_read pciconfig_write pciconfig_iobase swapcontext
long 3
    openat2 getxattr lgetxattr fgetxattr file_getattr fallocate setxattr lsetxattr fsetxattr
    file_setattr pread64 pwrite64 preadv pwritev preadv2 pwritev2 sendfile sendfile64
    arm_fadvise64_64 sync_file_range2 arm_sync_file_range ptrace kcmp prctl remap_file_pages
    get_mempolicy rt_sigaction rt_sigprocmask rt_sigtimedwait rt_sigtimedwait_time64 semctl msgrcv
    ipc add_key keyctl pciconfig_read pciconfig_write
long 4
    open_tree_attr listxattrat mount_setattr ppoll ppoll_time64 preadv pwritev preadv2 pwritev2
    copy_file_range splice clone process_vm_readv process_vm_writev kcmp prctl mremap mbind keyctl
long 5
    getxattrat setxattrat epoll_pwait epoll_pwait2 io_uring_enter mmap mmap2 ipc
pointer 0
    statmount listmount listns getcwd pipe pipe2 poll ppoll ppoll_time64 landlock_create_ruleset
    lsm_list_modules times rseq set_tid_address set_robust_list getresuid getresuid32 getresgid
    getresgid32 capget capset get_mempolicy set_thread_area get_thread_area rt_sigpending
    rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 sigpending sigaltstack time stime
    gettimeofday settimeofday adjtimex nanosleep futex futex_time64 futex_waitv futex_wait
    futex_wake futex_requeue shmdt uname olduname oldolduname sysinfo init_module getrandom getcpu
    vm86old riscv_hwprobe rtas swapcontext sys_debug_setcontext _sysctl
pointer 1
    stat stat64 oldstat lstat lstat64 oldlstat fstat fstat64 oldfstat readlink statfs fstatfs ustat
    listxattr llistxattr flistxattr lookup_dcookie utime utimes statmount listmount listns
    epoll_wait epoll_pwait epoll_pwait2 signalfd signalfd4 timerfd_gettime timerfd_gettime64 select
    _newselect pselect6 pselect6_time64 read write readv writev pread64 pwrite64 preadv pwritev
    preadv2 pwritev2 copy_file_range splice vmsplice getdents getdents64 readdir cachestat io_setup
    io_cancel io_uring_setup accept accept4 getsockname getpeername send sendto recv recvfrom
    recvmsg recvmmsg recvmmsg_time64 socketcall wait4 waitpid process_madvise process_vm_readv
    process_vm_writev lsm_get_self_attr lsm_set_self_attr lsm_list_modules sched_setparam
    sched_getparam sched_getattr sched_rr_get_interval sched_rr_get_interval_time64 getrlimit
    ugetrlimit setrlimit getrusage get_robust_list getresuid getresuid32 getresgid getresgid32
    getgroups getgroups32 setgroups setgroups32 capget capset get_mempolicy set_mempolicy modify_ldt
    rt_sigaction rt_sigprocmask rt_sigtimedwait rt_sigtimedwait_time64 sigaction sigprocmask
    sigaltstack getitimer setitimer timer_create timer_gettime timer_gettime64 gettimeofday
    settimeofday clock_gettime clock_gettime64 clock_settime clock_settime64 clock_getres
    clock_getres_time64 clock_adjtime clock_adjtime64 nanosleep semop semtimedop semtimedop_time64
    msgsnd msgrcv shmat mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64
    mq_notify mq_getsetattr syslog getcpu s390_guarded_storage s390_pci_mmio_read
    s390_pci_mmio_write s390_sthyi spu_run swapcontext
pointer 2
    name_to_handle_at newfstatat fstatat64 readlinkat statfs64 fstatfs64 getxattr lgetxattr
    fgetxattr file_getattr futimesat utimensat utimensat_time64 setxattr lsetxattr fsetxattr
    file_setattr timerfd_settime timerfd_settime64 select _newselect pselect6 pselect6_time64 ppoll
    ppoll_time64 sendfile sendfile64 cachestat io_submit io_cancel io_uring_register accept accept4
    getsockname getpeername execve clone waitid rt_sigqueueinfo pidfd_send_signal seccomp
    landlock_add_rule lsm_get_self_attr sched_setscheduler sched_setaffinity sched_getaffinity
    prlimit64 get_robust_list getresuid getresuid32 getresgid getresgid32 mincore migrate_pages
    move_pages subpage_prot rt_sigaction rt_sigprocmask rt_sigtimedwait rt_sigtimedwait_time64
    sigaction sigprocmask setitimer timer_create timer_settime timer_settime64 clock_nanosleep
    clock_nanosleep_time64 msgctl shmctl mq_getsetattr kexec_load add_key getcpu s390_sthyi spu_run
    sys_debug_setcontext
pointer 3
    name_to_handle_at listxattrat fsconfig quotactl quotactl_fd epoll_ctl epoll_pwait2
    timerfd_settime timerfd_settime64 select _newselect pselect6 pselect6_time64 ppoll ppoll_time64
    _llseek copy_file_range splice io_getevents io_pgetevents io_pgetevents_time64 socketpair
    setsockopt getsockopt execveat clone wait4 rt_tgsigqueueinfo process_vm_readv process_vm_writev
    prlimit64 mbind migrate_pages move_pages timer_settime timer_settime64 clock_nanosleep
    clock_nanosleep_time64 futex futex_time64 futex_waitv semtimedop semtimedop_time64 mq_open
    mq_timedreceive mq_timedreceive_time64 reboot bpf riscv_hwprobe
pointer 4
    statx getxattrat setxattrat mount epoll_pwait epoll_pwait2 select _newselect pselect6
    pselect6_time64 io_getevents io_pgetevents io_pgetevents_time64 io_uring_enter recvfrom recvmmsg
    recvmmsg_time64 getsockopt waitid move_pages futex futex_time64 futex_wait ipc mq_timedsend
    mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64 pciconfig_read pciconfig_write
pointer 5
    pselect6 pselect6_time64 io_pgetevents io_pgetevents_time64 recvfrom
"""
"""Numbers of 32 bits (int) and of 64 (long), and memory that no rule judges."""

SIXTEEN = """
uid 0
    setuid setfsuid
uid 0 1
    setreuid
uid 0 1 2
    setresuid
gid 0
    setgid setfsgid
gid 0 1
    setregid
gid 0 1 2
    setresgid
uid 1, gid 2
    chown lchown fchown
"""

C_KINDS = {"int": Kind.VALUE, "long": Kind.VALUE, "pointer": Kind.POINTER}
WIDTHS = {"int": 32, "mode": 16} | dict.fromkeys(
    ("long", "pointer", "string", "sockaddr", "argv", "struct"), 64
)


def parsed(text: str) -> dict[str, set[str]]:
    """`kind register` -> the calls beneath it."""
    found: dict[str, set[str]] = {}
    for line in text.strip().splitlines():
        if line[0] != " ":
            shape = line
        else:
            found.setdefault(shape, set()).update(line.split())
    return found


def shape_of(argument: Argument) -> str:
    """An argument as the table writes it."""
    kind = "long" if argument.kind is Kind.VALUE else argument.kind.value
    if argument.kind is Kind.VALUE and argument.width == 32:
        kind = "int"
    width = "" if argument.width == WIDTHS.get(kind, 32) else f"/{argument.width}"
    layout = f":{argument.layout}" if argument.layout else ""
    length = "" if argument.length is None else f"[{argument.length}]"
    return f"{kind}{width}{layout}{length} {argument.index}"


def table_of(calls: Iterable[str], abi: str | None = None) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for call in calls:
        for argument in syscall(call, abi).arguments:
            if argument.kind is not Kind.PATH:
                found.setdefault(shape_of(argument), set()).add(call)
    return found


@pytest.mark.parametrize("shape", sorted(parsed(JUDGED) | parsed(PLAIN)))
def test_arguments_are_those_of_the_prototypes(shape: str) -> None:
    """Exactly these calls have such an argument in this register."""
    expected = (parsed(JUDGED) | parsed(PLAIN))[shape]
    assert table_of(names()).get(shape, set()) == expected


def test_there_is_no_argument_of_another_shape() -> None:
    """No other kind, width or register occurs."""
    assert set(table_of(names())) == set(parsed(JUDGED) | parsed(PLAIN))


@pytest.mark.parametrize("abi", ["i386", "arm"])
def test_ids_of_sixteen_bits(abi: str) -> None:
    """The old calls of i386 and arm, beside which `32` ones stand; of other ABIs none."""
    for shapes, calls in parsed(SIXTEEN).items():
        ids = [each.split() for each in shapes.split(", ")]
        expected = {f"{kind}/16 {place}" for kind, *places in ids for place in places}
        for call in calls:
            shown = {shape_of(each) for each in syscall(call, abi).arguments}
            assert {each for each in shown if each.startswith(("uid", "gid"))} == expected, call
            common = {shape_of(each).replace("/16", "") for each in syscall(call).arguments}
            assert {each.replace("/16", "") for each in shown} == common, call


WIDE = {
    "fanotify_mark": ("fd 0, flags 1, long 2, fd 4",) * 2,
    "lookup_dcookie": ("long 0, pointer 2, long 3",) * 2,
    "truncate64": ("long 1", "long 2"),
    "ftruncate64": ("fd 0, long 1", "fd 0, long 2"),
    "fallocate": ("fd 0, int 1, long 2, long 4",) * 2,
    "pread64": ("fd 0, pointer 1, long 2, long 3", "fd 0, pointer 1, long 2, long 4"),
    "pwrite64": ("fd 0, pointer 1, long 2, long 3", "fd 0, pointer 1, long 2, long 4"),
    "readahead": ("fd 0, long 1, long 3", "fd 0, long 2, long 4"),
    "fadvise64": ("fd 0, long 1, long 3, int 4", None),
    "fadvise64_64": ("fd 0, long 1, long 3, int 5", None),
    "arm_fadvise64_64": (None, "fd 0, int 1, long 2, long 4"),
    "sync_file_range": ("fd 0, long 1, long 3, flags 5", None),
    "arm_sync_file_range": (None, "fd 0, flags 1, long 2, long 4"),
}
"""A 64-bit number takes two registers of i386 and of arm, where the first is an even one."""

CLONES = {
    "x86_64 x32": "flags 0, long 1, pointer 2, pointer 3, long 4",
    "i386 arm arm64 riscv64 ppc64le": "flags 0, long 1, pointer 2, long 3, pointer 4",
    "s390x": "long 0, flags 1, pointer 2, pointer 3, long 4",
}
"""clone(2), C library/kernel differences."""


def shown(call: str, abi: str) -> str:
    """The arguments of a call but for its names."""
    arguments = syscall(call, abi).arguments
    return ", ".join(shape_of(each) for each in arguments if each.kind is not Kind.PATH)


@pytest.mark.parametrize("abi", ABIS)
def test_registers_on_every_abi(abi: str) -> None:
    """Where they differ from those of 64-bit ABIs, and nowhere else."""
    own = {call: by_abi[abi == "arm"] for call, by_abi in WIDE.items() if abi in ("i386", "arm")}
    own["clone"] = next(text for abis, text in CLONES.items() if abi in abis.split())
    if abi in ("i386", "s390x"):
        own["mmap"] = "struct:mmap_arg_struct 0"
    if abi == "i386":
        own["select"] = "pointer 0"
    sixteen = set().union(*parsed(SIXTEEN).values()) if abi in ("i386", "arm") else set()
    for call in names() - sixteen:
        if number(abi, call) is None:
            assert own.get(call) is None, call
            continue
        common = ", ".join(
            shape_of(each) for each in syscall(call).arguments if each.kind is not Kind.PATH
        )
        assert shown(call, abi) == (own.get(call) or common), call
