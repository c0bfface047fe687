"""What a validated read of 480 frames costs, beside a plain numpy copy of as much.

    python bench.py /dev/shm/tympan-$(id -u)/mic.ring
"""

import sys
from time import perf_counter_ns

import numpy as np
from tympan_ring import Ring

FRAMES, ROUNDS, REPEAT = 480, 2001, 20


def p50_us(call):
    """Of `REPEAT` calls at a time, so that reading the clock does not count."""
    times = []
    for _ in range(ROUNDS):
        begin = perf_counter_ns()
        for _ in range(REPEAT):
            call()
        times.append((perf_counter_ns() - begin) / REPEAT / 1000)
    return sorted(times)[ROUNDS // 2]


if len(sys.argv) != 2:
    sys.exit("usage: bench.py RING")
with Ring(sys.argv[1]) as ring:
    channels = ring.info.channels
    position, out = ring.newest(FRAMES)
    source = np.zeros((channels, FRAMES), np.float32)
    read = p50_us(lambda: ring.read(position, FRAMES, out))
    fresh = p50_us(lambda: ring.read(position, FRAMES))
    copy = p50_us(lambda: np.copyto(out, source))
    print(f"Python: validated read of {FRAMES} x {channels}: p50 {read:.3f} us into an array, {fresh:.3f} us into a new")
    print(f"one; numpy copy of as much: p50 {copy:.3f} us")
