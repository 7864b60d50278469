"""The profile of system calls: what it must not allow, that it covers what programs need, and that its parts fit together."""

from __future__ import annotations

import json

import pytest

from wfconsole.sandbox.seccomp import ALLOWED, allowed, option, profile

NEVER = """
io_uring_setup io_uring_enter io_uring_register bpf userfaultfd keyctl add_key request_key ptrace process_vm_readv
process_vm_writev kcmp pidfd_getfd mount umount umount2 pivot_root chroot unshare setns fsopen fsconfig fsmount fspick
move_mount open_tree mount_setattr name_to_handle_at open_by_handle_at perf_event_open init_module finit_module
delete_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl quotactl_fd sethostname setdomainname
syslog clock_settime clock_adjtime settimeofday adjtimex iopl ioperm modify_ldt vhangup lookup_dcookie fanotify_init
nfsservctl uselib ustat sysfs _sysctl personality socket clone clone3 mbind set_mempolicy move_pages migrate_pages
""".split()
NEEDED = """
read write openat close execve clone3 exit_group mmap brk futex rt_sigaction wait4 pipe2 dup3 getdents64 newfstatat
statx renameat2 linkat symlinkat unlinkat mkdirat ftruncate fsync epoll_pwait2 eventfd2 accept4 sendmsg recvmsg
getrandom memfd_create copy_file_range close_range openat2 prlimit64 sched_getaffinity set_robust_list rseq kill tgkill
setsid inotify_add_watch
""".split()


def test_nothing_dangerous_is_allowed_whatever_its_arguments() -> None:
    assert allowed() & set(NEVER) == set()


def test_what_programs_need_has_a_rule() -> None:
    ruled = {name for rule in profile()["syscalls"] for name in rule["names"]}
    assert set(NEEDED) - ruled == set()


def test_no_name_stands_twice() -> None:
    names = [name for group in ALLOWED.values() for name in group.split()]
    assert len(names) == len(set(names))


def test_what_is_not_named_is_denied_and_no_second_architecture_is_there() -> None:
    assert profile()["defaultAction"] == "SCMP_ACT_ERRNO"
    assert all(each["subArchitectures"] == [] for each in profile()["archMap"])


@pytest.mark.parametrize("name", ["socket", "personality", "clone"])
def test_calls_with_dangerous_arguments_are_allowed_by_argument_only(name: str) -> None:
    rules = [rule for rule in profile()["syscalls"] if name in rule["names"]]
    assert rules
    assert all(rule["action"] == "SCMP_ACT_ALLOW" and rule["args"] for rule in rules)


def test_clone3_is_answered_so_that_clone_is_tried() -> None:
    (rule,) = [rule for rule in profile()["syscalls"] if "clone3" in rule["names"]]
    assert (rule["action"], rule["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_the_option_is_the_profile_as_one_line_of_json() -> None:
    name, _, text = option().partition("=")
    assert name == "seccomp"
    assert json.loads(text) == profile()
    assert "\n" not in text
