"""One ring, mapped read-only."""

from __future__ import annotations

import errno
import mmap
import os
import stat
import sys
import time
from typing import Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from . import _wait
from ._errors import BeforeFirstError, IoError, LostError, MalformedError, MissingError, NotYetError, UntrustedError
from ._header import HEADER_BYTES, Gap, Info, parse

if sys.byteorder != "little":
    raise ImportError("tympan_ring: rings are little-endian, and so must the processor be")

_fence, ORDERED = _wait.find_fence()

# Indices of 64-bit words, and of the 32-bit ones.
_COMMIT, _RESERVE, _TABLE_COUNT, _GAP_FRAMES = 5, 7, 16, 17
_FUTEX, _STATE = 16, 17
_LIMIT = 1 << 64
_WRITER_LOOK_S = 0.5
_SETTLED_S = 0.0001
_STATES = {1: "live", 2: "closed"}


class Wait(NamedTuple):
    """How a wait ended: `what` is "ready", "closed", "crashed" or "timed_out"; `commit` is one past the newest frame."""

    what: str
    commit: int


class Ring:
    """One attached ring. ``with Ring(path) as ring:`` or :meth:`close` lets it go."""

    def __init__(self, path) -> None:
        """Attaches to a ring file; raises an `AttachError`."""
        self.path = os.fspath(path)
        self._map, file_bytes = _open(self.path)
        try:
            # One copy is checked and believed: the file may change meanwhile.
            self.info: Info = parse(self._map[:HEADER_BYTES], file_bytes)
        except BaseException:
            self._map.close()
            raise
        info = self.info
        self._first, self._capacity, self._channels = info.first_frame, info.capacity_frames, info.channels
        # The header and the table as words: each is read in one load.
        before_samples = memoryview(self._map)[: info.data_offset]
        self._words, self._halves = before_samples.cast("Q"), before_samples.cast("I")
        self._planes = np.ndarray(
            (info.channels, info.capacity_frames),
            np.float32,
            buffer=self._map,
            offset=info.data_offset,
            strides=(info.stride_bytes, 4),
        )
        self._address = np.ndarray((1,), np.uint8, buffer=self._map).ctypes.data

    @classmethod
    def of_stream(cls, folder, stream: str, epoch: Optional[int] = None) -> "Ring":
        """Attaches to the newest epoch of a stream, or to the given one."""
        name = f"{stream}.ring" if epoch is None else f"{stream}.{epoch}.ring"
        return cls(os.path.join(os.fspath(folder), name))

    def close(self) -> None:
        """Unmaps the ring; nothing else may be called after that."""
        self._planes = self._words = self._halves = None
        self._address = 0
        try:
            self._map.close()
        except BufferError:
            # Somebody still holds a view; the mapping goes with it.
            pass

    def __enter__(self) -> "Ring":
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    @property
    def commit(self) -> int:
        """One past the newest frame that can be read."""
        commit = self._words[_COMMIT]
        if _fence is not None:
            _fence()
        return commit if commit > self._first else self._first

    @property
    def oldest(self) -> int:
        """The oldest frame worth asking for: a little younger than the oldest that is there, so that a reader that
        begins here is not lapped at once."""
        return self._oldest_for(self._words[_RESERVE])

    def _oldest_for(self, reserve: int) -> int:
        oldest = reserve - self._capacity
        return self._first if oldest <= self._first else oldest + self._capacity // 64

    @property
    def state(self) -> str:
        """What the header says: "live", "closed" (in order) or "crashed"."""
        return _STATES.get(self._halves[_STATE], "crashed")

    @property
    def gap_frames(self) -> int:
        """Frames of this epoch that were never captured, so far."""
        return self._words[_GAP_FRAMES]

    def read(self, position: int, frames: int, out: Optional[np.ndarray] = None) -> np.ndarray:
        """Frames `position` to `position + frames`, as float32 ``[channels][frames]``: a new array, or `out`.

        Raises `LostError`, `NotYetError` or `BeforeFirstError`; what `out` holds then means nothing."""
        if position < self._first:
            raise BeforeFirstError(self._first)
        if frames < 0:
            raise ValueError(f"{frames} frames")
        words, capacity = self._words, self._capacity
        if position + frames > words[_COMMIT] and position + frames > self._first:
            raise NotYetError(self.commit)
        if _fence is not None:
            _fence()
        if frames > capacity:
            raise self._lost(position)
        begin = position % capacity
        end = begin + frames
        if end <= capacity:
            if out is None:
                out = self._planes[:, begin:end].copy()
            else:
                out[...] = self._planes[:, begin:end]
        else:
            if out is None:
                out = np.empty((self._channels, frames), np.float32)
            out[:, : capacity - begin] = self._planes[:, begin:]
            out[:, capacity - begin :] = self._planes[:, : end - capacity]
        if _fence is not None:
            _fence()
        # After the copy: if one of the samples was a newer one, the `reserve` that came before it is seen here.
        safe = position + capacity
        if words[_RESERVE] <= safe < _LIMIT or frames == 0:
            return out
        raise self._lost(position)

    def _lost(self, position: int) -> LostError:
        return LostError(position, max(self._oldest_for(self._words[_RESERVE]), position + 1))

    def newest(self, frames: int, out: Optional[np.ndarray] = None) -> Tuple[int, np.ndarray]:
        """The newest `frames` frames, and the position of the first."""
        commit = self.commit
        position = commit - frames
        if position < self._first:
            raise NotYetError(commit)
        return position, self.read(position, frames, out)

    def wait(self, beyond: int, timeout_s: float) -> Wait:
        """Sleeps until a frame at or after `beyond` can be read, the ring ends, or the time is over. No spinning.

        The writer's death is looked for twice a second, should nobody say it."""
        deadline = time.monotonic() + timeout_s
        last, since = None, 0.0
        while True:
            now = time.monotonic()
            # If nothing is new below, the word is still this one when we go to sleep, or the sleep returns at once.
            word = self._halves[_FUTEX]
            if _fence is not None:
                _fence()
            state, commit = self.state, self.commit
            if commit > beyond:
                return Wait("ready", commit)
            if state != "live":
                return Wait(state, commit)
            # In a burst of writes only the first one wakes: until the word has settled, look again soon (LAYOUT.md).
            settled = last == word and now - since >= _SETTLED_S
            if last != word:
                last, since = word, time.monotonic()
            left_s = max(deadline - time.monotonic(), 0.0)
            settled = settled or left_s <= _SETTLED_S
            _wait.futex_wait(self._address + _FUTEX * 4, word, min(left_s, _WRITER_LOOK_S if settled else _SETTLED_S))
            if self._halves[_FUTEX] != word or not settled:
                continue
            if not _wait.is_alive(self.info.writer_pid, self.info.writer_start_time):
                commit = self.commit
                if commit > beyond:
                    return Wait("ready", commit)
                return Wait("closed" if self.state == "closed" else "crashed", commit)
            if time.monotonic() >= deadline:
                return Wait("timed_out", commit)

    def gaps(self, start: int = 0, stop: int = _LIMIT) -> List[Gap]:
        """The gaps that touch frames `start` to `stop`, oldest first."""
        spans = (Gap(begin, end, cause) for kind, cause, begin, end, _, _ in self._entries() if kind == 2)
        return [gap for gap in spans if gap.start < gap.stop and gap.start < stop and gap.stop > start]

    def time_of(self, frame: int, wall: bool = False) -> Optional[int]:
        """When a frame was committed: nanoseconds of CLOCK_MONOTONIC, or with `wall` of CLOCK_REALTIME (as
        `time.time_ns()`), from the nearest entry of the time table and the rate. None before the first entry."""
        times = [(entry[2], entry[5 if wall else 4]) for entry in self._entries() if entry[0] == 1]
        if not times:
            return None
        anchor, anchor_ns = min(times, key=lambda at: abs(at[0] - frame))
        distance_ns = abs(frame - anchor) * 1_000_000_000 // self.info.sample_rate_hz
        at_ns = anchor_ns + distance_ns if frame >= anchor else anchor_ns - distance_ns
        return at_ns if 0 <= at_ns < _LIMIT else None

    def _entries(self) -> Iterator[Tuple[int, int, int, int, int, int]]:
        """`(kind, cause, from, to, monotonic, wall)` of all whole entries that are still there, oldest first."""
        info, words = self.info, self._words
        count = words[_TABLE_COUNT]
        if _fence is not None:
            _fence()
        for index in range(max(count - info.table_entries, 0), count):
            at = (info.table_offset + index % info.table_entries * info.table_entry_bytes) // 8
            whole = 2 * index + 2
            if words[at] != whole or whole >= _LIMIT:
                continue
            if _fence is not None:
                _fence()
            kind_and_cause, begin, end, monotonic_ns, wall_ns = words[at + 1 : at + 6]
            if _fence is not None:
                _fence()
            if words[at] == whole:
                yield kind_and_cause & 0xFFFF_FFFF, kind_and_cause >> 32, begin, end, monotonic_ns, wall_ns


def _open(path: str) -> Tuple[mmap.mmap, int]:
    """Opens a file of this user's that nobody else can reach, and that reading cannot kill us by, and maps it."""
    # NOFOLLOW and NONBLOCK: neither a symbolic link nor a FIFO may lead or hold us anywhere.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        raise MissingError(f"there is no ring {path}") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UntrustedError(f"{path}: not a private regular file: a symbolic link") from None
        raise IoError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise IoError(f"{path!r}: {error}") from error
    try:
        meta = os.fstat(fd)
        why = None
        if not stat.S_ISREG(meta.st_mode):
            why = "not a regular file"
        elif meta.st_uid != os.geteuid():
            why = "it belongs to another user"
        elif meta.st_mode & 0o077:
            why = "it is open to other users"
        elif meta.st_size < HEADER_BYTES:
            raise MalformedError("not a ring: shorter than its header")
        elif meta.st_blocks * 512 < meta.st_size:
            # A hole is filled when it is touched; where there is no room by then, touching it kills the reader.
            why = "it has holes"
        if why is not None:
            raise UntrustedError(f"{path}: not a private regular file: {why}")
        return mmap.mmap(fd, meta.st_size, access=mmap.ACCESS_READ), meta.st_size
    except (OSError, ValueError, OverflowError) as error:
        # Also a file that became shorter just now.
        raise IoError(f"{path}: {error}") from error
    finally:
        os.close(fd)
