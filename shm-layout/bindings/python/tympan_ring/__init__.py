"""Reads Tympan's shared-memory rings: numpy over mmap.

What it does: maps a ring read-only, checks every byte it relies on, copies frames out as ``[channels][frames]``, and says
exactly what was overwritten meanwhile. What it never does: write to a ring, slow its writer, spin.

    from tympan_ring import Follower, Frames
    for event in Follower("/dev/shm/tympan-1000", "mic"):
        if isinstance(event, Frames):
            print(event.start, abs(event.planar).max())
"""

from ._errors import (
    AttachError,
    BeforeFirstError,
    FeatureError,
    IoError,
    LostError,
    MalformedError,
    MissingError,
    NotYetError,
    ReadError,
    RingError,
    UntrustedError,
    VersionError,
)
from ._follow import Closed, Crashed, Follower, Frames, Lost, NewEpoch, Waiting
from ._header import Gap, Info, Overview
from ._ring import ORDERED, Ring, Wait

__all__ = [
    "ORDERED",
    "AttachError",
    "BeforeFirstError",
    "Closed",
    "Crashed",
    "FeatureError",
    "Follower",
    "Frames",
    "Gap",
    "Info",
    "IoError",
    "Lost",
    "LostError",
    "MalformedError",
    "MissingError",
    "NewEpoch",
    "NotYetError",
    "Overview",
    "ReadError",
    "Ring",
    "RingError",
    "UntrustedError",
    "VersionError",
    "Wait",
    "Waiting",
]
