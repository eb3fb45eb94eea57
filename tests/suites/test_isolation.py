"""Isolation: hostile programs do no harm and are told as failed, harmless ones print, and who broke down is told apart.

Every hostile program here is bounded in what it does, so that one that gets out harms nothing but what a test made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestra_agents.errors import InputError
from orchestra_evals import isolation as module
from orchestra_evals.isolation import (
    Isolation,
    IsolationFailed,
    IsolationUnavailable,
    ProgramFailed,
    Ran,
    isolation_available,
    printed_by,
    require_isolation,
)
from orchestra_evals.suites.catalog import make_suite

pytestmark = pytest.mark.skipif(isolation_available() is None, reason=str(IsolationUnavailable()))
on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="it speaks to an x86_64 kernel")
KEY = "sk-not-for-programs"


def run(program: str, *, seconds: float = 20, memory_mib: int = 256, output_bytes: int = 100_000) -> Ran:
    """Run a program in isolation, with time enough unless the test is about time."""
    return require_isolation().run(program, seconds=seconds, memory_mib=memory_mib, output_bytes=output_bytes)


def children() -> set[int]:
    """Return the processes that this one started and has not waited for."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def is_running(pid: int) -> bool:
    """Tell whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return what a condition says as soon as that is true."""
    for _ in range(400):
        if said := condition():
            return said
        time.sleep(0.05)
    raise AssertionError("nothing happened")


@dataclass(frozen=True)
class Outside:
    """What a test made for hostile programs to go for."""

    folder: Path
    secret: Path
    victim: subprocess.Popen[bytes]
    tcp: socket.socket
    abstract: socket.socket

    def prelude(self) -> str:
        """Return the beginning of a program that knows where everything is."""
        return f"""
import ctypes, fcntl, os, resource, shutil, signal, socket, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *values):
    if libc.syscall(number, *(ctypes.c_long(one) if isinstance(one, int) else one for one in values)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
FOLDER, SECRET, PACKAGE, INSTALLED = {(str(self.folder), str(self.secret), module.__file__, pytest.__file__)}
PORT, ABSTRACT, VICTIM = {self.tcp.getsockname()[1]}, {self.abstract.getsockname()!r}, {self.victim.pid}
"""

    def is_untouched(self) -> bool:
        """Tell whether all is as it was."""
        tcp_and_abstract = []
        for listener in (self.tcp, self.abstract):
            with contextlib.suppress(BlockingIOError):
                tcp_and_abstract.append(listener.accept())
        return (
            self.secret.read_text() == KEY
            and self.secret.stat().st_mode & 0o777 == 0o644
            and self.secret.stat().st_mtime == 1_000
            and os.listdir(self.folder) == ["secret"]
            and self.victim.poll() is None
            and not tcp_and_abstract
        )


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    """Make a file, a process, two listeners and a key in the environment."""
    monkeypatch.setenv("SOME_API_KEY", KEY)
    secret = tmp_path / "secret"
    secret.write_text(KEY)
    secret.chmod(0o644)
    os.utime(secret, (1_000, 1_000))
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen(["sleep", "60"]) as victim,
    ):
        tcp.setblocking(False)
        abstract.bind(f"\0orchestra-test-{os.getpid()}")
        abstract.listen()
        abstract.setblocking(False)
        try:
            yield Outside(tmp_path, secret, victim, tcp, abstract)
        finally:
            victim.kill()


REFUSED = {
    # files
    "reads a file": "print(open(SECRET).read())",
    "reads the package": "print(open(PACKAGE).read())",
    "reads an installed package": "print(open(INSTALLED).read())",
    "reads the interpreter": "open(sys.executable, 'rb')",
    "reads the users of the machine": "print(open('/etc/passwd').read())",
    "lists a folder": "print(os.listdir(FOLDER))",
    "lists the root": "print(os.listdir('/'))",
    "writes a file": "open(SECRET, 'w')",
    "appends to a file": "open(SECRET, 'a')",
    "makes a file": "open(FOLDER + '/new', 'x')",
    "makes a file in the working folder": "open('new', 'x')",
    "makes a temporary file": "open('/tmp/orchestra-new', 'x')",
    "makes a file in memory": "open('/dev/shm/orchestra-new', 'x')",
    "changes the standard library": "open(os.__file__, 'a')",
    "makes a huge file": "open(FOLDER + '/huge', 'wb').write(bytes(10**7))",
    "deletes a file": "os.unlink(SECRET)",
    "deletes a folder": "shutil.rmtree(FOLDER)",
    "renames a file": "os.rename(SECRET, FOLDER + '/other')",
    "empties a file": "os.truncate(SECRET, 0)",
    "empties a file that it may read": "os.open('/dev/null', os.O_RDONLY | os.O_TRUNC)",
    "empties a file by an odd mode": "os.open('/dev/null', os.O_ACCMODE | os.O_TRUNC)",
    "opens by an odd mode": "os.open('/dev/null', os.O_ACCMODE)",
    "changes rights": "os.chmod(SECRET, 0o777)",
    "changes the owner": "os.chown(SECRET, 1, 1)",
    "changes times": "os.utime(SECRET)",
    "changes attributes": "os.setxattr(SECRET, 'user.mark', b'1')",
    "makes a symbolic link": "os.symlink(SECRET, FOLDER + '/link')",
    "makes a symbolic link to read": "os.symlink(SECRET, 'link'); print(open('link').read())",
    "makes a hard link": "os.link(SECRET, FOLDER + '/link')",
    "makes a folder": "os.mkdir(FOLDER + '/sub')",
    "makes a pipe with a name": "os.mkfifo(FOLDER + '/pipe')",
    "changes the root": "os.chroot(FOLDER)",
    "changes the folder": "os.chdir(FOLDER)",
    "locks a file": "fcntl.flock(0, fcntl.LOCK_EX)",
    # network
    "connects to this machine": "socket.create_connection(('127.0.0.1', PORT), 5)",
    "sends a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "connects by IPv6": "socket.create_connection(('::1', PORT), 5)",
    "listens": "socket.create_server(('127.0.0.1', 0))",
    "connects to a name in the kernel": "socket.socket(socket.AF_UNIX).connect(ABSTRACT)",
    "makes a pair of sockets": "socket.socketpair()",
    "asks the kernel about the network": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    # processes and threads
    "forks": "[os.fork() or os._exit(0) for _ in range(20)]",
    "leaves a daemon": "os.fork() or (os.setsid(), os.fork() or time.sleep(5), os._exit(0))",
    "becomes another program": "os.execv('/bin/true', ['true'])",
    "starts a program": "subprocess.run(['true'])",
    "starts a program by the shell": "if os.system('true') != 0: raise PermissionError",
    "spawns a program": "os.posix_spawn('/bin/true', ['true'], {})",
    "starts a thread": "threading.Thread(target=print).start()",
    # signals and other processes
    "kills a process": "os.kill(VICTIM, signal.SIGKILL)",
    "stops its parent": "os.kill(os.getppid(), signal.SIGCONT)",
    "sends signals to all": "os.kill(-1, 0)",
    "sends signals to its group": "os.killpg(0, 0)",
    "kills itself": "os.kill(os.getpid(), signal.SIGKILL)",
    "has the kernel send signals": "fcntl.fcntl(0, fcntl.F_SETOWN, VICTIM)",
    "slows another process down": "os.setpriority(os.PRIO_PROCESS, VICTIM, 19)",
    "binds another process": "os.sched_setaffinity(VICTIM, {0})",
    "limits another process": "resource.prlimit(VICTIM, resource.RLIMIT_CPU, (1, 1))",
    "raises its own limits": "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "reads its parent's environment": "print(open(f'/proc/{os.getppid()}/environ').read())",
    "reads its own environment": "print(open('/proc/self/environ').read())",
    "reads its parent's memory": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "follows its parent's files": "print(os.readlink(f'/proc/{os.getppid()}/fd/0'))",
    "opens its parent's pipes": "open(f'/proc/{os.getppid()}/fd/3')",
    "looks at the terminal": "open('/dev/tty')",
}
CALLS = {
    "openat2": "call(437, -100, b'/etc/passwd', ctypes.byref((ctypes.c_uint64 * 3)()), 24)",
    "name_to_handle_at": "call(303, -100, b'/etc/passwd', ctypes.byref((ctypes.c_int * 40)(128)), b'12345678', 0)",
    "open_by_handle_at": "call(304, 0, ctypes.byref((ctypes.c_int * 40)()), 0)",
    "mount": "call(165, b'none', FOLDER.encode(), b'tmpfs', 0, 0)",
    "unshare": "call(272, 0x10000000)",
    "setns": "call(308, 0, 0)",
    "fork": "call(57) or os._exit(0)",
    "vfork": "call(58) or os._exit(0)",
    "clone3": "call(435, ctypes.byref((ctypes.c_uint64 * 11)()), 88)",
    "memfd_create": "call(319, b'x', 0)",
    "shmget": "call(29, 0, 4096, 0o600)",
    "mq_open": "call(240, b'x', 0o102, 0o600, 0)",
    "ptrace": "call(101, 16, VICTIM, 0, 0)",
    "process_vm_readv": "call(310, VICTIM, 0, 0, 0, 0, 0)",
    "tgkill": "call(234, VICTIM, VICTIM, 9)",
    "tkill": "call(200, VICTIM, 9)",
    "rt_sigqueueinfo": "call(129, VICTIM, 9, ctypes.byref((ctypes.c_int * 32)(9, 0, -1)))",
    "pidfd_open": "call(434, VICTIM, 0)",
    "pidfd_send_signal": "call(424, 0, 9, 0, 0)",
    "keyctl": "call(250, 0, -3, 0)",
    "bpf": "call(321, 0, 0, 0)",
    "perf_event_open": "call(298, 0, 0, 0, 0, 0)",
    "io_uring_setup": "call(425, 1, ctypes.byref((ctypes.c_int * 30)()))",
    "userfaultfd": "call(323, 0)",
    "prctl": "call(157, 1, 0, 0, 0, 0)",
    "seccomp": "call(317, 0, 0, 0)",
    "timer_create": "call(222, 0, 0, ctypes.byref((ctypes.c_int * 2)()))",
    "socket": "call(41, 2, 1, 0)",
    "a number that only another kernel has": "call(9999)",
    "a number of the x32 machine": "call(0x40000000 + 39)",
}


IN_TURN = """
for name, attempt in ATTEMPTS.items():
    try:
        exec(attempt)
        print("escaped:", name)
    except PermissionError:
        pass
    except BaseException as error:
        if str(error) not in ("can't start new thread", "not allowed to raise maximum limit"):
            print("other error:", name, repr(error))
print("done")
"""


def check_refused(outside: Outside, attempts: dict[str, str]) -> None:
    """Check that a program is refused all that it wants, notices it, and has changed nothing."""
    ran = run(f"{outside.prelude()}ATTEMPTS = {attempts!r}\n{IN_TURN}")
    assert (ran.stdout, ran.returncode, ran.reason) == ("done\n", 0, "ended"), ran.stderr
    assert KEY not in ran.stderr
    assert outside.is_untouched()


def test_what_a_program_must_not_do_is_refused(outside: Outside) -> None:
    """Files, network, processes, signals: a hostile program gets errors, and all is as it was."""
    check_refused(outside, REFUSED)


@on_x86_64
def test_native_calls_are_refused(outside: Outside) -> None:
    """What Python has no function for is refused as well."""
    check_refused(outside, CALLS)


@pytest.mark.nightly
@pytest.mark.parametrize("name", [*REFUSED, *(CALLS if platform.machine() == "x86_64" else ())])
def test_each_is_refused_alone(outside: Outside, name: str) -> None:
    """What is refused does not rest on what was refused before."""
    check_refused(outside, {name: (REFUSED | CALLS)[name]})


@on_x86_64
def test_calls_in_the_numbers_of_another_machine_are_the_end() -> None:
    """A program that makes a system call the 32-bit way is killed on the spot."""
    code = "b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3'"  # mov eax, 20; int 0x80; ret
    ran = run(
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        f"page.write({code})\n"
        "at = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "print('began', flush=True)\n"
        "print('escaped', ctypes.CFUNCTYPE(ctypes.c_int)(at)())"
    )
    assert (ran.stdout, ran.reason) == ("began\n", "ended")
    assert ran.returncode in (-signal.SIGSYS, -signal.SIGSEGV)


def test_nothing_of_the_environment_is_there(outside: Outside) -> None:
    """No variable, argument, folder or open file comes from who runs a program, nor anything in its own memory."""
    ran = run(
        outside.prelude() + "fds = []\n"
        "for fd in range(64):\n"
        "    try: fcntl.fcntl(fd, fcntl.F_GETFD); fds.append(fd)\n"
        "    except OSError: pass\n"
        "print(dict(os.environ), sys.argv, os.getcwd(), fds, repr(sys.stdin.read()))\n"
        "frame = sys._getframe()\n"
        "while frame: print(frame.f_locals, frame.f_globals); frame = frame.f_back\n"
    )
    assert ran.printed().splitlines()[0] == "{} [''] / [0, 1, 2] ''"
    assert KEY not in ran.stdout


def test_time_is_up_whatever_a_program_does() -> None:
    """One that computes, sleeps, ignores signals or has closed its outputs is killed when its time is up."""
    before = children()
    for program in (
        "while True: pass",
        "import time; time.sleep(60)",
        "import signal\nfor one in set(signal.Signals) - {9, 19}: signal.signal(one, signal.SIG_IGN)\nwhile True: pass",
        "import os, time; os.close(1); os.close(2); time.sleep(60)",
        "import time\ntry: time.sleep(60)\nexcept BaseException: time.sleep(60)",
        "import atexit, time; atexit.register(time.sleep, 60)",
    ):
        began = time.monotonic()
        ran = run(program, seconds=0.2)
        assert ran.reason == "time", program
        assert time.monotonic() - began < 10
        with pytest.raises(ProgramFailed, match=r"^its time was up$"):
            ran.printed()
    assert children() == before


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_is_capped(stream: str) -> None:
    """A program that floods one of its outputs is killed, and no more is kept than it may write."""
    ran = run(f"import sys\nwhile True: sys.{stream}.write('x' * 10_000)", output_bytes=50_000)
    assert ran.reason == "output"
    assert len(getattr(ran, stream)) == 50_000
    with pytest.raises(ProgramFailed, match=r"^it wrote more than it may$"):
        ran.printed()
    assert run("print('x' * 49_999)", output_bytes=50_000).printed() == "x" * 49_999 + "\n"


@pytest.mark.parametrize(
    "program",
    [
        "kept = bytearray(2**30)",
        "kept = []\nwhile True: kept.append(bytes(2**20))",
        "import mmap\nkept = [mmap.mmap(-1, 2**26) for _ in range(64)]",
        "kept = 'x'\nwhile True: kept += kept",
        "def deeper(n): return [deeper(n + 1)]\nimport sys\nsys.setrecursionlimit(10**9)\ndeeper(0)",
        "import os\nfor _ in range(10_000): os.pipe()",
    ],
)
def test_memory_is_capped(program: str) -> None:
    """A program that wants more memory, stack or pipes than there are fails."""
    ran = run(program, memory_mib=64)
    assert ran.reason == "ended"
    assert ran.returncode in (1, -signal.SIGSEGV)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("raise SystemExit(3)", "exit status 3"),
        ("raise SystemExit('bye')", "exit status 1: bye"),
        ("raise KeyboardInterrupt", "exit status 130: KeyboardInterrupt"),
        ("import os; os._exit(7)", "exit status 7"),
        ("import os; os.abort()", "signal 11"),
        ("1/0", "exit status 1: ZeroDivisionError: division by zero"),
        ("def f(:", "exit status 1: SyntaxError: invalid syntax"),
        ("\0", "exit status 1: "),
        ("import numpy", "exit status 1: ModuleNotFoundError: No module named 'numpy'"),
        ("import ctypes; ctypes.string_at(0)", "signal 11"),
        ("raise ValueError('x' * 10_000)", f"exit status 1: ValueError: {'x' * 188}"),
        ("raise ValueError('\udcff\udcfe')", "exit status 1: UnicodeEncodeError: "),
    ],
)
def test_a_program_that_fails_says_how(program: str, told: str) -> None:
    """The error has the exit status or signal, and the last line that the program had to say, cut short."""
    with pytest.raises(ProgramFailed) as caught:
        run(program).printed()
    assert str(caught.value).startswith(told)
    assert len(str(caught.value)) < 250


def test_harmless_programs_run() -> None:
    """The standard library is there; texts are UTF-8; an exit status of 0 is no failure; equal programs print alike."""
    assert run("print('\u00e4\u2192\U0001f600')").printed() == "\u00e4\u2192\U0001f600\n"
    assert run("import sys; print('x'); sys.exit(0)").printed() == "x\n"
    assert run("").printed() == ""
    assert run("import sys; sys.stdout.buffer.write(bytes([255]))").printed() == "\ufffd"
    names = "bz2 collections csv ctypes dataclasses datetime decimal fractions functools hashlib heapq itertools json"
    names += " lzma math random re sqlite3 ssl statistics string time typing unittest zlib zoneinfo"
    assert run(f"import {', '.join(names.split())}\nprint(hashlib.sha256(b'').hexdigest()[:4])").printed() == "e3b0\n"
    assert run("import os; print(os.listdir(os.path.dirname(os.__file__)) != [])").printed() == "True\n"
    assert run("open('/dev/null', 'w').write('x'); print(open('/dev/urandom', 'rb').read(3) != b'')").printed()
    recursive = "def f(n): return n and 1 + f(n - 1)\nprint(f(900))"
    assert run(recursive).printed() == "900\n"
    timed = "import signal\nsignal.signal(14, lambda *_: print('rang'))\nsignal.setitimer(0, 0.01)\nsignal.pause()"
    assert run(timed).printed() == "rang\n"
    module = "import dataclasses\n@dataclasses.dataclass\nclass A:\n    b: int\nprint(A(1), __name__)"
    assert run(module).printed() == "A(b=1) __main__\n"
    words = "print({'a', 'b', 'c', 'd', 'e', 'f'}, hash('a'))"
    assert run(words).printed() == run(words).printed()


def test_limits_must_make_sense() -> None:
    """A limit under which nothing could run is refused before anything is run."""
    for limits in ({"seconds": 0}, {"seconds": float("inf")}, {"memory_mib": 63}, {"output_bytes": 0}):
        with pytest.raises(InputError, match=rf"^{next(iter(limits))}: must be"):
            run("", **limits)


async def test_the_loop_goes_on_meanwhile() -> None:
    """While a program runs, the loop does other things, and other programs run."""
    isolation = require_isolation()

    async def sleeper() -> Ran:
        program = "import time; time.sleep(0.3); print(1)"
        return await isolation.run_async(program, seconds=20, memory_mib=128, output_bytes=10)

    ticks = 0
    both = asyncio.gather(sleeper(), sleeper())
    while not both.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert [ran.printed() for ran in await both] == ["1\n", "1\n"]
    assert ticks > 10


async def test_a_cancelled_program_is_killed() -> None:
    """Cancellation is passed on at once, and the program is gone."""
    before = children()
    task = asyncio.create_task(
        require_isolation().run_async("while True: pass", seconds=60, memory_mib=128, output_bytes=10)
    )
    await asyncio.sleep(0.3)
    assert children() > before
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 10
    assert children() == before


def test_a_program_dies_with_who_runs_it() -> None:
    """When the process that waits for a program is killed, the program is killed, too, even if it sleeps."""
    code = (
        "from orchestra_evals.isolation import require_isolation\n"
        "isolation = require_isolation()\n"
        "print('ready', flush=True)\n"
        "isolation.run('import time; time.sleep(120)', seconds=120, memory_mib=128, output_bytes=10)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as runner:
        try:
            assert runner.stdout is not None
            assert runner.stdout.readline() == b"ready\n"
            task = Path(f"/proc/{runner.pid}/task/{runner.pid}/children")
            (pid,) = wait_for(lambda: [int(one) for one in task.read_text().split()])
            time.sleep(0.3)
            assert is_running(pid)
        finally:
            runner.kill()
    wait_for(lambda: not is_running(pid))


def test_a_program_killed_from_outside_has_not_failed() -> None:
    """Who was killed by somebody else, for example for want of memory, is no failed program."""
    before, caught = children(), []

    def wait() -> None:
        try:
            run("import time; time.sleep(60)")
        except IsolationFailed as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    (pid,) = wait_for(lambda: children() - before)
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    thread.join()
    assert "was killed from outside" in str(caught[0])
    assert not isinstance(caught[0], ValueError | subprocess.SubprocessError)


def test_a_program_that_cannot_be_isolated_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a part of the isolation fails, nothing of the program happens, and the error is no failed program."""
    before = children()
    files = {**require_isolation().files, "read": ["/no/such/place"]}
    with pytest.raises(IsolationFailed, match="could not be isolated: FileNotFoundError"):
        Isolation(files).run("print('ran')", seconds=5, memory_mib=128, output_bytes=1_000)
    monkeypatch.setattr(module, "PYTHON", ("/no/such/python",))
    with pytest.raises(IsolationFailed, match="could not be started: No such file or directory"):
        run("print('ran')")
    assert children() == before


@pytest.mark.parametrize("part", ["_lock_files(**", "_limit(", "_filter_calls("])
def test_half_an_isolation_is_none(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one of its parts did nothing, the hostile programs get out, and no isolation is on offer."""
    source = Path(module._CHILD).read_text()
    assert source.count(f"\n    {part}") == 1
    child = tmp_path / "child.py"
    child.write_text(
        source.replace(f"\n    {part}", f"\n    id({part.partition('(')[0]}) or dict(").replace("(**", "(")
    )
    monkeypatch.setattr(module, "_CHILD", str(child))
    assert module._found.__wrapped__() is None


def test_without_isolation_one_sentence_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another system nothing is tried, and the refusal names what would help."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert module._found.__wrapped__() is None
    monkeypatch.setattr(module, "isolation_available", lambda: None)
    with pytest.raises(IsolationUnavailable, match=r"Linux 5\.13 or later .* with Landlock .* and seccomp"):
        require_isolation()


def test_puzzles_run_programs_in_isolation() -> None:
    """With `printed_by`, a program that prints the moves is right; one that fails or floods is wrong."""
    suite = make_suite("hanoi", run=printed_by(require_isolation(), seconds=5, output_bytes=10_000))
    sample = suite.sample({"n": 3, "mode": "generator"}, 0, split="test", seed=0)
    assert suite.check(sample, sample.target).outcome == "right"
    for program in ("1/0", "while True: print(1)", "raise SystemExit", "import os; os._exit(1)"):
        score = suite.check(sample, program)
        assert score.value == 0
        assert score.detail
