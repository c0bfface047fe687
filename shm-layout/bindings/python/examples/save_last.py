"""Saves the last seconds of a stream to a WAV file: what was just said, after it was said.

    python save_last.py /dev/shm/tympan-$(id -u) mic last.wav [--seconds 30] [--bits 16|24]
"""

import argparse
import sys
import wave

import numpy as np
from tympan_ring import LostError, Ring, RingError

BLOCK_FRAMES = 4_800


def pcm(planar, bits):
    """Interleaved little-endian integers of `bits` bits."""
    top = (1 << (bits - 1)) - 1
    # What is not a number is silence.
    samples = np.nan_to_num(planar.T.astype(np.float64), nan=0.0)
    whole = np.clip(np.rint(samples * top), -top - 1, top).astype("<i4")
    raw = np.ascontiguousarray(whole).view(np.uint8).reshape(-1, 4)
    return raw[:, : bits // 8].tobytes()


def save(ring, file, seconds, bits):
    """Frames written, and how many of them are silence because they were overwritten meanwhile."""
    info = ring.info
    end = ring.commit
    position = max(end - int(seconds * info.sample_rate_hz), ring.oldest)
    begin, lost = position, 0
    with wave.open(file, "wb") as out:
        out.setnchannels(info.channels)
        out.setsampwidth(bits // 8)
        out.setframerate(info.sample_rate_hz)
        while position < end:
            frames = min(BLOCK_FRAMES, end - position)
            try:
                out.writeframesraw(pcm(ring.read(position, frames), bits))
            except LostError as error:
                frames = min(error.stop, end) - position
                lost += frames
                out.writeframesraw(bytes(frames * info.channels * bits // 8))
            position += frames
    return begin, end, lost


def main():
    parser = argparse.ArgumentParser(description="Saves the last seconds of a stream to a WAV file.")
    parser.add_argument("folder")
    parser.add_argument("stream")
    parser.add_argument("file")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--bits", type=int, choices=(16, 24), default=16)
    arguments = parser.parse_args()
    try:
        with Ring.of_stream(arguments.folder, arguments.stream) as ring:
            begin, end, lost = save(ring, arguments.file, arguments.seconds, arguments.bits)
            gaps = sum(min(gap.stop, end) - max(gap.start, begin) for gap in ring.gaps(begin, end))
            seconds = (end - begin) / ring.info.sample_rate_hz
    except (RingError, OSError) as error:
        sys.exit(f"error: {error}")
    print(f"{arguments.file}: {seconds:.1f} s", file=sys.stderr)
    if gaps or lost:
        print(f"of which silence: {gaps} frames never captured, {lost} overwritten meanwhile", file=sys.stderr)


main()
