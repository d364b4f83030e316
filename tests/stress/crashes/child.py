"""Faults done to one writer: `python child.py WRITER SHARE [FAULT …]` says in JSON what was tried
and what happened.

Every attempt is a process of its own, forked from this one, which has imported what is needed and
runs no thread. SHARE is the part of the attempts that are made: 1, or less where time is short.
"""

import ctypes
import fnmatch
import functools
import itertools
import json
import mmap
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm
from writers import LONG, WRITERS

tqdm.monitor_interval = 0  # no thread
tqdm.set_lock(
    threading.RLock()
)  # else one that all forked processes share, and that one would die with
CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "fsync"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
LIBC = ctypes.CDLL(None, use_errno=True)


def begun(writer, target, before=lambda: None):
    """A process that writes: (its number, the pipe that says how it ended)."""
    ends, says = os.pipe()
    child = os.fork()
    if child:
        os.close(says)
        return child, ends
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1), os.dup2(quiet, 2)
    try:
        before()
        writer.write(target)
        said = "done"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"
    os.write(says, said[:4000].encode(errors="replace"))
    os._exit(0)


def ended(child, ends, seconds=None):
    """ "done", "killed" or the error; after so many seconds it is killed."""
    late = not select.select([ends], [], [], 200 if seconds is None else seconds)[0]
    if late:
        os.kill(child, signal.SIGKILL)
    said = os.read(ends, 4000).decode()
    os.waitpid(child, 0)
    os.close(ends)
    return said or ("hung" if late and seconds is None else "killed")


def at_change(folder, number, act):
    """Call `act` in this process before its change number `number` in the folder: a file opened to
    be written, brought to the disk, renamed or removed, a folder made or removed; None: before
    each.
    """
    count, fsync = itertools.count(1), os.fsync

    def hook(event, args):
        if event in CHANGES and (event != "open" or args[2] & WRITING):
            path = str(folder) if isinstance(args[0], int) else os.fsdecode(args[0])
            if (path.startswith(str(folder)) or not os.path.isabs(path)) and number in (
                next(count),
                None,
            ):
                act()

    def traced(file):
        sys.audit("fsync", file)
        fsync(file)

    os.fsync = traced
    sys.addaudithook(hook)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def without_privileges():
    """This process no more writes where the mode of a folder forbids it, though it is root's."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        LIBC.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: for those that it starts, too
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    LIBC.capget(header, data)
    for word in (0, 1, 2):  # effective, permitted, inheritable
        data[word] &= ~0b110
    LIBC.capset(header, data)


def jumping():
    """The clock of this process jumps, by decades in both directions, at every look at it."""
    real, jump = time.time, random.Random(0)
    time.time = lambda: max(1.0, real() + jump.uniform(-2e9, 4e9))
    time.time_ns = lambda: int(time.time() * 1e9)


class Trials:
    """A writer, what it leaves undisturbed, and the faults that it is put through: each returns
    [what happened].
    """

    def __init__(self, writer, root, share):
        self.writer, self.share, self.random = writer, share, random.Random(0)
        self.out, self.target = root / "out", root / "out" / "made"
        self.begin()
        start = time.perf_counter()
        end = self.attempt()
        self.seconds = time.perf_counter() - start
        assert end == "done", end
        self.wanted = self.content()
        self.size = sum(path.stat().st_size for path in self.out.rglob("*"))
        self.begin()
        self.first = self.content()

    @functools.cached_property
    def changes(self):
        """How many changes it makes in its folder."""
        self.begin()
        seen = mmap.mmap(-1, 10_000)  # which processes share
        self.attempt(lambda: at_change(self.out, None, lambda: seen.write(b"x")))
        return seen[:].count(b"x")

    def begin(self):
        shutil.rmtree(self.out, ignore_errors=True)
        self.writer.begin(self.target)

    def attempt(self, before=lambda: None, seconds=None):
        return ended(*begun(self.writer, self.target, before), seconds)

    def content(self):
        return self.writer.content(self.out)

    def number(self, whole):
        return max(1, round(whole * self.share))

    def told(self, end, **more):
        """What is told of an attempt, after which the next call goes on: whether it ends as one
        without a fault.
        """
        found = self.content()
        half = [
            name
            for name, data in found.items()
            if data not in (self.wanted.get(name), self.first.get(name))
            and not any(
                fnmatch.fnmatch(Path(name).name, allowed) for allowed in self.writer.unfinished
            )
        ]
        lost = self.writer.lost(self.target)
        again = self.attempt()
        then = self.content()
        other = [
            name
            for name in sorted({*then, *self.wanted})
            if then.get(name) != self.wanted.get(name)
        ]
        same = again == "done" and not other
        end = (
            end.replace(str(self.target), "FOLDER")
            .replace(str(self.out), "PARENT")
            .replace(LONG, "LONG")
        )
        return {
            "end": end,
            "half": [] if end in ("done", "killed") else half,
            "lost": lost,
            "same": same,
            "again": again,
            "other": other,
            **more,
        }

    def half_way(self):
        """Begin, and be killed before a change drawn by chance."""
        self.begin()
        number = self.random.randint(1, self.changes)
        return self.attempt(lambda: at_change(self.out, number, die))

    def killed_at_random_moments(self):
        """Also two times in a row."""
        found, kills, span = [], 0, self.seconds
        while kills < self.number(50):
            self.begin()
            ends = [
                self.attempt(seconds=self.random.uniform(0, span))
                for _ in range(self.random.randint(1, 2))
            ]
            if "killed" in ends:
                found.append(self.told("killed", times=ends.count("killed")))
                kills += ends.count("killed")
            else:
                span *= 0.8  # it took longer when it was measured
        return found

    def workers_killed_at_random_moments(self):
        """One of those that write for it on a cluster, half the time all."""
        found = []
        while len(found) < self.number(50):
            self.begin()
            running = begun(self.writer, self.target)
            time.sleep(self.random.uniform(0, self.seconds))
            workers = self.writer.workers()
            for process in workers[: self.random.choice([1, None])]:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            end = ended(*running)
            if workers:
                found.append(self.told(end))
        return found

    def killed_before_every_change(self):
        found = []
        for number in sorted(
            self.random.sample(range(1, self.changes + 1), self.number(self.changes))
        ):
            self.begin()
            found.append(self.told(self.attempt(lambda: at_change(self.out, number, die))))  # noqa: B023
        return found

    def no_file_larger_than_a_limit(self):
        found = []
        for _ in range(4 * self.number(20)):
            self.begin()
            limit = int(10 ** self.random.uniform(0, len(str(self.size))))
            end = self.attempt(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))  # noqa: B023
            if end != "done":
                found.append(self.told(end))
            if len(found) == self.number(20):
                break
        return found

    def disk_full(self):
        """A small tmpfs of our own; nothing where none may be mounted."""
        found = []
        if LIBC.unshare(0x00020000):  # CLONE_NEWNS: it goes with this process
            return found
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        for _ in range(4 * self.number(20)):
            shutil.rmtree(self.out, ignore_errors=True)
            self.out.mkdir(exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "none", self.out], check=True)
            try:
                self.writer.begin(self.target)
                used = shutil.disk_usage(self.out).used
                size = used + self.random.randrange(1, max(2, self.size // 4096 * 2)) * 4096
                subprocess.run(["mount", "-o", f"remount,size={size}", self.out], check=True)
                end = self.attempt()
                subprocess.run(["mount", "-o", "remount,size=1g", self.out], check=True)
                if end != "done":
                    found.append(self.told(end))
            finally:
                subprocess.run(["umount", "-l", self.out], check=True)
            if len(found) == self.number(20):
                break
        return found

    def folder_read_only(self):
        found = []
        for _ in range(4 * self.number(10)):
            if len(found) == self.number(10):
                break
            if (
                self.half_way() != "killed" or self.content() == self.wanted
            ):  # nothing is left to write
                continue
            before, modes = (
                self.content(),
                {path: path.stat().st_mode for path in [self.out, *self.out.rglob("*")]},
            )
            for path, mode in modes.items():
                path.chmod(mode & ~0o222)
            end = self.attempt(without_privileges)
            changed = self.content() != before
            for path, mode in modes.items():
                path.chmod(mode)
            found.append(self.told(end, changed=changed, half=[]))
        return found

    def folder_vanished(self):
        """It is moved away while it is written to, and put back."""
        found, gone = [], self.out.with_name("gone")
        for _ in range(self.number(20)):
            self.begin()
            number = self.random.randint(1, self.changes)
            end = self.attempt(
                lambda: at_change(self.out, number, lambda: os.rename(self.out, gone))  # noqa: B023
            )
            if gone.exists():
                shutil.rmtree(self.out, ignore_errors=True)  # where it was made anew
                os.rename(gone, self.out)
                found.append(self.told(end, lost=False, half=[]))
        return found

    def two_at_once(self):
        """The second begins at any moment of the first, which is killed every other time."""
        found = []
        for i in range(self.number(20)):
            self.begin()
            first = begun(self.writer, self.target)
            time.sleep(self.random.uniform(0, self.seconds / 2))
            second = begun(self.writer, self.target)
            ends = [
                ended(*first, self.random.uniform(0, self.seconds / 2) if i % 2 else None),
                ended(*second),
            ]
            alike = self.content() == self.wanted
            found.append(self.told(" and ".join(ends), alike=alike))
        return found

    def clock_jumps(self):
        found = []
        for _ in range(self.number(10)):
            self.begin()
            number = self.random.randint(1, self.changes)
            self.attempt(lambda: (jumping(), at_change(self.out, number, die)))  # noqa: B023
            for path in self.out.rglob("*"):
                os.utime(path, (self.random.uniform(0, 4e9),) * 2)
            found.append(self.told(self.attempt(jumping)))
        return found

    def names_of_255_bytes(self):
        found, usual = [], self.target
        for name in (LONG, "n" * 255):
            self.begin()
            self.target = self.out / name
            if usual.exists():
                usual.rename(self.target)
            end = self.attempt()
            if self.target.exists():
                self.target.rename(usual)
            self.target = usual
            found.append(self.told(end.replace(name, "LONG")))
        return found


FAULTS = (
    "killed_at_random_moments",
    "killed_before_every_change",
    "no_file_larger_than_a_limit",
    "disk_full",
    "folder_read_only",
    "folder_vanished",
    "two_at_once",
    "clock_jumps",
    "names_of_255_bytes",
)


if __name__ == "__main__":
    name, share, *chosen = sys.argv[1:]
    says = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the writers print
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where a fault takes no time
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        writer = WRITERS[name](Path(folder) / "inputs")
        trials = Trials(writer, Path(folder), float(share))
        found = {
            fault.replace("_", " "): getattr(trials, fault)()
            for fault in writer.faults or FAULTS
            if not chosen or fault in chosen
        }
    print(json.dumps({"seconds": trials.seconds, "faults": found}), file=says, flush=True)
