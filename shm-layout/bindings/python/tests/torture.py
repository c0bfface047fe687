"""A reader to be stopped and killed (tests/tests/torture/): follows the torture ring through its epochs until it is closed,
looks at every sample, and counts. Prints one JSON object at its end. Every language has this program.

torture.py FOLDER [--trust]: with --trust it copies what lies where LAYOUT.md says, always near the place of writing, and
never asks whether it was overwritten meanwhile, for two seconds. That it finds wrong samples then shows that the others
can.
"""

import json
import mmap
import os
import struct
import sys
import time

import numpy as np

from tympan_ring import Closed, Crashed, Follower, Frames, Lost, NewEpoch

FRAMES_MAX = 8_192
RAMP = np.arange(FRAMES_MAX, dtype=np.uint32) * np.uint32(7)


def wrong_samples(planar, start):
    """How many samples are not what the writer wrote there: tests/src/ramp.rs has the same rule."""
    wrong, frames = 0, planar.shape[1]
    for channel, samples in enumerate(planar):
        begin = np.uint32((start * 7 + channel * 1_000_003) & 0xFFFF_FFFF)
        expected = ((RAMP[:frames] + begin) & np.uint32(0xFF_FFFF)).astype(np.float32)
        wrong += np.count_nonzero(samples.view(np.uint32) != expected.view(np.uint32))
    return int(wrong)


def follow(folder):
    counted = dict.fromkeys(("begin", "end", "read", "lost", "gaps", "wrong", "words", "epochs", "crashes"), 0)
    with Follower(folder, "torture", frames_max=FRAMES_MAX) as follower:
        for event in follower:
            if isinstance(event, Frames):
                counted["wrong"] += wrong_samples(event.planar, event.start)
                counted["read"] += event.planar.shape[1]
                counted["words"] += event.planar.size
            elif isinstance(event, Lost):
                counted["lost"] += event.stop - event.start
            elif isinstance(event, NewEpoch):
                if counted["epochs"] == 0:
                    counted["begin"] = follower.position
                counted["epochs"] += 1
                start, stop = event.gap or (0, 0)
                counted["gaps"] += stop - start
            elif isinstance(event, Crashed):
                counted["crashes"] += 1
            elif isinstance(event, Closed):
                counted["end"] = event.at
                return counted


def trust(folder):
    wrong = looks = 0
    with open(os.path.join(folder, "torture.ring"), "rb") as file:
        ring = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def word(at):
        return struct.unpack_from("<Q", ring, at)[0]

    channels, capacity, first = word(24), word(32), word(328)
    planes = np.ndarray((channels, capacity), np.float32, ring, word(360), (word(352), 4))
    until = time.monotonic() + 2
    while time.monotonic() < until:
        oldest = max(word(40) - capacity, first)
        begin = oldest % capacity
        planar = np.hstack((planes[:, begin : begin + FRAMES_MAX], planes[:, : max(begin + FRAMES_MAX - capacity, 0)]))
        wrong += wrong_samples(planar, oldest)
        looks += 1
    return {"wrong": wrong, "looks": looks}


def main(arguments):
    if len(arguments) == 1:
        print(json.dumps(follow(arguments[0])))
    elif len(arguments) == 2 and arguments[1] == "--trust":
        print(json.dumps(trust(arguments[0])))
    else:
        sys.exit("usage: torture.py FOLDER [--trust]")


main(sys.argv[1:])
