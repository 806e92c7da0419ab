"""The published beat scores, computed once more in the plainest way, against those of this package.

    python benchmarks/published_scores.py outputs/corpora/mini/clips outputs/compare/aligned_pooled/model \\
        outputs/compare/aligned_pooled/pooled outputs/compare/aligned_pooled/ceiling

The first folder holds the reference music; every wav of the others is scored against the file of its name. The
computation here is librosa's onset detection with the windows of the papers' scripts, a loop over seconds, and
counters; nothing of this package is used for it. Prints the scores of
both families from both computations and the largest difference of any clip, and fails above 1e-9.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile

from pn_diffusion_plugin.metrics.beats import music_events
from pn_diffusion_plugin.metrics.scoring import clip_scores
from pn_diffusion_plugin.metrics.torch_metrics import D2MScores, LorisScores

RATE, HOP = 22050, 512
TOLERANCE = 1e-9
LORIS = {"pre_max": 3, "post_max": 3, "pre_avg": 3, "post_avg": 3}
D2M = {"post_max": 1, "pre_avg": 1, "post_avg": 1}


def seconds_with_onsets(wav: np.ndarray, windows: dict[str, Any], seconds: float) -> list[int]:
    """0 or 1 for each second of the clip."""
    if not wav.any():
        return [0] * math.ceil(seconds)
    frames = librosa.onset.onset_detect(y=wav, sr=RATE, hop_length=HOP, wait=1, delta=0.2, **windows)
    times = librosa.frames_to_time(frames, sr=RATE, hop_length=HOP)
    found = []
    for second in range(math.ceil(seconds)):
        inside = [t for t in times if second <= t < second + 1 and t < seconds]
        found.append(1 if inside else 0)
    return found


def counts(reference: list[int], generated: list[int]) -> tuple[int, int, int]:
    """(seconds of both, of the reference, of the generated music that hold an onset)."""
    both = 0
    for g, s in zip(reference, generated, strict=True):
        if g == 1 and s == 1:
            both += 1
    return both, sum(reference), sum(generated)


def plain_scores(reference: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """The four scores of one clip."""
    seconds = len(reference) / RATE
    generated = generated[: len(reference)]
    found = {}
    both, music, made = counts(*(seconds_with_onsets(w, LORIS, seconds) for w in (reference, generated)))
    found["loris_bcs"] = both / made if made else 0.0
    found["loris_bhs"] = both / music if music else 0.0
    both, music, made = counts(*(seconds_with_onsets(w, D2M, seconds) for w in (reference, generated)))
    found["d2m_bcs"] = made / music if music else 0.0
    found["d2m_bhs"] = both / music if music else 0.0
    return found


def plain_corpus(scores: list[dict[str, float]]) -> dict[str, float]:
    """The papers' table from the clips' scores."""
    n = len(scores)
    mean = {name: sum(one[name] for one in scores) / n for name in scores[0]}
    for spread, name in (("loris_csd", "loris_bcs"), ("loris_hsd", "loris_bhs")):
        mean[spread] = math.sqrt(sum((one[name] - mean[name]) ** 2 for one in scores) / (n - 1))
    total = mean["loris_bcs"] + mean["loris_bhs"]
    mean["loris_f1"] = 2 * mean["loris_bcs"] * mean["loris_bhs"] / total if total else 0.0
    return mean


def compare(reference: Path, folders: list[Path]) -> dict[str, object]:
    """Both computations over every wav of `folders`, as {"clips", "largest_difference", "plain", "package"}."""
    plain: list[dict[str, float]] = []
    package: list[dict[str, float]] = []
    loris, d2m = LorisScores(), D2MScores()
    for folder in folders:
        for path in sorted(folder.glob("*.wav")):
            wav, rate = soundfile.read(reference / path.name, dtype="float32")
            made, made_rate = soundfile.read(path, dtype="float32")
            if {rate, made_rate} != {RATE}:
                sys.exit(f"{path} and its reference must be at {RATE} Hz, not {made_rate} and {rate} Hz")
            made = np.pad(made, (0, max(0, len(wav) - len(made))))
            plain.append(plain_scores(wav, made))
            heard, generated = (music_events(sound, RATE) for sound in (wav, made[: len(wav)]))
            scores = clip_scores(heard, heard.beats, generated, None)
            package.append({name: scores[name] for name in plain[-1]})
            loris.update([generated.loris], [heard.loris], [heard.seconds])
            d2m.update([generated.d2m], [heard.d2m], [heard.seconds])
    if len(plain) < 2:
        sys.exit("give folders with at least two wav files")
    ours = {name: float(value) for name, value in {**loris.compute(), **d2m.compute()}.items()}
    theirs = plain_corpus(plain)
    differences = [abs(a[n] - b[n]) for a, b in zip(plain, package, strict=True) for n in a]
    differences += [abs(theirs[n] - ours[n]) for n in theirs]
    return {"clips": len(plain), "largest_difference": max(differences), "plain": theirs, "package": ours}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path, help="folder of reference music")
    parser.add_argument("generated", type=Path, nargs="+", help="folders of generated music")
    parser.add_argument("-o", "--output", type=Path, help="write the numbers as JSON")
    args = parser.parse_args()
    found = compare(args.reference, args.generated)
    plain, package = found["plain"], found["package"]
    assert isinstance(plain, dict) and isinstance(package, dict)
    print(f"{'':10} {'plain':>20} {'this package':>20}")
    for name in sorted(plain):
        print(f"{name:10} {plain[name]:20.15f} {package[name]:20.15f}")
    print(f"{found['clips']} clips, largest difference {found['largest_difference']:.3g}")
    if args.output:
        args.output.write_text(json.dumps(found, indent=1) + "\n")
    if not float(str(found["largest_difference"])) < TOLERANCE:
        sys.exit(1)


if __name__ == "__main__":
    main()
