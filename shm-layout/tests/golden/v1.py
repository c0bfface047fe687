#!/usr/bin/env python3
"""Writes a version 1 ring to standard output, from LAYOUT.md alone: 44,100 Hz, 2 channels, 8 frames of history, after 3
writes of 4 frames. Frame i of channel c holds i + 100 c; frames 0 to 3 are overwritten by 8 to 11."""

import struct
import sys

RATE, CHANNELS, CAPACITY, WRITE, WRITES = 44_100, 2, 8, 4, 3
header = b"AUDITAB!" + struct.pack("<6Q", 1, RATE, CHANNELS, CAPACITY, WRITES, WRITE)
planes = [[0.0] * CAPACITY for _ in range(CHANNELS)]
for frame in range(WRITES * WRITE):
    for channel, plane in enumerate(planes):
        plane[frame % CAPACITY] = frame + 100.0 * channel
samples = b"".join(struct.pack(f"<{CAPACITY}d", *plane) for plane in planes)
sys.stdout.buffer.write(header.ljust(4096, b"\0") + samples)
