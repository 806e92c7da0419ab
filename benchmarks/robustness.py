"""How much changes when a dance is filmed or encoded differently: rates, sizes, noise, a moving camera, a cut, a second
dancer.

    python benchmarks/robustness.py VIDEOS -o outputs/robustness          # a folder of dances of one person each
    python benchmarks/robustness.py --jitter                              # jitter of BlazePose's joints

Every dance is written again in each variant, and its features are extracted. They are compared with those of the
original video:

- found: share of the frames in which the dancer was found;
- joints: median distance of the limbs' joints, relative to the hips, in torso lengths;
- velocity: correlation of the joints' velocities;
- windows: cosine similarity of the visual features;
- dance → music: the bundled model's music for the variant, against the beats of the *original* dance; the first row is
  the music for the original video. Mean over clips.

Rates are changed by repeating or dropping frames, as converters do, so frames are up to half a frame early or late; a
camera of that rate would do better. Finished variants are stored in the folder and reused.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.ndimage import uniform_filter1d

from benchmarks.common import command_line, table
from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.augment import part_of_body
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.extraction import extract_features
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec, load_features
from pn_diffusion_plugin.data.features.pose import PoseExtractor
from pn_diffusion_plugin.data.features.visual import build_visual_encoder
from pn_diffusion_plugin.data.skeleton import JOINT_NAMES
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.metrics.beats import track_beats
from pn_diffusion_plugin.metrics.dance import dance_beats, dance_music_alignment
from pn_diffusion_plugin.utils.files import write_json

FPS = 25.0
LIMBS = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]  # shoulders to ankles
Frames = list[np.ndarray]  # (H, W, 3) uint8 RGB
Variant = Callable[[Frames, Frames], tuple[Frames, float]]  # a dance and another one → frames, their rate


def at_rate(fps: float) -> Variant:
    """Repeat or drop frames."""

    def variant(dance: Frames, _: Frames) -> tuple[Frames, float]:
        count = round(len(dance) / FPS * fps)
        return [dance[min(round(k / fps * FPS), len(dance) - 1)] for k in range(count)], fps

    return variant


def each(change: Callable[[np.ndarray, int, int], np.ndarray]) -> Variant:
    """Change every frame: (frame, its number, number of frames) → frame."""

    def variant(dance: Frames, _: Frames) -> tuple[Frames, float]:
        return [change(picture, k, len(dance)) for k, picture in enumerate(dance)], FPS

    return variant


def resized(side: int) -> Variant:
    """Resize the longer side to so many pixels."""

    def change(picture: np.ndarray, _: int, __: int) -> np.ndarray:
        scale = side / max(picture.shape[:2])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=how))

    return each(change)


def portrait(picture: np.ndarray, _: int, __: int) -> np.ndarray:
    """Pad to a portrait frame."""
    height, width = picture.shape[:2]
    top = (width * 16 // 9 - height) // 2
    return np.asarray(cv2.copyMakeBorder(picture, top, top, 0, 0, cv2.BORDER_REPLICATE))


def noisy(picture: np.ndarray, k: int, _: int) -> np.ndarray:
    """Add sensor noise."""
    grain = np.random.default_rng(k).normal(0, 14, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def dark(picture: np.ndarray, _: int, __: int) -> np.ndarray:
    """Divide the brightness by 3."""
    return (picture // 3).astype(np.uint8)


def moved(path: Callable[[float], tuple[float, float]]) -> Variant:
    """Move the camera: `path` gives x and y at a time (s) in parts of the frame. Posters at the sides make the movement
    visible."""

    def change(picture: np.ndarray, k: int, _: int) -> np.ndarray:
        height, width = picture.shape[:2]
        border = height // 4
        room = np.asarray(cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_REPLICATE))
        for x in (0, room.shape[1] - border):
            tiles = np.random.default_rng(x).integers(60, 200, (8, 3, 3)).astype(np.uint8)
            poster = cv2.resize(tiles, (border, room.shape[0]), interpolation=cv2.INTER_NEAREST)
            room[:, x : x + border] = poster
        x, y = path(k / FPS)
        shift = np.array([[1.0, 0.0, -x * width], [0.0, 1.0, -y * height]])
        size = (room.shape[1], room.shape[0])
        return np.asarray(cv2.warpAffine(room, shift, size, borderMode=cv2.BORDER_REPLICATE))

    return each(change)


def cuts(picture: np.ndarray, k: int, count: int) -> np.ndarray:
    """A nearer camera with swapped colours in the second half."""
    if k < count // 2:
        return picture
    height, width = picture.shape[:2]
    near = np.asarray(cv2.resize(picture, None, fx=1.25, fy=1.25, interpolation=cv2.INTER_CUBIC))
    top, left = round(0.15 * height), round(0.125 * width)
    return np.ascontiguousarray(near[top : top + height, left : left + width, ::-1])


def gap(picture: np.ndarray, k: int, count: int) -> np.ndarray:
    """Black for 0.8 s."""
    return np.zeros_like(picture) if 0 <= k - count // 2 < 0.8 * FPS else picture


def second(dance: Frames, other: Frames) -> tuple[Frames, float]:
    """Add another dancer at the side, two thirds as large."""
    height, width = dance[0].shape[:2]
    pictures = []
    for k, picture in enumerate(dance):
        there = cv2.resize(
            other[k % len(other)], (2 * width // 3, 2 * height // 3), interpolation=cv2.INTER_AREA
        )
        above = height - there.shape[0]
        aside = cv2.copyMakeBorder(there, above, 0, 0, 0, cv2.BORDER_REPLICATE)
        pictures.append(np.concatenate([picture, aside], axis=1))
    return pictures, FPS


VARIANTS: dict[str, Variant] = {
    "the same, encoded again": at_rate(FPS),
    "24 pictures a second": at_rate(24),
    "30 pictures a second": at_rate(30),
    "60 pictures a second": at_rate(60),
    "144 pixels": resized(144),
    "1080 pixels": resized(1080),
    "upright": each(portrait),
    "noise": each(noisy),
    "a third of the light": each(dark),
    "camera pans": moved(lambda t: (0.05 * t - 0.2, 0.0)),
    "camera shakes": moved(lambda t: (0.02 * np.sin(9 * t), 0.015 * np.sin(13 * t))),
    "a cut": each(cuts),
    "0.8 s of nothing": each(gap),
    "a second dancer": second,
}


def seen(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Limbs from the hips, (T, 12, 2), and all joints' velocities, (T - 1, 33, 2), in torso lengths."""
    places = features.keypoints[..., :2] * (features.header.aspect, 1.0)
    hips = places[:, [23, 24]].mean(axis=1, keepdims=True)
    torso = np.median(
        np.linalg.norm(places[:, [11, 12]].mean(axis=1) - hips[:, 0], axis=-1)[features.detected]
    )
    return (places[:, LIMBS] - hips) / torso, np.diff(places, axis=0) * FPS / torso


def compare(before: Features, after: Features) -> dict[str, float]:
    """The measures of the module's docstring, except the music."""
    count = min(len(before.keypoints), len(after.keypoints))
    both = before.detected[:count] & after.detected[:count]
    steps = both[1:] & both[:-1]
    (x, v), (y, w) = seen(before), seen(after)
    windows = min(len(before.visual), len(after.visual))
    a, b = before.visual[:windows], after.visual[:windows]
    cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return {
        "found": float(after.detected.mean()),
        "joints": float(np.median(np.linalg.norm(x[:count] - y[:count], axis=-1)[both])),
        "velocity": float(np.corrcoef(v[: count - 1][steps].ravel(), w[: count - 1][steps].ravel())[0, 1]),
        "windows": float(cosine.mean()),
    }


def jitter(corpus: Path, clips: int) -> str:
    """Jitter of the joints found in the test dances of the embedded corpus around the drawn ones.

    Standard deviation of what changes within 0.4 s, in torso lengths by part of the body, and its correlation with the
    next frame.
    """
    parts = np.array([part_of_body(name) for name in JOINT_NAMES])
    deviations, stays = [], []
    for number in range(clips):
        features = load_features(corpus / "features" / f"mini-test-{number:04d}.safetensors")
        found = features.keypoints[..., :2]
        drawn = MiniSpec().plan("test", number).scene().keypoints[: len(found), :, :2]
        trunk = drawn[:, [23, 24]].mean(axis=1) - drawn[:, [11, 12]].mean(axis=1)
        error = (found - drawn) / np.median(np.linalg.norm(trunk, axis=-1))
        fast = np.clip(error - uniform_filter1d(error, 11, axis=0), -0.5, 0.5)[features.detected]
        # 1.4826 x the median is robust against limbs that are swapped for a while.
        deviations.append([1.4826 * np.median(np.abs(fast[:, parts == part])) for part in np.unique(parts)])
        stays.append((fast[1:] * fast[:-1]).mean() / (fast**2).mean())
    means = np.mean(deviations, axis=0)
    told = ", ".join(f"{part} {value:.3f}" for part, value in zip(np.unique(parts), means, strict=True))
    return f"{told}; stays {np.mean(stays):.2f}"


def results(videos: list[Path], variants: list[str], folder: Path, music: bool) -> Iterator[dict[str, Any]]:
    """A row for each dance and variant."""
    from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

    pose, encoder = PoseExtractor(), build_visual_encoder(FeatureSpec().visual_encoder)
    model = PNDiffusion.get_pretrained("mini") if music else None

    def alignment(features: Features, beats: np.ndarray) -> float:
        if model is None:
            return float("nan")
        (wave,) = model.generate_from_features([features], [0])
        return dance_music_alignment(beats, track_beats(wave[0].numpy(), model.sample_rate))[0]

    for number, video in enumerate(videos):
        stored = folder / f"{video.stem}.json"
        rows: dict[str, Any] = json.loads(stored.read_text()) if stored.is_file() else {}
        if any(variant not in rows for variant in ["as it was", *variants]):
            before = extract_features(video, None, pose, encoder)
            beats = dance_beats(before)
            if "as it was" not in rows:
                found = float(before.detected.mean())
                rows["as it was"] = {"found": found, "dance → music": alignment(before, beats)}
            dance = list(read_frames(video, FPS))
            other = list(read_frames(videos[number - 1], FPS))
        for variant in variants:
            if variant not in rows:
                with tempfile.TemporaryDirectory() as scratch:
                    path = Path(scratch) / "dance.mp4"
                    pictures, fps = VARIANTS[variant](dance, other)
                    write_video(path, pictures, fps)
                    after = extract_features(path, None, pose, encoder)
                rows[variant] = {**compare(before, after), "dance → music": alignment(after, beats)}
                write_json(stored, rows)
        yield rows


def means(rows: list[dict[str, Any]], variants: list[str]) -> str:
    """Means over dances, as Markdown."""
    names = ("found", "joints", "velocity", "windows", "dance → music")
    lines = []
    for variant in ["as it was", *variants]:
        values = [np.mean([row[variant].get(name, np.nan) for row in rows]) for name in names]
        lines.append([variant, *("–" if np.isnan(value) else f"{value:.2f}" for value in values)])
    return table([f"{len(rows)} dances", *names], lines)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("videos", type=Path, nargs="?", help="folder of mp4 files")
    parser.add_argument("-o", "--output", type=Path, default=Path("outputs/robustness"), help="folder")
    parser.add_argument("--clips", type=int, default=6, help="the first so many videos")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS), help="only these")
    parser.add_argument("--no-music", action="store_true", help="features only")
    parser.add_argument("--jitter", action="store_true", help="measure the jitter of BlazePose only")
    options = parser.parse_args()
    if options.jitter:
        print(jitter(paths.outputs_dir() / "corpora" / "mini", options.clips))
        return
    videos = sorted(options.videos.glob("*.mp4"))[: options.clips] if options.videos else []
    if len(videos) < 2:
        parser.error(f"{options.videos} holds {len(videos)} mp4 files: give a folder with two or more")
    rows = list(results(videos, options.variants, options.output, not options.no_music))
    text = means(rows, options.variants)
    print(text)
    write_json(
        options.output / "report.json",
        {"clips": [video.name for video in videos], "rows": rows, "table": text},
    )


if __name__ == "__main__":
    main()
