"""`pn-diffusion prepare aistpp` and `prepare tiktok` on rendered dances in trees of their owners' shape."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_experiment import program, run

from pn_diffusion_plugin.data.corpora.aistpp.keypoints import COCO_NAMES
from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.feature_file import load_features
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo
from pn_diffusion_plugin.data.skeleton import JOINT_NAMES

pytestmark = pytest.mark.integration

SHORT = MiniSpec(train=1, valid=0, test=0, seconds=1.6)
TRAIN, TEST = "gBR_sFM_c01_d04_mBR1_ch02", "gBR_sBM_c01_d04_mBR0_ch02"


@pytest.fixture(scope="module")
def dance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dance")
    write_clip_video(SHORT.plan("train", 0), folder)
    return folder / "mini-train-0000.mp4"


def true_keypoints() -> np.ndarray:
    """The dance's true joints as AIST++ would have them: (9, N, 17, 3) at 60 frames a second, in pixels."""
    joints = SHORT.plan("train", 0).scene().keypoints
    coco = joints[:, [JOINT_NAMES.index(name) for name in COCO_NAMES], :2]
    times = np.arange(len(coco)) / SHORT.fps
    at = np.arange(round(SHORT.seconds * 60)) / 60
    flat = coco.reshape(len(coco), -1)
    moved = np.stack([np.interp(at, times, column) for column in flat.T], axis=1).reshape(len(at), 17, 2)
    pixels = np.concatenate([moved * [1920, 1080], np.ones((*moved.shape[:2], 1))], axis=-1)
    return np.repeat(pixels[None], 9, axis=0).astype(np.float32)


def test_aist_with_its_published_keypoints(dance: Path, tmp_path: Path) -> None:
    videos, annotations = tmp_path / "aist" / "videos", tmp_path / "aist" / "aist_plusplus_final"
    (annotations / "keypoints2d").mkdir(parents=True)
    videos.mkdir()
    for name in (TRAIN, TEST, "gBR_sGR_c01_d04_d05_d06_mBR0_ch01"):
        shutil.copy(dance, videos / f"{name}.mp4")
    keypoints = true_keypoints()
    content = {"keypoints2d": keypoints, "det_scores": np.ones(keypoints.shape[:2], np.float32)}
    for name in (TRAIN, TEST):
        path = annotations / "keypoints2d" / f"{name.replace('c01', 'cAll')}.pkl"
        path.write_bytes(pickle.dumps(content, protocol=4))

    options = ["--split", "cdcd", "--keypoints", "--jobs", "1"]
    corpus = tmp_path / "corpus"
    result = run(program("pn-diffusion"), "prepare", "aistpp", str(tmp_path / "aist"), str(corpus), *options)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "1 videos have no name of a solo dance" in result.stderr and "2 clips made" in result.stderr
    assert "songs shared between splits: ok" in result.stderr
    paths = CorpusPaths(corpus)
    assert (
        DanceInfo.load(paths.info(TEST)).split == "test"
        and DanceInfo.load(paths.info(TRAIN)).split == "train"
    )
    features = load_features(paths.features(TEST))
    assert features.header.pose_extractor == "aist++/keypoints2d" and features.detected.all()
    true = SHORT.plan("train", 0).scene().keypoints[..., :2]
    seen = [JOINT_NAMES.index(name) for name in COCO_NAMES]
    assert np.abs(features.keypoints[:, seen, :2] - true[:, seen]).max() < 0.01
    assert (features.keypoints[:, seen, 2] == 1).all()
    assert features.visual.shape[1] == 1024 and (features.visual != features.visual_reverse).any()

    (annotations / "keypoints2d" / f"{TEST.replace('c01', 'cAll')}.pkl").write_bytes(
        b""
    )  # read no more: all is made
    result = run(
        program("pn-diffusion"), "prepare", "aistpp", str(tmp_path / "aist"), str(corpus), "--split", "loris"
    )
    assert result.returncode == 1 and "error: " in result.stderr and "choose another folder" in result.stderr


@pytest.mark.slow
def test_tiktok(dance: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(dance, videos / "000007_7_188.mp4")
    corpus = tmp_path / "corpus"
    command = ["prepare", "tiktok", str(videos), str(corpus), "--split", "d2m-gan", "--jobs", "1"]
    result = run(program("pn-diffusion"), *command, "--dancer", "best")
    assert result.returncode == 1 and "dancer is 'best': give prominent, left" in result.stderr
    assert not corpus.exists()

    result = run(program("pn-diffusion"), *command, "--dancer", "right")
    assert result.returncode == 0, result.stderr[-3000:]
    paths = CorpusPaths(corpus)
    info = DanceInfo.load(paths.info("000007_7_188"))
    assert (info.song, info.split, info.split_source) == ("tiktok007", "test", "label")
    assert json.loads(paths.settings.read_text())["dancer"] == "right"
    assert load_features(paths.features("000007_7_188")).header.pose_extractor.endswith(", dancer right")

    result = run(program("pn-diffusion"), *command)  # whoever is most prominent does not join them
    assert result.returncode == 1 and "was prepared with dancer = 'right'" in result.stderr
