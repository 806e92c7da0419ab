"""Packed features of the train and valid clips, small enough to ship with the package.

One `.npz` without pickles. Keypoints are stored as differences between frames, in 1/8192 of the frame (0.03 pixels of
256), visibility in 1/255, visual windows as float16: `prepare mini --rebuild` gives the same within that rounding and
the small differences between processors (the visual encoder computes in bfloat16 where the CPU supports it).

    python -m pn_diffusion_plugin.data.corpora.synthetic.mini.features CORPUS    # packs a rebuilt corpus
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .....errors import CorpusError
from .....utils.files import atomic_path
from ....features.feature_file import FeatureHeader, Features, load_features
from ....manifest import CorpusPaths

PACKED_SPLITS = ("train", "valid")
POSITION_STEPS = 8192


def packed_path() -> Path:
    """The file that ships with the package."""
    return Path(__file__).with_name("features.npz")


def pack_features(path: str | Path, clips: dict[str, Features]) -> None:
    """Write features of clips of one length and specification to `path`."""
    names = sorted(clips)
    features = [clips[name] for name in names]
    places = np.stack([f.keypoints[..., :2] for f in features])
    steps = np.round(places * POSITION_STEPS).clip(-32768, 32767).astype(np.int16)
    arrays = {
        "names": np.array(names),
        "headers": np.array([json.dumps(asdict(f.header)) for f in features]),
        "first": steps[:, :1],
        "differences": np.diff(steps, axis=1),
        "visibility": np.stack(
            [np.round(f.keypoints[..., 2] * 255).clip(0, 255).astype(np.uint8) for f in features]
        ),
        "detected": np.packbits(np.stack([f.detected for f in features]), axis=1),
        "visual": np.stack([f.visual for f in features]).astype(np.float16),
        "visual_reverse": np.stack([f.visual_reverse for f in features]).astype(np.float16),
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def unpack_features(path: str | Path | None = None) -> dict[str, Features]:
    """Read packed features: {clip: Features}.

    Raises:
        CorpusError: the file is missing or damaged.
    """
    path = packed_path() if path is None else Path(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            steps = np.concatenate([arrays["first"], arrays["differences"]], axis=1).cumsum(
                axis=1, dtype=np.int16
            )
            places = steps.astype(np.float32) / POSITION_STEPS
            visibility = arrays["visibility"].astype(np.float32)[..., None] / 255
            keypoints = np.concatenate([places, visibility], axis=-1)
            detected = np.unpackbits(arrays["detected"], axis=1, count=keypoints.shape[1]).astype(bool)
            visual = arrays["visual"].astype(np.float32)
            reverse = arrays["visual_reverse"].astype(np.float32)
            return {
                str(name): Features(
                    FeatureHeader(**json.loads(str(header))), keypoints[i], detected[i], visual[i], reverse[i]
                )
                for i, (name, header) in enumerate(zip(arrays["names"], arrays["headers"], strict=True))
            }
    except Exception as error:  # NumPy and zipfile raise many types for damaged archives
        raise CorpusError(
            f"{path} is damaged ({error}): install the package again, or use --rebuild"
        ) from error


def main() -> None:
    """Pack the features of a rebuilt corpus."""
    paths = CorpusPaths(Path(sys.argv[1]))
    names = [name for name in paths.clip_names() if name.split("-")[1] in PACKED_SPLITS]
    pack_features(packed_path(), {name: load_features(paths.features(name)) for name in names})


if __name__ == "__main__":
    main()
