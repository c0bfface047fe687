"""Aligns the clips of a folder with their transcripts: align.py FOLDER writes FOLDER/times.json."""

import array
import json
import math
import pathlib
import re
import sys
import wave

from pocketsphinx import Decoder

WINDOW_S = 0.01
# The aligner gives a pause to the word beside it. A word loses what is this much quieter, in dB above the quietest tenth
# of the clip, for so long.
QUIET_DB = 8.0
PAUSE_WINDOWS = 15
# Two windows of a word's edge stay: sounds do not end at once.
EDGE_WINDOWS = 2


def levels(samples):
    windows = range(0, len(samples), 160)
    power = lambda part: sum(sample * sample for sample in part) / len(part)
    return [10 * math.log10(1 + power(samples[at : at + 160])) for at in windows]


def trimmed(first, last, loud):
    """The windows of a word without the pauses at its ends."""
    heard = [at for at in range(first, last + 1) if loud(at)]
    if not heard:
        return first, last
    # A pause inside a word is none of it, nor is what follows: a breath, a page.
    for one, next_one in zip(heard, heard[1:]):
        if next_one - one > PAUSE_WINDOWS and one - heard[0] >= 5:
            heard = [at for at in heard if at <= one]
            break
    if heard[0] - first >= 10:
        first = heard[0] - EDGE_WINDOWS
    if last - heard[-1] >= 10:
        last = heard[-1] + EDGE_WINDOWS
    return first, last


def align(file, transcript):
    with wave.open(str(file)) as clip:
        assert (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) == (16000, 1, 2), file
        pcm = clip.readframes(clip.getnframes())
    decoder = Decoder(loglevel="FATAL", samprate=16000)
    unknown = [word for word in transcript.split() if decoder.lookup_word(word) is None]
    assert not unknown, f"{file}: not in the dictionary: {unknown}"
    # The first round finds the level of the recording, the second uses it.
    for _ in range(2):
        decoder.set_align_text(transcript)
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
    level = levels(array.array("h", pcm))
    least = sorted(level)[len(level) // 10] + QUIET_DB
    loud = lambda at: at < len(level) and level[at] >= least
    words = []
    for segment in decoder.seg():
        word = re.sub(r"\(\d+\)$", "", segment.word)
        if word.startswith(("<", "[")):
            continue
        first, last = trimmed(segment.start_frame, segment.end_frame, loud)
        start_s, end_s = round(first * WINDOW_S, 2), round((last + 1) * WINDOW_S, 2)
        words.append({"word": word, "start_s": start_s, "end_s": end_s})
    assert [word["word"] for word in words] == transcript.split(), f"{file}: not all was aligned"
    return words


def main(folder):
    clips = json.loads((folder / "manifest.json").read_text())
    lines = []
    for clip in clips:
        words = ",\n   ".join(json.dumps(word) for word in align(folder / clip["file"], clip["transcript"]))
        lines.append(f' {{\n  "file": {json.dumps(clip["file"])},\n  "words": [\n   {words}\n  ]\n }}')
    (folder / "times.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


main(pathlib.Path(sys.argv[1]))
