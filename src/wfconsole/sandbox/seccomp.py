"""The system calls that a sandbox may make: a list by purpose, and the profile that the engine is given.

Owns the list. Stricter than the engine's own: no io_uring, bpf, userfaultfd, key rings, ptrace, namespaces or mounts, sockets
of four families only, and no second architecture (32-bit programs do not run). What would surprise: `clone3` is answered with
"no such call", so that the C library falls back to `clone`, whose flags can be looked at.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

_EPERM, _ENOSYS = 1, 38
_NAMESPACES = 0x7E020000
"""Every CLONE_NEW flag."""
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0x40000, 0xFFFFFFFF)
"""Linux as it is, 32-bit names, no randomized addresses (some sanitizers), and asking for the present one."""
_ARCHITECTURES = ("X86_64", "AARCH64", "RISCV64", "PPC64LE", "S390X")

ALLOWED: dict[str, str] = {
    "files": """
        access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
        fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat
        fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1
        inotify_rm_watch ioctl lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir
        mkdirat mknod mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
        readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statx
        symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime utimensat utimes vmsplice write
        writev cachestat
    """,
    "memory": """
        brk madvise membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mprotect mremap mseal msync munlock
        munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise process_mrelease remap_file_pages map_shadow_stack
    """,
    "processes": """
        arch_prctl capget capset execve execveat exit exit_group fork getegid geteuid getgid getgroups getpgid getpgrp getpid
        getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid get_robust_list get_thread_area
        ioprio_get ioprio_set kill pidfd_open pidfd_send_signal prctl prlimit64 rseq sched_get_priority_max sched_get_priority_min
        sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr
        sched_setparam sched_setscheduler sched_yield seccomp set_robust_list set_thread_area set_tid_address setfsgid setfsuid
        setgid setgroups setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid swapcontext sysinfo
        tgkill times tkill uname vfork wait4 waitid landlock_create_ruleset landlock_add_rule landlock_restrict_self getcpu
        riscv_flush_icache riscv_hwprobe s390_runtime_instr
    """,
    "signals": """
        pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
        rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigreturn
    """,
    "time": """
        alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
        timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
    """,
    "waiting": """
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2
        futex futex_requeue futex_wait futex_waitv futex_wake io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
        poll ppoll pselect6 select
    """,
    "talking": """
        accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify mq_open mq_timedreceive
        mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 recvfrom recvmmsg recvmsg semctl semget semop semtimedop
        sendmmsg sendmsg sendto setsockopt shmat shmctl shmdt shmget shutdown socketpair getrandom
    """,
}


def allowed() -> frozenset[str]:
    """Names of the calls that are allowed whatever their arguments."""
    return frozenset(name for names in ALLOWED.values() for name in names.split())


@cache
def profile() -> dict[str, Any]:
    """The profile as the engine takes it."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "archMap": [{"architecture": f"SCMP_ARCH_{name}", "subArchitectures": []} for name in _ARCHITECTURES],
        "syscalls": [
            {"names": sorted(allowed()), "action": "SCMP_ACT_ALLOW"},
            *(
                {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [_is(0, number)]}
                for number in _FAMILIES.values()
            ),
            *(
                {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [_is(0, word)]}
                for word in _PERSONALITIES
            ),
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": _NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
                "excludes": {"arches": ["s390x"]},
            },
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 1, "value": _NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
                "includes": {"arches": ["s390x"]},
            },
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
        ],
    }


@cache
def option() -> str:
    """The profile as one of a container's security options."""
    return "seccomp=" + json.dumps(profile(), separators=(",", ":"))


def _is(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}
