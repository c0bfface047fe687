"""What a header says, believed only as far as it is consistent with itself and with the file's length."""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import NamedTuple, Optional, Tuple

from ._errors import FeatureError, MalformedError, VersionError

HEADER_BYTES = 4096
_VERSION = 2
_OVERVIEW, _LABELS = 1, 2
_NAME_BYTES_MAX, _LABEL_BYTES, _CHANNELS_MAX, _RATE_HZ_MAX = 64, 32, 64, 192_000
_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")


class Gap(NamedTuple):
    """Frames `start` to `stop` were never captured: they are zeros. `cause` is in the writer's numbering."""

    start: int
    stop: int
    cause: int


@dataclass(frozen=True)
class Overview:
    """The writer keeps the least and the greatest sample of every `bin_frames` frames."""

    bins: int
    bin_frames: int
    offset: int
    stride_bytes: int


@dataclass(frozen=True)
class Info:
    """What never changes in a ring's life."""

    stream: str
    session: uuid.UUID
    epoch: int
    previous_epoch: Optional[int]
    sample_rate_hz: int
    channels: int
    capacity_frames: int
    first_frame: int
    writer_pid: int
    writer_start_time: int
    """Clock ticks since boot: a pid alone is used again."""
    labels: Tuple[str, ...]
    """What each channel is; empty when nobody said."""
    overview: Optional[Overview]
    stride_bytes: int
    data_offset: int
    table_offset: int
    table_entries: int
    table_entry_bytes: int


def parse(header: bytes, file_bytes: int) -> Info:
    """Parses the first page (a copy of it: the file may change meanwhile)."""

    def word(at: int) -> int:
        return _U64.unpack_from(header, at)[0]

    if header[:8] != b"AUDITAB!":
        raise MalformedError("not a ring: no AUDITAB! at its beginning")
    if word(8) != _VERSION:
        raise VersionError(word(8))
    crc = zlib.crc32(header[280:], zlib.crc32(b"\0\0\0\0", zlib.crc32(header[256:276], zlib.crc32(header[16:40]))))
    if crc != _U32.unpack_from(header, 276)[0]:
        raise MalformedError("not a ring: wrong checksum")
    if word(280) != 0:
        raise FeatureError(word(280))
    if _U32.unpack_from(header, 272)[0] != 1:
        raise MalformedError("not a ring: unknown sample format")
    rate, channels, capacity = word(16), word(24), word(32)
    if not (1 <= rate <= _RATE_HZ_MAX and 1 <= channels <= _CHANNELS_MAX and capacity >= 1):
        raise MalformedError("not a ring: impossible rate, channels or capacity")
    total, stride, data = word(264), word(352), word(360)
    if total != file_bytes or stride * channels + data > total or capacity * 4 > stride:
        raise MalformedError("not a ring: samples outside of the file")
    if not HEADER_BYTES <= word(256) <= data:
        raise MalformedError("not a ring: impossible header length")
    if stride % 64 or data % 64 or data < HEADER_BYTES:
        raise MalformedError("not a ring: unaligned samples")
    table, entries, entry_bytes = word(368), word(376), word(384)
    table_fits = table >= HEADER_BYTES and table + entries * entry_bytes <= data
    if entries == 0 or entry_bytes < 64 or entry_bytes % 8 or table % 8 or not table_fits:
        raise MalformedError("not a ring: table outside of its place")
    first_frame, pid = word(328), word(336)
    if first_frame > (1 << 63) - 1:
        raise MalformedError("not a ring: impossible first frame")
    if pid >= 1 << 32:
        raise MalformedError("not a ring: impossible pid")
    return Info(
        stream=_name(header, word(392)),
        session=uuid.UUID(bytes=header[296:312]),
        epoch=word(312),
        previous_epoch=word(320) or None,
        sample_rate_hz=rate,
        channels=channels,
        capacity_frames=capacity,
        first_frame=first_frame,
        writer_pid=pid,
        writer_start_time=word(344),
        labels=_labels(header, channels) if word(288) & _LABELS else (),
        overview=_overview(word, capacity, channels, total) if word(288) & _OVERVIEW else None,
        stride_bytes=stride,
        data_offset=data,
        table_offset=table,
        table_entries=entries,
        table_entry_bytes=entry_bytes,
    )


def _name(header: bytes, length: int) -> str:
    if not 1 <= length <= _NAME_BYTES_MAX:
        raise MalformedError("not a ring: no name")
    name = _text(header[400 : 400 + length], "name")
    if "/" in name or "\0" in name or name.startswith("."):
        raise MalformedError("not a ring: name is not a file name")
    return name


def _labels(header: bytes, channels: int) -> Tuple[str, ...]:
    places = (512 + channel * _LABEL_BYTES for channel in range(channels))
    return tuple(_text(header[at : at + _LABEL_BYTES].split(b"\0", 1)[0], "label") for at in places)


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError(f"not a ring: {what} is not UTF-8") from None


def _overview(word, capacity: int, channels: int, total: int) -> Overview:
    offset, bins, bin_frames, stride = word(464), word(472), word(480), word(488)
    outside = offset + stride * channels > total or bins * 8 > stride or offset < HEADER_BYTES
    # A product beyond 64 bits is no honest number of frames.
    if outside or offset % 8 or stride % 8 or not capacity <= bins * bin_frames < 1 << 64:
        raise MalformedError("not a ring: overview outside of its place")
    return Overview(bins, bin_frames, offset, stride)
