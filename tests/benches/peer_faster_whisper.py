"""faster-whisper (CTranslate2) over some files, as its users call it, with int8 weights and a greedy search.

usage: peer_faster_whisper.py MODEL_FOLDER THREADS FILE...
prints {"seconds": all files together, the model being loaded, "texts": [...]}
"""

import json
import sys
import time

from faster_whisper import WhisperModel

folder, threads, *files = sys.argv[1:]
model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=int(threads))
begin = time.monotonic()
texts = []
for file in files:
    segments, _ = model.transcribe(file, language="en", beam_size=1)
    # They are computed while they are taken.
    texts.append("".join(segment.text for segment in segments).strip())
print(json.dumps({"seconds": time.monotonic() - begin, "texts": texts}))
