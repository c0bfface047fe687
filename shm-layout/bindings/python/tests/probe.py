"""The Python reader as the system tests drive it (tests/tests/readers/): every language has this program.

probe.py attach            reads paths from standard input, a line each; answers each with what is there
probe.py follow DIR NAME   prints what happens in a stream, and its samples, until it is closed in order
probe.py hammer PATH MS    attaches and reads again and again while the file changes; prints what came of it
"""

import sys
import time
import zlib

import tympan_ring
from tympan_ring import Closed, Crashed, Follower, Frames, Lost, NewEpoch, Ring, RingError

SOME = 16


def outcome(name, read):
    try:
        planar = read()
    except tympan_ring.LostError as error:
        return f"{name}:lost:{error.start}:{error.stop}"
    except tympan_ring.NotYetError as error:
        return f"{name}:not_yet:{error.available}"
    except tympan_ring.BeforeFirstError as error:
        return f"{name}:before_first:{error.first}"
    return f"{name}:ok:{zlib.crc32(planar.tobytes()):08x}"


def look(ring):
    info = ring.info
    frames = min(info.capacity_frames, SOME)
    yield "ok"
    yield from (info.sample_rate_hz, info.channels, info.capacity_frames, info.first_frame, info.epoch)
    yield from (info.previous_epoch or 0, info.writer_pid, info.writer_start_time)
    yield from (ring.commit, ring.oldest, ring.gap_frames, ring.state, int(info.overview is not None))
    yield info.session.hex
    yield info.stream.encode().hex()
    if info.labels:
        yield ",".join(label.encode().hex() or "-" for label in info.labels)
    yield outcome("oldest", lambda: ring.read(ring.oldest, frames))
    yield outcome("newest", lambda: ring.newest(frames)[1])
    yield outcome("first", lambda: ring.read(info.first_frame, frames))
    yield from (f"gap:{gap.start}:{gap.stop}:{gap.cause}" for gap in ring.gaps())
    for name, wall in ("monotonic", False), ("wall", True):
        ns = ring.time_of(ring.commit, wall)
        yield f"{name}:{'-' if ns is None else ns}"


def attach():
    for line in sys.stdin:
        try:
            with Ring(line.rstrip("\n")) as ring:
                answer = " ".join(str(field) for field in look(ring))
        except tympan_ring.AttachError as error:
            answer = f"error {error.kind} {error}"
        print(answer, flush=True)


def follow(folder, stream):
    out = sys.stdout.buffer
    with Follower(folder, stream, frames_max=32_768) as follower:
        for event in follower:
            if isinstance(event, NewEpoch):
                start, stop = event.gap or (follower.position, follower.position)
                out.write(f"epoch {event.info.epoch} {event.info.first_frame} {start} {stop}\n".encode())
            elif isinstance(event, Frames):
                channels, frames = event.planar.shape
                for gap in follower.ring.gaps(event.start, event.start + frames):
                    out.write(f"gap {gap.start} {gap.stop} {gap.cause}\n".encode())
                out.write(f"frames {event.start} {frames} {channels}\n".encode())
                out.write(event.planar.tobytes())
            elif isinstance(event, Lost):
                out.write(f"lost {event.start} {event.stop}\n".encode())
            elif isinstance(event, Closed):
                out.write(f"closed {event.at}\n".encode())
            elif isinstance(event, Crashed):
                out.write(f"crashed {event.at}\n".encode())
            else:
                out.write(b"waiting\n")
            out.flush()
            if isinstance(event, Closed):
                return


def hammer(path, ms):
    attached = refused = good = bad = 0
    end = time.monotonic() + ms / 1000
    while time.monotonic() < end:
        try:
            ring = Ring(path)
        except tympan_ring.AttachError:
            refused += 1
            continue
        attached += 1
        with ring:
            frames = min(ring.info.capacity_frames, SOME)
            for _ in range(20):
                for read in (lambda: ring.newest(frames), lambda: ring.read(ring.oldest, frames)):
                    try:
                        read()
                        good += 1
                    except RingError:
                        bad += 1
                ring.gaps()
                ring.time_of(ring.commit)
                ring.wait(ring.commit, 0)
    print(attached, refused, good, bad)


def main(arguments):
    if arguments == ["attach"]:
        attach()
    elif len(arguments) == 3 and arguments[0] == "follow":
        follow(arguments[1], arguments[2])
    elif len(arguments) == 3 and arguments[0] == "hammer":
        hammer(arguments[1], int(arguments[2]))
    else:
        sys.exit("usage: probe.py attach | follow DIR NAME | hammer PATH MS")


main(sys.argv[1:])
