"""Further named streams: one class and one registry entry, from the video to the tokens of the dance encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mean_colour import SPEC as COLOURS
from mean_colour import MeanColour
from tiny_corpus import fast_extractor, make_features, write_tiny_video
from tiny_model import tiny_config

from pn_diffusion_plugin.data.condition import (
    NEGATIVE,
    POSITIVE,
    DanceCondition,
    collate_dance,
    dance_conditions,
    nullify_dance,
)
from pn_diffusion_plugin.data.corpora.prepare import prepare_folder
from pn_diffusion_plugin.data.features import streams
from pn_diffusion_plugin.data.features.extraction import extract_features
from pn_diffusion_plugin.data.features.feature_file import Features, FeatureSpec, load_features, save_features
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.errors import CorpusError, FeatureFileError, UserError
from pn_diffusion_plugin.models.builders import build_conditioner, build_dual_diffusion
from pn_diffusion_plugin.modules.conditioners import DanceConditioningProvider

SPEC = FeatureSpec(streams=("brightness",))


class Brightness:
    """Mean and maximum of every frame."""

    name, dim = "brightness", 2

    def __call__(self, video: Path, fps: float, frames: int) -> np.ndarray:
        values = [(frame.mean() / 255, frame.max() / 255) for frame in read_frames(video, fps)]
        return np.array(values[:frames], np.float32)


class NoPose:
    """A dancer who stands still."""

    name, weights_sha256 = "still", "0" * 64

    def extract(self, frames, fps, *, name="", times=None):
        count = sum(1 for _ in frames)
        return np.ones((count, 33, 3), np.float32), np.ones(count, bool)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(streams.STREAMS, "brightness", Brightness)
    streams.build_stream.cache_clear()


def with_time(seconds: float, seed: int = 0) -> Features:
    """Features whose further stream holds the time of each frame (s) and its negative."""
    features = make_features(seconds, seed)
    time = np.arange(len(features.keypoints), dtype=np.float32) / 25
    header = {**vars(features.header), "streams": ("brightness",)}
    return Features(
        type(features.header)(**header), **features.streams, brightness=np.stack([time, -time], axis=1)
    )


def test_a_registered_stream_is_extracted_and_stored(tmp_path: Path) -> None:
    video = write_tiny_video(tmp_path / "grey.mp4", 3, seconds=1.0)
    spec = FeatureSpec(**{**vars(COLOURS), "streams": ["brightness"]})
    features = extract_features(video, spec, NoPose(), MeanColour())
    assert features.streams["brightness"].shape == (25, 2) and features.streams["brightness"].mean() > 0
    save_features(tmp_path / "clip.safetensors", features)
    assert load_features(tmp_path / "clip.safetensors", spec) == features
    assert load_features(tmp_path / "clip.safetensors", COLOURS) == features  # more than required
    save_features(tmp_path / "old.safetensors", make_features(1.0))
    with pytest.raises(FeatureFileError, match="stream brightness is missing"):
        load_features(tmp_path / "old.safetensors", SPEC)
    with pytest.raises(UserError, match="no feature stream 'sharpness': choose from brightness"):
        streams.build_stream("sharpness")


def test_files_without_further_streams_are_those_of_earlier_versions(tmp_path: Path) -> None:
    save_features(tmp_path / "clip.safetensors", make_features(1.0))
    assert b"streams" not in (tmp_path / "clip.safetensors").read_bytes()
    assert FeatureSpec().to_dict() == {
        "pose_fps": 25.0,
        "visual_fps": 12.5,
        "visual_window": 16,
        "visual_hop": 16,
        "visual_encoder": "inception_i3d",
    }


@pytest.mark.parametrize("damage", ["missing", "surplus", "short", "flat"])
def test_streams_that_differ_from_the_header_are_refused(tmp_path: Path, damage: str) -> None:
    features = with_time(2.0)
    rows = features.streams.pop("brightness")
    if damage == "surplus":
        features.streams |= {"brightness": rows, "sharpness": rows}
    elif damage != "missing":
        features.streams["brightness"] = rows[:-1] if damage == "short" else rows[:, 0]
    save_features(tmp_path / "clip.safetensors", features)
    with pytest.raises(FeatureFileError, match="is damaged"):
        load_features(tmp_path / "clip.safetensors")


def test_segments_show_the_same_time_forward_and_backward() -> None:
    clip = with_time(8.0)
    positive, negative = dance_conditions(clip, 1.01, 5.2)
    torch.testing.assert_close(
        positive.streams["brightness"][0, :, 0], 1.01 + torch.arange(130) / 25, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(negative.streams["brightness"], positive.streams["brightness"].flip(1))
    backward, _ = dance_conditions(clip.reversed(), 8.0 - 1.0 - 5.2, 5.2)
    torch.testing.assert_close(
        backward.streams["brightness"],
        dance_conditions(clip, 1.0, 5.2)[1].streams["brightness"],
        atol=1e-4,
        rtol=0,
    )


def test_batches_hold_every_stream() -> None:
    long, short = dance_conditions(with_time(8.0), 0.0, 5.2)[0], dance_conditions(with_time(8.0), 2.0, 2.6)[0]
    batch = collate_dance([long, short])
    assert batch.streams["brightness"].shape == (2, 130, 2) and not batch.streams["brightness"][1, 65:].any()
    torch.testing.assert_close(batch.rolled(1).streams["brightness"][0, :65], short.streams["brightness"][0])
    assert not nullify_dance(batch).streams["brightness"].any()
    with pytest.raises(UserError, match="different feature streams"):
        collate_dance([long, dance_conditions(make_features(8.0))[0]])


def test_the_encoder_reads_it_and_nothing_of_the_batch() -> None:
    config = tiny_config()
    config["features"] = {**config["features"], "streams": ["brightness"]}
    plain = build_conditioner(tiny_config()).output_dim
    torch.manual_seed(0)
    conditioner = build_conditioner(config)
    assert conditioner.output_dim == plain + 16
    provider = DanceConditioningProvider(conditioner).eval()
    visual_dim = conditioner.encoder.visual_norm.mean.numel()

    def dance(seconds: float, shift: float = 0.0) -> dict[str, DanceCondition]:
        conditions = dance_conditions(with_time(8.0), 1.0, seconds)
        return {
            name: one._replace(
                visual=torch.ones(*one.visual.shape[:2], visual_dim),
                streams={"brightness": one.streams["brightness"] + shift},
            )
            for name, one in zip((POSITIVE, NEGATIVE), conditions, strict=True)
        }

    with torch.no_grad():
        alone, _ = provider(provider.collate([dance(2.6)]))[POSITIVE]
        both, _ = provider(provider.collate([dance(2.6), dance(5.2, 3.0)]))[POSITIVE]
        moved, _ = provider(provider.collate([dance(2.6, 0.5)]))[POSITIVE]
    torch.testing.assert_close(both[0, : alone.shape[1]], alone[0])
    assert not torch.allclose(moved, alone)
    config["negative"] = {**config["negative"], "cue": "mismatched"}
    with pytest.raises(UserError, match="does not support features.streams"):
        build_dual_diffusion(config)


def test_a_corpus_keeps_its_streams(tmp_path: Path) -> None:
    for seed in range(3):
        write_tiny_video(tmp_path / "videos" / f"{seed}.mp4", seed)

    def extractor(spec: FeatureSpec, weights: Path | None):
        inner = fast_extractor(spec, weights)

        def extract(video: Path) -> Features:
            features = inner(video)
            rows = {name: streams.build_stream(name)(video, 25.0, 25) for name in spec.streams}
            header = type(features.header)(**{**vars(features.header), "streams": spec.streams})
            return Features(header, **features.streams, **rows)

        return extract

    def prepare(name: str, spec: FeatureSpec):
        return prepare_folder(
            tmp_path / "videos", tmp_path / name, spec=spec, jobs=0, progress=False, extractor=extractor
        )

    assert len(prepare("plain", FeatureSpec()).done) == 3
    assert "streams" not in (tmp_path / "plain" / "corpus.json").read_text()
    with pytest.raises(CorpusError, match=r"streams = \[\]"):
        prepare("plain", SPEC)
    assert len(prepare("more", SPEC).done) == 3 and len(prepare("more", SPEC).skipped) == 3
