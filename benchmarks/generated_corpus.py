"""Cost, dances and music of the generated corpus.

    python benchmarks/generated_corpus.py -o outputs/generated_corpus --clips 20
    python benchmarks/generated_corpus.py -o outputs/generated_corpus --only music --real FOLDER_OF_WAVS_OR_VIDEOS
    python benchmarks/generated_corpus.py -o outputs/generated_corpus --only keypoints --clips 24 --write

- dance: processor seconds a clip of music, dance, writing the video, pose and windows, on one core; alignment of the
  kinematic beats found by BlazePose with the music's beats, and with beats half a period late;
- music: long-term spectrum (share of the energy in octaves, dB), crest factor, onsets a second; distance of every song
  to its nearest neighbour (`metrics/memorisation.py`; below 0.1 is a copy). `--real` adds the same of other music;
- keypoints: alignment of the kinematic beats of true, found and estimated keypoints with the music's beats, and the
  speed of the three; `--write` stores BlazePose's errors in `corpora/synthetic/keypoint_errors.json`. 6 s of
  one core a clip.

Writes `report.json`.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Clock, command_line
from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.plan import SAMPLE_RATE, ClipPlan

OCTAVES = (30, 60, 120, 240, 480, 960, 1920, 3840, 7680)  # Hz
SEED = 70  # unlike the corpus's own


def plans(count: int) -> tuple[GeneratedSpec, list[ClipPlan]]:
    """Training clips of another seed."""
    spec = GeneratedSpec(train=count, seed=SEED)
    return spec, [spec.plan("train", index) for index in range(count)]


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
    clock, rows, late = Clock(), [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, plan in enumerate(chosen):
            clock.measure("music", plan.audio)
            clock.measure("dance", plan.motion)
            video = clock.measure("video with music and dance", write_clip_video, plan, Path(folder))
            pictures = list(read_frames(video, spec.fps, size=POSE_SIDE))
            found, detected = clock.measure("pose", pose.extract, pictures, spec.fps)
            if number < 3:  # costs the same for every clip
                window = features.visual_window, features.visual_hop
                clock.measure("windows, one direction", window_features, encoder, pictures[::2], *window)
            height, width = pictures[0].shape[:2]
            dance, beats = kinematic_beats(found, spec.fps, aspect=width / height), plan.timing.beats()
            rows.append((*dance_music_alignment(dance, beats), detected.mean()))
            late.append(dance_music_alignment(dance + 0.5 * plan.timing.period, beats))
            print(
                f"{plan.id} {plan.genre} {plan.timing.bpm:g}: {rows[-1][0]:.2f} {rows[-1][1]:.2f}", flush=True
            )
    mean, null = np.nanmean(rows, axis=0), np.nanmean(late, axis=0)
    return {
        "seconds a clip": {
            name: round(value / (min(3, count) if "windows" in name else count), 3)
            for name, value in clock.processor.items()
        },
        "dance to music": {"clips": round(float(mean[0]), 3), "half a beat late": round(float(null[0]), 3)},
        "music to dance": {"clips": round(float(mean[1]), 3), "half a beat late": round(float(null[1]), 3)},
        "frames with a dancer": round(float(mean[2]), 3),
    }


def described(waves: Sequence[tuple[np.ndarray, int]]) -> dict[str, Any]:
    """Means over waves, and the standard deviation of each octave."""
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
    """Generated music, and other music beside it."""
    from pn_diffusion_plugin.data.video.sound import read_audio

    _, chosen = plans(count)
    found = {"generated": described([(plan.audio(), SAMPLE_RATE) for plan in chosen])}
    if real is not None:
        files = sorted(path for path in real.rglob("*") if path.suffix in (".mp4", ".wav", ".mp3", ".flac"))
        found["real"] = described([(read_audio(path, SAMPLE_RATE), SAMPLE_RATE) for path in files[:count]])
    return found


def keypoints(count: int, write: bool) -> dict[str, Any]:
    """Errors of BlazePose's keypoints; alignment and speed of true, found and estimated ones."""
    from pn_diffusion_plugin.data.corpora.synthetic.keypoint_errors import SIZES, KeypointErrors, body_height
    from pn_diffusion_plugin.data.features.pose import POSE_SIDE, PoseExtractor
    from pn_diffusion_plugin.data.video.read import read_frames
    from pn_diffusion_plugin.metrics.dance import dance_music_alignment, joint_speed, kinematic_beats

    (spec, chosen), pose, clips = plans(count), PoseExtractor(), []
    with tempfile.TemporaryDirectory() as folder:
        for plan in chosen:
            video = write_clip_video(plan, Path(folder))
            found, detected = pose.extract(read_frames(video, spec.fps, size=POSE_SIDE), spec.fps)
            scene = plan.scene()
            height, width = scene.frame_size
            clips.append((scene.keypoints[detected], found[detected], width / height))
            print(f"{plan.id}: no dancer found in {1 - detected.mean():.1%} of the frames", flush=True)
    errors = KeypointErrors.fit(clips)
    if write:
        errors.save(SIZES)
    rows: dict[str, list[tuple[float, ...]]] = {"true": [], "found": [], "estimated": []}
    for number, ((true, found, aspect), plan) in enumerate(zip(clips, chosen, strict=True)):
        visible = np.concatenate([true[..., :2], np.ones_like(true[..., :1])], axis=-1)
        made = errors.apply(true, aspect, np.random.default_rng(number))
        for name, points in (("true", visible), ("found", found), ("estimated", made)):
            dance = kinematic_beats(points, spec.fps, aspect=aspect)
            speed = joint_speed(points, spec.fps, aspect=aspect) / body_height(true, aspect)
            alignment = dance_music_alignment(dance, plan.timing.beats())
            rows[name].append((*alignment, *np.percentile(speed, (10, 50, 90))))
    return {
        "dance to music, music to dance, speed (body heights/s, 10, 50, 90 %)": {
            name: np.nanmean(values, axis=0).round(3).tolist() for name, values in rows.items()
        },
    }


def main() -> None:
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--only", choices=("dance", "music", "keypoints"))
    parser.add_argument("--real", type=Path, help="folder of other music, audio or videos")
    parser.add_argument("--write", action="store_true", help="of keypoints: store the errors")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "report.json"
    report = json.loads(path.read_text()) if path.is_file() else {}
    if arguments.only in (None, "music"):
        report["music"] = music(arguments.clips, arguments.real)
    if arguments.only == "keypoints":
        report["keypoints"] = keypoints(arguments.clips, arguments.write)
    if arguments.only in (None, "dance"):
        report["dance"] = costs_and_dance(arguments.clips)
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
