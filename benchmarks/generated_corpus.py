"""What the generated corpus costs, and what its dances and its music are like.

    python benchmarks/generated_corpus.py -o outputs/generated_corpus --clips 20
    python benchmarks/generated_corpus.py -o outputs/generated_corpus --only music --real FOLDER_OF_WAVS_OR_VIDEOS

- costs: processor seconds a clip of music, dance, writing the video, pose and windows, on one core;
- dance: how well the kinematic beats BlazePose sees meet the music's beats, against the same clips half a beat late;
- music: long-term spectrum (share of the energy in octaves, dB), crest factor, onsets a second; the distance of every
  song to its nearest neighbour (`metrics/memorisation.py`, where below 0.1 is a copy). With `--real` the same of
  others' music beside it;
- sheets: `dances.png` (12 frames of each of 12 clips, 4 a row) and `music.png` (12 mel spectrograms).

Writes `report.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pn_diffusion_plugin.data.corpora.generated.files import write_clip_video
from pn_diffusion_plugin.data.corpora.generated.plan import (
    SAMPLE_RATE,
    ClipPlan,
    GeneratedSpec,
    clip_motion,
    clip_music,
    clip_pictures,
    clip_plan,
)

OCTAVES = (30, 60, 120, 240, 480, 960, 1920, 3840, 7680)  # Hz
SEED = 70  # none of the corpus' own


def plans(count: int) -> tuple[GeneratedSpec, list[ClipPlan]]:
    """Training clips of another seed."""
    spec = GeneratedSpec(train=count, seed=SEED)
    return spec, [clip_plan(spec, "train", index) for index in range(count)]


def clocked(spent: dict[str, list[float]], name: str, work: Callable[[], Any]) -> Any:
    """What `work` gives; its processor seconds go to `spent`."""
    start = time.process_time()
    result = work()
    spent.setdefault(name, []).append(time.process_time() - start)
    return result


def costs_and_dance(count: int) -> dict[str, Any]:
    """Processor seconds by stage, and alignment of dance and music as BlazePose sees it."""
    import torch

    from pn_diffusion_plugin.data.features.feature_file import FeatureSpec
    from pn_diffusion_plugin.data.features.pose import POSE_SIDE, PoseExtractor
    from pn_diffusion_plugin.data.features.visual import build_visual_encoder, window_features
    from pn_diffusion_plugin.data.video.read import read_frames
    from pn_diffusion_plugin.metrics.dance import dance_music_alignment, kinematic_beats

    torch.set_num_threads(1)
    spec, chosen = plans(count)
    features, pose = FeatureSpec(), PoseExtractor()
    encoder = build_visual_encoder(features.visual_encoder)
    spent: dict[str, list[float]] = {}
    rows, late = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, plan in enumerate(chosen):
            clocked(spent, "music", partial(clip_music, plan))
            clocked(spent, "dance", partial(clip_motion, spec, plan))
            write = partial(write_clip_video, spec, plan, Path(folder))
            video = clocked(spent, "video with music and dance", write)
            pictures = list(read_frames(video, spec.fps, size=POSE_SIDE))
            found, detected = clocked(spent, "pose", partial(pose.extract, pictures, spec.fps))
            if number < 3:  # always the same work
                for shown in (pictures[::2], pictures[::2][::-1]):
                    window = features.visual_window, features.visual_hop
                    clocked(spent, "windows, one way", partial(window_features, encoder, shown, *window))
            height, width = pictures[0].shape[:2]
            dance, beats = kinematic_beats(found, spec.fps, aspect=width / height), plan.score.beats()
            rows.append((*dance_music_alignment(dance, beats), detected.mean()))
            late.append(dance_music_alignment(dance + 0.5 * plan.score.period, beats))
            print(
                f"{plan.id} {plan.genre} {plan.score.bpm:g}: {rows[-1][0]:.2f} {rows[-1][1]:.2f}", flush=True
            )
    mean, null = np.nanmean(rows, axis=0), np.nanmean(late, axis=0)
    return {
        "seconds a clip": {name: round(float(np.mean(values)), 3) for name, values in spent.items()},
        "dance to music": {"clips": round(float(mean[0]), 3), "half a beat late": round(float(null[0]), 3)},
        "music to dance": {"clips": round(float(mean[1]), 3), "half a beat late": round(float(null[1]), 3)},
        "frames with a dancer": round(float(mean[2]), 3),
    }


def described(waves: Sequence[tuple[np.ndarray, int]]) -> dict[str, Any]:
    """Means over sounds, and the standard deviation of each octave."""
    import librosa

    from pn_diffusion_plugin.metrics.memorisation import TrainingClips, centred_log_mel

    levels, crests, densities, pictures = [], [], [], {}
    for number, (wav, rate) in enumerate(waves):
        spectrum = np.mean(np.abs(librosa.stft(wav, n_fft=4096)) ** 2, axis=1)
        hertz = np.linspace(0, rate / 2, spectrum.size)
        energy = [
            spectrum[(hertz >= a) & (hertz < b)].sum()
            for a, b in zip(OCTAVES, (*OCTAVES[1:], 11025), strict=True)
        ]
        levels.append(10 * np.log10(np.array(energy) / spectrum.sum() + 1e-9))
        crests.append(20 * np.log10(np.abs(wav).max() / np.sqrt(np.mean(wav**2))))
        densities.append(len(librosa.onset.onset_detect(y=wav, sr=rate)) * rate / len(wav))
        pictures[str(number)] = centred_log_mel(wav, rate)
    distances = []
    for number, (wav, rate) in enumerate(waves):
        others = {name: picture for name, picture in pictures.items() if name != str(number)}
        nearest = TrainingClips(others).nearest(wav, rate)
        distances.append(1.0 if nearest is None else nearest.distance)
    return {
        "sounds": len(waves),
        "octaves from (Hz)": list(OCTAVES),
        "level (dB)": np.mean(levels, axis=0).round(1).tolist(),
        "level, deviation (dB)": np.std(levels, axis=0).round(1).tolist(),
        "crest factor (dB)": round(float(np.mean(crests)), 1),
        "onsets a second": round(float(np.mean(densities)), 2),
        "nearest neighbour": {
            "median": round(float(np.median(distances)), 3),
            "least": round(float(min(distances)), 3),
        },
    }


def music(count: int, real: Path | None) -> dict[str, Any]:
    """Generated music, and others' beside it."""
    from pn_diffusion_plugin.data.video.sound import read_audio

    _, chosen = plans(count)
    found = {"generated": described([(clip_music(plan), SAMPLE_RATE) for plan in chosen])}
    if real is not None:
        files = sorted(path for path in real.rglob("*") if path.suffix in (".mp4", ".wav", ".mp3", ".flac"))
        found["real"] = described([(read_audio(path, SAMPLE_RATE), SAMPLE_RATE) for path in files[:count]])
    return found


def sheets(output: Path) -> None:
    """Pictures of dances and of music, to be looked at."""
    import cv2
    import librosa

    spec, chosen = plans(12)
    strips, spectrograms = [], []
    for plan in chosen:
        scene = clip_pictures(spec, plan)
        height, width = scene.picture_size
        cells = []
        for index in range(40, 64, 6):
            cell = np.full((spec.size, spec.size, 3), 127, np.uint8)
            top, left = (spec.size - height) // 2, (spec.size - width) // 2
            cell[top : top + height, left : left + width] = scene.frame(index)
            cells.append(cv2.resize(cell, (128, 128), interpolation=cv2.INTER_AREA))
        strips.append(np.concatenate(cells, axis=1))
        mel = librosa.feature.melspectrogram(y=clip_music(plan), sr=SAMPLE_RATE, n_mels=96)
        level = np.clip(librosa.power_to_db(mel, ref=np.max) / 80 + 1, 0, 1)[::-1]
        spectrograms.append(cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_MAGMA))
    rows = [np.concatenate(strips[i : i + 3], axis=1) for i in range(0, 12, 3)]
    cv2.imwrite(str(output / "dances.png"), np.concatenate(rows, axis=0)[..., ::-1])
    pairs = [np.concatenate(spectrograms[i : i + 3], axis=1) for i in range(0, 12, 3)]
    cv2.imwrite(str(output / "music.png"), np.concatenate(pairs, axis=0))


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--only", choices=("dance", "music", "sheets"))
    parser.add_argument("--real", type=Path, help="folder with others' music, as sound or in videos")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "report.json"
    report = json.loads(path.read_text()) if path.is_file() else {}
    if arguments.only in (None, "music"):
        report["music"] = music(arguments.clips, arguments.real)
    if arguments.only in (None, "sheets"):
        sheets(arguments.output)
    if arguments.only in (None, "dance"):
        report["dance"] = costs_and_dance(arguments.clips)
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
