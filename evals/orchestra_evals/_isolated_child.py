"""The first and only process of an isolated program: gives up all that it could do harm with, then runs the program.

It is run as a script by an interpreter without site-packages, so that it imports the standard library only.

Landlock keeps it from opening files, a filter of system calls from all else: it lists what is allowed, and a program of
one thread needs little. What the filter lets through is judged with the files in mind that Landlock says nothing about:
no call that changes a file by its name, a socket, a process or a signal is in the list.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from types import ModuleType

_NUMBERS = """
    read 0 63, write 1 64, open 2 -, close 3 57, stat 4 -, fstat 5 80, lstat 6 -, poll 7 -, lseek 8 62, mmap 9 222,
    mprotect 10 226, munmap 11 215, brk 12 214, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139,
    ioctl 16 29, pread64 17 67, readv 19 65, writev 20 66, access 21 -, pipe 22 -, select 23 -, sched_yield 24 124,
    mremap 25 216, madvise 28 233, dup 32 23, dup2 33 -, pause 34 -, nanosleep 35 101, getitimer 36 102, alarm 37 -,
    setitimer 38 103, getpid 39 172, exit 60 93, uname 63 160, fcntl 72 25, getcwd 79 17, readlink 89 -,
    gettimeofday 96 169, getrusage 98 165, sysinfo 99 179, times 100 153, getuid 102 174, getgid 104 176,
    geteuid 107 175, getegid 108 177, getppid 110 173, rt_sigpending 127 136, rt_sigtimedwait 128 137,
    rt_sigsuspend 130 133, sigaltstack 131 132, gettid 186 178, time 201 -, futex 202 98, sched_getaffinity 204 123,
    getdents64 217 61, restart_syscall 219 128, clock_gettime 228 113, clock_getres 229 114, clock_nanosleep 230 115,
    exit_group 231 94, openat 257 56, newfstatat 262 79, readlinkat 267 78, faccessat 269 48, pselect6 270 72,
    ppoll 271 73, set_robust_list 273 99, dup3 292 24, pipe2 293 59, getrandom 318 278, statx 332 291, rseq 334 293,
    faccessat2 439 439
"""  # name, number on x86_64, number on aarch64
_MACHINES = {"x86_64": (0xC000003E, 1), "aarch64": (0xC00000B7, 2)}  # audit's number of the machine, column above
_OPEN_BITS = os.O_ACCMODE | os.O_TRUNC  # without this check, old kernels let a file be emptied that is open for reading
_OPEN_FORMS = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_TRUNC)
_ALL_BITS = 0xFFFFFFFF
_CHECKED = {
    "open": (1, _OPEN_BITS, _OPEN_FORMS),
    "openat": (2, _OPEN_BITS, _OPEN_FORMS),
    "ioctl": (1, _ALL_BITS, (0x5401, 0x5413, 0x5450, 0x5451)),  # TCGETS, TIOCGWINSZ, FIONCLEX, FIOCLEX
    "fcntl": (1, _ALL_BITS, (0, 1, 2, 3, 4, 1030)),  # no F_SETOWN, which sends signals, and no locks
}  # argument, bits of it that are looked at, and the values they may have
_LOAD, _AND, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_ALLOW, _KILL, _EPERM = 0x7FFF0000, 0x80000000, 0x00050001
_NR_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on all machines
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_RULE_PATH_BENEATH, _ALL_OF_ABI_1 = 1, (1 << 13) - 1
_LISTED, _READ, _WRITTEN = _READ_DIR, _READ_FILE | _READ_DIR, _READ_FILE | _WRITE_FILE
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 1, 22, 38, 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


class _Path(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("rights", ctypes.c_uint64), ("fd", ctypes.c_int32))


def _done(result: int) -> int:
    """Return what a C function returned, unless it failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _prctl(option: int, *values: object) -> None:
    four = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in (*values, 0, 0, 0)[:4]]
    _done(_libc.prctl(option, *four))


def _syscall(number: int, *values: object) -> int:
    return _done(_libc.syscall(*(ctypes.c_long(one) if isinstance(one, int) else one for one in (number, *values))))


def _die_with(parent: int) -> None:
    """See to it that this process does not outlive the one that waits for it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError("the process that waits for the program has ended")


def _drop_capabilities() -> None:
    header, none = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _done(_libc.capset(ctypes.byref(header), ctypes.byref(none)))


def _limit(memory_bytes: int, cpu_s: int) -> None:
    """Cap what the filter cannot: memory and time; the rest is a second bolt."""
    for what, most in {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_NPROC: 0,
    }.items():
        resource.setrlimit(what, (most, most))


def _lock_files(listed: list[str], read: list[str], written: list[str]) -> None:
    """Let Landlock refuse to open any file but these, each with all that is in it."""
    handled = ctypes.c_uint64(_ALL_OF_ABI_1)
    ruleset = _syscall(_LANDLOCK_CREATE, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    for rights, paths in ((_LISTED, listed), (_READ, read), (_WRITTEN, written)):
        for path in paths:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = _Path(rights if os.path.isdir(path) else rights & ~_READ_DIR, fd)
            _syscall(_LANDLOCK_ADD, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0)
            os.close(fd)
    _syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _instructions(machine: str) -> list[tuple[int, int, int, int]]:
    """Return the filter: what is not in the list is refused, and a call in another machine's numbers is the end."""
    audit, column = _MACHINES[machine]
    made = [(_LOAD, 0, 0, _MACHINE_AT), (_JUMP_IF_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NR_AT)]
    for row in _NUMBERS.split(","):
        name, number = row.split()[0], row.split()[column]
        if number == "-":
            continue
        allowed = [(_RETURN, 0, 0, _ALLOW)]
        if name in _CHECKED:
            argument, bits, values = _CHECKED[name]
            allowed = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument), (_AND, 0, 0, bits)]
            for value in values:
                allowed += [(_JUMP_IF_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
            allowed.append((_RETURN, 0, 0, _EPERM))
        made += [(_JUMP_IF_EQUAL, 0, len(allowed), int(number)), *allowed]
    return [*made, (_RETURN, 0, 0, _EPERM)]


def _filter_calls() -> None:
    made = _instructions(os.uname().machine)
    program = (_Instruction * len(made))(*(_Instruction(*one) for one in made))
    wanted = _Filter(len(made), ctypes.addressof(program))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(wanted))


def _main(job_fd: int, ready_fd: int) -> None:
    with open(job_fd, encoding="utf-8") as file:
        job = json.load(file)
    os.environ.clear()
    _drop_capabilities()
    _die_with(job["parent"])
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _lock_files(**job["files"])
    _limit(job["memory_bytes"], job["cpu_s"])
    _filter_calls()
    os.write(ready_fd, b"!")
    os.close(ready_fd)
    sys.argv[:] = [""]
    sys.modules["__main__"] = module = ModuleType("__main__")
    exec(compile(job["program"], "<program>", "exec"), module.__dict__)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
