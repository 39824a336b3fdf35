"""Which calls are refused as a whole to a task without some capability (capabilities(7)).

Read in the kernel's sources: each of these checks before it does anything else than look at its
arguments. Calls that need a capability for some of their arguments only (chown, bind, kill...) are
not here, as no policy on whole calls is kept by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CAPABILITIES: Mapping[str, int] = {
    name: number
    for number, name in enumerate(
        (
            *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid"),
            *("setuid", "setpcap", "linux_immutable", "net_bind_service", "net_broadcast"),
            *("net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio"),
            *("sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice"),
            *("sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write"),
            *("audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm"),
            *("block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore"),
        )
    )
}
"""The names of include/uapi/linux/capability.h without CAP_, in lower case, with their numbers."""


@dataclass(frozen=True, kw_only=True)
class Privilege:
    """The capability that a call needs. `anew`: one in a user namespace of the caller's own making
    is enough (ns_capable), so that whoever may make such a namespace has it there.
    """

    capability: str
    anew: bool = False


PRIVILEGES: Mapping[str, Privilege] = {
    **{
        call: Privilege(capability=capability)
        for capability, calls in {
            "sys_module": ("init_module", "finit_module", "delete_module"),
            "sys_time": ("stime",),
            "sys_pacct": ("acct",),
            "sys_tty_config": ("vhangup",),
            "sys_rawio": ("iopl",),
            "sys_admin": ("swapon", "swapoff"),
            "sys_boot": ("kexec_load", "kexec_file_load"),
        }.items()
        for call in calls
    },
    "reboot": Privilege(capability="sys_boot", anew=True),
    "chroot": Privilege(capability="sys_chroot", anew=True),
    **{
        call: Privilege(capability="sys_admin", anew=True)
        for call in (
            *("mount", "umount", "umount2", "pivot_root", "move_mount", "mount_setattr"),
            *("fsopen", "fsmount", "fspick", "sethostname", "setdomainname"),
        )
    },
}
