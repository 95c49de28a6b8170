"""Reading and copying files on a host that has Python, in one process. Sent to hosts as text, and imports nothing of
Telarchy: Python 3.8 and later, and only modules that `python3 -I -S` finds.

    digest STAT LENGTH                          files named on stdin as for read.sh, a record of batch.sh for each
    arrive STAT BEGUN DONE LARGE SMALL AGAIN PROGRESS TOTAL
                                                the same for files of two lists, as they arrive in a staging folder
                                                (AGAIN: which an earlier try has filled in part); to the file
                                                PROGRESS, unless that is "", goes how much of TOTAL bytes is here,
                                                unless that is "", and that all is here and read
    place FROM FILES TOTAL                      copy the files of a list from FROM to here, times too

Hosts without Python have batch.sh for this, which takes many processes and more of the processor. STAT is how
precisely batch.sh sees times there. What arrives is sent on to the disk and dropped from memory behind the reading,
so that little is left to wait for at the end. How far it is is told as rsync's --info=progress2 tells it; `place`
fails as rsync does.
"""

# Paths are bytes here, and pathlib takes longer to import than a small title to read.
# ruff: noqa: PTH103, PTH110, PTH112, PTH116, PTH118, PTH120, PTH123, BLE001, UP036

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from _hashlib import openssl_sha256  # hashlib has code of its own too, slower than what batch.sh uses
from _thread import allocate_lock

TYPE_CHECKING = False  # threading takes longer to import than a small title to read
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Thread

BLOCK = 256 * 1024
STRIDE = 16 * 1024 * 1024  # bytes that are moved, or sent on to the disk, in one go
BEHIND = 8 * STRIDE  # what was sent on before is asked for again: by now it may be written, and leave memory
PAUSE = 0.02
TOLD_EVERY, TOLD_FIRST = 0.5, 0.1
USELESS = 1  # a Python that lacks something ends so by itself, before it has read anything
FAILED = 3
UNWRITTEN = 11  # as rsync ends

if sys.version_info < (3, 8):
    sys.exit(USELESS)


class Teller:
    """Records of files, to stdout. By `stat` they get the times that listings of this host have."""

    def __init__(self, flavour: str) -> None:
        self._whole_seconds = flavour == "simple"
        self._out = open(1, "wb", buffering=BLOCK, closefd=False)  # noqa: SIM115
        self._lock = allocate_lock()

    def tell(
        self, path: bytes, digest: str, before: os.stat_result | None, after: os.stat_result | None
    ) -> None:
        look = self._look(before)
        record = f"d {digest or '-'} {look} {look if same(before, after) else self._look(after)} ".encode()
        with self._lock:
            self._out.write(record + path + b"//\n")

    def end(self) -> None:
        self._out.flush()

    def _look(self, seen: os.stat_result | None) -> str:
        if seen is None:
            return "- -"
        second, rest = divmod(abs(seen.st_mtime_ns), 10**9)
        sign = "-" if seen.st_mtime_ns < 0 else ""
        return f"{seen.st_size} {sign}{second}" + ("" if self._whole_seconds else f".{rest:09d}")


def same(one: os.stat_result | None, other: os.stat_result | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.st_size == other.st_size and one.st_mtime_ns == other.st_mtime_ns


class Digest:
    """A file being digested, from its beginning on."""

    def __init__(self, number: int, view: memoryview) -> None:
        self.number, self.length = number, 0
        self._sum, self._view = openssl_sha256(), view

    def go_on(self) -> bool:
        """Take what there is now, up to a stride of it; whether that was anything."""
        before = self.length
        while self.length - before < STRIDE and (count := os.readv(self.number, [self._view])):
            self.take(count)
        return self.length > before

    def take(self, count: int) -> None:
        """What was read into the view."""
        self._sum.update(self._view[:count])
        self.length += count

    def hex(self) -> str:
        return str(self._sum.hexdigest())


def words(data: bytes) -> list[bytes]:
    return data.split(b"\0")[:-1]


def buffer() -> memoryview:
    return memoryview(bytearray(BLOCK))


def seen_as(path: bytes) -> os.stat_result | None:
    """A regular file as it stands; None for anything else."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def opened(path: bytes) -> int | None:
    """A file to be read; None when it cannot be. Neither follows a link nor waits for a pipe."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def digest(path: bytes, view: memoryview, teller: Teller, before: os.stat_result | None) -> None:
    """Read a file that was seen so a moment ago."""
    sum_ = ""
    number = opened(path) if before else None
    if before is not None and number is not None:
        try:
            count = os.readv(number, [view])
            if (
                count == before.st_size < BLOCK
            ):  # all of it; one that grows meanwhile is told by its size after
                sum_ = str(openssl_sha256(view[:count]).hexdigest())
            else:
                reading = Digest(number, view)
                reading.take(count)
                while reading.go_on():
                    pass
                sum_ = reading.hex()
        except OSError:
            pass  # unreadable in the middle: as good as not there
        finally:
            os.close(number)
    teller.tell(path, sum_, before, seen_as(path))


def digest_named(length: int, teller: Teller) -> None:
    data, view = sys.stdin.buffer.read(), buffer()
    for path in words(data[:length])[1::2] + words(data[length:]):
        digest(path, view, teller, seen_as(path))
    teller.end()


class Arrivals:
    """Files that rsync (-t --inplace) or `place` brings. Nobody says when one is complete: it has its old mtime then,
    from before BEGUN; a large one that is written from its beginning on has its size. Once DONE exists, all are."""

    def __init__(
        self, begun: str, done: str, again: bool, teller: Teller, told: Callable[[int], None]
    ) -> None:
        self._begun, self._done = os.stat(begun).st_mtime_ns, done
        self._again, self._teller, self._told = again, teller, told

    def small(self, paths: list[bytes]) -> None:
        view, over = buffer(), False
        for path in paths:
            here = 0
            while True:
                seen = seen_as(path)
                if over:
                    break
                if seen is not None:
                    self._told(seen.st_size - here)
                    here = seen.st_size
                    if seen.st_mtime_ns < self._begun:
                        break
                over = self.over()
                if not over:
                    time.sleep(PAUSE)
            digest(path, view, self._teller, seen)

    def large(self, pairs: list[bytes]) -> None:
        view = buffer()
        for size, path in zip(pairs[::2], pairs[1::2]):  # noqa: B905 - `strict` is younger than some hosts
            if self._again:
                self.small([path])
            elif not self._stream(path, int(size), view):
                while not self.over():
                    time.sleep(PAUSE)
                digest(path, view, self._teller, seen_as(path))

    def over(self) -> bool:
        if os.path.exists(self._done):
            return True
        if not os.path.isdir(os.path.dirname(self._done)):
            os._exit(FAILED)  # nobody waits for this any more
        return False

    def _stream(self, path: bytes, size: int, view: memoryview) -> bool:
        """Digest a file while it is written from its beginning to its end; False when that is not what happened."""
        number = None
        while number is None:
            if self.over():
                return False
            number = opened(path)
            if number is None:
                time.sleep(PAUSE)
        reading, sending, over = Digest(number, view), Sending(number), False
        try:
            while reading.length < size:
                before = reading.length
                if reading.go_on():
                    self._told(reading.length - before)
                    sending.follow(reading.length)
                elif over:
                    return False
                else:
                    over = self.over()
                    time.sleep(0 if over else PAUSE)
            seen = seen_as(path)
            if seen is None or seen.st_size != size or seen.st_ino != os.fstat(number).st_ino:
                return False
        finally:
            sending.end(reading.length)
            os.close(number)
        self._teller.tell(path, reading.hex(), seen, seen)
        return True


class Sending:
    """Sends what was read of a growing file on to the disk and then out of memory, beside the reading. Only a hint:
    that everything is on the disk, the sync at the end says."""

    def __init__(self, number: int) -> None:
        self._number, self._asked = number, 0
        self._thread: Thread | None = None

    def follow(self, length: int) -> None:
        if length - self._asked < STRIDE or (self._thread is not None and self._thread.is_alive()):
            return
        first, self._asked = max(0, self._asked - BEHIND), length
        from threading import Thread

        self._thread = Thread(target=self._send, args=(first, length - first))
        self._thread.start()

    def end(self, length: int) -> None:
        if self._thread is not None:
            self._thread.join()
            self._send(max(0, self._asked - BEHIND), length)

    def _send(self, first: int, length: int) -> None:
        if sys.platform == "linux":
            try:
                os.posix_fadvise(self._number, first, length, os.POSIX_FADV_DONTNEED)
            except OSError:
                pass


def arrive(
    teller: Teller, begun: str, done: str, large: str, small: str, again: str, progress: str, total: str
) -> None:
    told: Callable[[int], None] = lambda count: None  # noqa: E731
    if progress:
        number = os.open(progress, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if total:
            told = _progress(int(total), number, until=done)
    arrivals, failures = Arrivals(begun, done, bool(again), teller, told), []
    with open(large, "rb") as one, open(small, "rb") as other:
        pairs, paths = words(one.read()), words(other.read())

    def beside() -> None:
        try:
            arrivals.large(pairs)
        except Exception as problem:
            failures.append(problem)

    if pairs:
        from threading import Thread

        thread = Thread(target=beside)
        thread.start()
    arrivals.small(paths)
    if pairs:
        thread.join()
    if failures:
        raise failures[0]
    teller.end()
    if progress:
        while not arrivals.over():  # before that, whoever brings files may still change what was read
            time.sleep(PAUSE / 4)
        try:
            os.write(number, b"settling\n")
        except OSError:
            pass  # as above: a full disk is for others to tell


def place(root: str, names: str, total: str) -> None:
    with open(names, "rb") as listed:
        paths = words(listed.read())
    told = _progress(int(total), 1)
    mask = os.umask(0)
    os.umask(mask)
    begin, folder, view = os.path.join(os.fsencode(root), b""), b"", buffer()
    for path in paths:
        seen = os.lstat(begin + path)
        if stat.S_ISREG(seen.st_mode):
            parent = path.rpartition(b"/")[0]
            if parent != folder:
                folder = parent
                os.makedirs(folder, exist_ok=True)
            _place_one(begin + path, path, seen, mask, view, told)


def _place_one(
    source: bytes,
    target: bytes,
    seen: os.stat_result,
    mask: int,
    view: memoryview,
    told: Callable[[int], None],
) -> None:
    mode, flags = stat.S_IMODE(seen.st_mode) & 0o777 & ~mask, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    read = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        at = 0
        try:
            written = os.open(target, flags | os.O_EXCL | os.O_CLOEXEC, mode | 0o200)
        except FileExistsError:
            if same(seen_as(target), seen):
                told(seen.st_size)
                return
            written = os.open(target, flags | os.O_CLOEXEC, mode | 0o200)
            at = os.fstat(written).st_size
        try:
            # What an earlier try left is gone on from: all of it is read once it is here, and that decides.
            # Not cut short without need: ext4 sees to it that such a file is on the disk when it is closed.
            if at > seen.st_size or (at and seen.st_size < STRIDE):
                os.ftruncate(written, 0)
                at = 0
            if at:
                told(at)
                os.lseek(read, at, os.SEEK_SET)
                os.lseek(written, at, os.SEEK_SET)
            for count in _moved(read, written, seen.st_size - at, view):
                told(count)
            if not mode & 0o200:
                os.fchmod(written, mode)
            os.utime(written, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        finally:
            os.close(written)
    finally:
        os.close(read)


def _moved(read: int, written: int, length: int, view: memoryview) -> Iterator[int]:
    """Bytes of each step from one file to the other: within the kernel, or shared, where that can be and pays."""
    if length > BLOCK and sys.platform == "linux" and hasattr(os, "copy_file_range"):
        try:
            while count := os.copy_file_range(read, written, STRIDE):
                yield count
        except OSError as problem:
            if problem.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
                raise
    while count := os.readv(read, [view]):  # some file systems end too early, and some cannot do it at all
        rest = view[:count]
        while rest:
            rest = rest[os.write(written, rest) :]
        yield count
        if count == length:
            return  # a small file, in one go: what is more of it now is told by its size


def _progress(total: int, number: int, until: str = "") -> Callable[[int], None]:
    begun = time.monotonic()
    last, done = begun - TOLD_EVERY + TOLD_FIRST, 0
    lock = allocate_lock()

    def told(count: int) -> None:
        nonlocal done, last
        now = time.monotonic()
        with lock:
            done += count
            if now - last < TOLD_EVERY:
                return
            last = now
        if until and os.path.exists(until):
            return
        rate = done / max(now - begun, 0.001)
        left = int(max(0, total - done) / max(rate, 1))
        eta = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        try:
            os.write(number, f"{done} {done * 100 // max(total, 1)}% {rate / 1024:.2f}kB/s {eta}\n".encode())
        except OSError:
            pass  # a full disk is for those to tell who bring files

    return told


def main(verb: str, *args: str) -> None:
    if verb == "place":
        place(*args)
        return
    flavour, *rest = args
    if verb == "digest":
        digest_named(int(rest[0]), Teller(flavour))
    else:
        arrive(Teller(flavour), *rest)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as problem:
        sys.stderr.write(f"{problem}\n")
        sys.stderr.flush()
        os._exit(UNWRITTEN if sys.argv[1] == "place" else FAILED)
