#!/usr/bin/env python3
"""Writes a version 2 ring to standard output, from LAYOUT.md alone, as a later program might: a header of 8,192 bytes,
table entries of 128 bytes, and optional features that nobody knows yet. 48,000 Hz, 2 channels named left and right, 100
frames of history from frame 1,000 on, closed after 150 frames with a gap of frames 1,020 to 1,030. Frame i of channel c
holds i + 10,000 c."""

import struct
import sys
import zlib

RATE, CHANNELS, CAPACITY, FIRST, FRAMES = 48_000, 2, 100, 1_000, 150
HEADER, ENTRIES, ENTRY, STRIDE = 8_192, 2, 128, 448
TABLE = HEADER
DATA = TABLE + ENTRIES * ENTRY
TOTAL = 12_288
ring = bytearray(TOTAL)


def put(form, offset, *values):
    struct.pack_into("<" + form, ring, offset, *values)


end = FIRST + FRAMES
ring[0:8] = b"AUDITAB!"
put("7Q", 8, 2, RATE, CHANNELS, CAPACITY, end, 1, end)
put("IIQ", 64, 7, 2, 123)  # futex word, state, time of the last commit
put("QQ", 128, 2, 10)  # table count, gap frames
put("QQII", 256, HEADER, TOTAL, 1, 0)
put("QQ", 280, 0, 2 | 1 << 40)  # no required features; labels, and something unknown
ring[296:312] = bytes(range(16))
put("QQQQQ", 312, 3, 2, FIRST, 4_000_000, 99)  # epoch, the one before, first frame, pid, start time
put("QQQQQ", 352, STRIDE, DATA, TABLE, ENTRIES, ENTRY)
name = b"golden"
put("Q", 392, len(name))
ring[400 : 400 + len(name)] = name
ring[512:516], ring[544:549] = b"left", b"right"
put("I", 276, zlib.crc32(bytes(ring[16:40]) + bytes(ring[256:4096])))
put("QIIQQQQ", TABLE, 2, 1, 0, FIRST, FIRST, 5_000_000_000, 6_000_000_000)
put("QIIQQQQ", TABLE + ENTRY, 4, 2, 9, 1_020, 1_030, 0, 0)
for frame in range(FIRST, end):
    for channel in range(CHANNELS):
        put("f", DATA + channel * STRIDE + frame % CAPACITY * 4, frame + 10_000.0 * channel)
sys.stdout.buffer.write(ring)
