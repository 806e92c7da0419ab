"""Packed features: a round trip within the rounding, and the same features from a rebuild."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from headers import make_header

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.corpora.synthetic.mini.features import (
    POSITION_STEPS,
    pack_features,
    packed_path,
    unpack_features,
)
from pn_diffusion_plugin.data.corpora.synthetic.prepare import prepare_mini
from pn_diffusion_plugin.data.features.extraction import extract_features
from pn_diffusion_plugin.data.features.feature_file import (
    Features,
    FeatureSpec,
    load_features,
)
from pn_diffusion_plugin.data.manifest import CorpusPaths, load_manifest
from pn_diffusion_plugin.errors import CorpusError


def make_features(seed: int) -> Features:
    rng = np.random.default_rng(seed)
    header = make_header(2.0, visual_dim=8, video_sha256=f"{seed:064d}", detected_share=0.5)
    keypoints = np.concatenate([rng.uniform(-0.2, 1.2, (50, 33, 2)), rng.random((50, 33, 1))], axis=-1)
    visual, reverse = rng.random((2, 2, 8)).astype(np.float32)
    return Features(header, keypoints.astype(np.float32), rng.random(50) < 0.5, visual, reverse)


def test_round_trip_is_exact_within_the_rounding(tmp_path):
    clips = {f"clip-{seed}": make_features(seed) for seed in range(3)}
    pack_features(tmp_path / "b.npz", clips)
    back = unpack_features(tmp_path / "b.npz")
    assert list(back) == list(clips)
    for name, clip in clips.items():
        assert back[name].header == clip.header
        assert np.array_equal(back[name].detected, clip.detected)
        assert np.abs(back[name].keypoints[..., :2] - clip.keypoints[..., :2]).max() <= 0.51 / POSITION_STEPS
        assert np.abs(back[name].keypoints[..., 2] - clip.keypoints[..., 2]).max() <= 0.51 / 255
        np.testing.assert_allclose(back[name].visual, clip.visual, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(back[name].visual_reverse, clip.visual_reverse, rtol=1e-3, atol=1e-4)


def test_a_damaged_file_raises(tmp_path):
    pack_features(tmp_path / "b.npz", {"clip": make_features(0)})
    whole = (tmp_path / "b.npz").read_bytes()
    for part in (b"", whole[: len(whole) // 2], b"not a zip file at all"):
        (tmp_path / "b.npz").write_bytes(part)
        with pytest.raises(CorpusError, match="damaged"):
            unpack_features(tmp_path / "b.npz")


def test_the_shipped_file_is_small_and_has_every_training_clip():
    assert packed_path().stat().st_size < 10_000_000
    spec = MiniSpec()
    names = {spec.plan(split, i).id for split in ("train", "valid") for i in range(spec.clips(split))}
    packed = unpack_features()
    assert set(packed) == names
    assert all(clip.header.detected_share >= 0.9 for clip in packed.values())


def test_unpacked_clips_have_their_music_and_are_kept(tmp_path):
    report = prepare_mini(tmp_path, splits=("valid",), jobs=0, progress=False)
    spec = MiniSpec()
    assert len(report.done) == spec.valid and report.splits["valid"] == spec.valid
    assert report.leak_check == "ok"
    line = load_manifest(CorpusPaths(tmp_path).manifest("valid"))[0]
    wav, _ = soundfile.read(line["path"], dtype="float32")
    assert np.array_equal(wav, spec.plan("valid", 0).audio())
    load_features(CorpusPaths(tmp_path).features(spec.plan("valid", 0).id), FeatureSpec())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    again = prepare_mini(tmp_path, splits=("valid",), jobs=0, progress=False)
    assert again.done == [] and again.skipped == report.done
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}


def test_rendering_and_extracting_a_clip_gives_the_packed_features(tmp_path):
    video = write_clip_video(MiniSpec().plan("valid", 3), tmp_path)
    made = extract_features(video, FeatureSpec())
    shipped = unpack_features()[video.stem]
    # Decoders and matrix kernels differ a little between processors; a different dance would differ by 0.1.
    assert np.abs(made.keypoints[..., :2] - shipped.keypoints[..., :2]).mean() < 2e-3
    for mine, theirs in ((made.visual, shipped.visual), (made.visual_reverse, shipped.visual_reverse)):
        assert np.linalg.norm(mine - theirs) < 0.1 * np.linalg.norm(theirs)


def test_clips_of_another_seed_are_extracted(tmp_path):
    spec = replace(MiniSpec(), seed=7, train=0, valid=1, test=0, seconds=2.0)
    report = prepare_mini(tmp_path, spec, splits=("valid",), jobs=0, progress=False)
    assert len(report.done) == 1
    assert (tmp_path / "videos").is_dir()
