"""Reading a stream through all its epochs, with every frame accounted for."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Iterator, Optional, Tuple, Union

import numpy as np

from ._errors import AttachError, BeforeFirstError, LostError, NotYetError
from ._header import Info
from ._ring import Ring

_LOOK_EVERY_S = 0.01


@dataclass(frozen=True)
class Frames:
    """Frames from `start` on, as float32 ``[channels][frames]``."""

    start: int
    planar: np.ndarray


@dataclass(frozen=True)
class Lost:
    """Frames `start` to `stop` were overwritten, or removed, before they were read."""

    start: int
    stop: int


@dataclass(frozen=True)
class NewEpoch:
    """A ring was entered (the first one too). `gap`: the frames before it that nobody captured."""

    info: Info
    gap: Optional[Tuple[int, int]]


@dataclass(frozen=True)
class Closed:
    """The stream ended in order, before frame `at`. A later epoch may still follow."""

    at: int


@dataclass(frozen=True)
class Crashed:
    """The writer died; the last whole frame lies before `at`. A later epoch follows if somebody starts it again."""

    at: int


@dataclass(frozen=True)
class Waiting:
    """Nothing came in time."""


Event = Union[Frames, Lost, NewEpoch, Closed, Crashed, Waiting]


class Follower:
    """A position in a stream. Iterating over it gives events for ever; :meth:`next` gives one."""

    def __init__(self, folder, stream: str, frames_max: int = 4800, newest_when_lapped: bool = False) -> None:
        """Begins at the oldest frame of the stream's newest ring, as soon as there is one.

        `newest_when_lapped`: for meters and pictures; loses more when late, and is on time again."""
        if frames_max < 1:
            raise ValueError("frames_max: at least 1")
        self._folder, self._stream = os.fspath(folder), stream
        self._frames_max, self._newest_when_lapped = frames_max, newest_when_lapped
        self._end_said = False
        self.ring: Optional[Ring] = None
        self.position = 0

    def close(self) -> None:
        """Lets the ring go."""
        if self.ring is not None:
            self.ring.close()
            self.ring = None

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_exc) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        while True:
            yield self.next(1.0)

    def next(self, timeout_s: float = 1.0) -> Event:
        """The next thing that happened, waiting up to `timeout_s` for it."""
        deadline = time.monotonic() + timeout_s
        while True:
            if self.ring is not None:
                waited = self.ring.wait(self.position, max(deadline - time.monotonic(), 0.0))
                if waited.what == "ready":
                    return self._take(waited.commit)
                if waited.what == "timed_out":
                    return Waiting()
                if not self._end_said:
                    self._end_said = True
                    return Closed(waited.commit) if waited.what == "closed" else Crashed(waited.commit)
            entered = self._enter()
            if entered is not None:
                return entered
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return Waiting()
            time.sleep(min(left_s, _LOOK_EVERY_S))

    def _take(self, commit: int) -> Event:
        start, ring = self.position, self.ring
        try:
            planar = ring.read(start, min(commit - start, self._frames_max))
        except LostError as lost:
            self.position = max(ring.commit, lost.stop) if self._newest_when_lapped else lost.stop
            return Lost(start, self.position)
        # Only a file with impossible counters gets to these: go on where it can be read.
        except NotYetError as error:
            self.position = error.available
            return Waiting()
        except BeforeFirstError as error:
            self.position = error.first
            return Waiting()
        self.position = start + planar.shape[1]
        return Frames(start, planar)

    def _enter(self) -> Union[NewEpoch, Lost, None]:
        old = self.ring
        try:
            if old is None:
                ring = Ring.of_stream(self._folder, self._stream)
                start = ring.oldest
            else:
                # The smallest epoch after this one: none is passed over while its file is there.
                epoch = min((e for e in self._epochs() if e > old.info.epoch), default=None)
                if epoch is None:
                    return None
                ring = Ring.of_stream(self._folder, self._stream, epoch)
                start = ring.info.first_frame
        except (AttachError, OSError):
            return None
        begin = self.position
        missing = old is not None and old.info.session == ring.info.session and start > begin
        if missing and ring.info.previous_epoch != old.info.epoch:
            # Whole epochs came and went unread: that is a loss of this reader's, and no gap in the stream.
            ring.close()
            self.position = start
            return Lost(begin, start)
        gap = (begin, start) if missing else None
        if old is not None:
            old.close()
        self.ring, self.position, self._end_said = ring, start, False
        return NewEpoch(ring.info, gap)

    def _epochs(self) -> Iterator[int]:
        begin, end = f"{self._stream}.", ".ring"
        for name in os.listdir(self._folder):
            number = name[len(begin) : -len(end)]
            if name.startswith(begin) and name.endswith(end) and number.isascii() and number.isdigit():
                yield int(number)
