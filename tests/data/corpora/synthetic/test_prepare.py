"""Preparing synthetic corpora, with videos and without: the same clips when continued and in shards."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pn_diffusion_plugin.data.corpora import ensure_corpus
from pn_diffusion_plugin.data.corpora.locking import Shard
from pn_diffusion_plugin.data.corpora.synthetic.files import has_video, write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.keypoint_errors import ESTIMATOR
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.corpora.synthetic.plan import OTHER_SONGS, SyntheticSpec
from pn_diffusion_plugin.data.corpora.synthetic.prepare import prepare_generated, write_videos
from pn_diffusion_plugin.data.features.feature_file import FeatureSpec, load_features
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo, load_manifest
from pn_diffusion_plugin.data.score.files import read_scores
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.errors import CorpusError

TINY = GeneratedSpec(train=2, valid=1, test=0, seconds=1.28, size=128)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus with videos."""
    root = tmp_path_factory.mktemp("rendered") / "corpus"
    report = prepare_generated(root, TINY, jobs=0, progress=False)
    assert len(report.done) == 3 and not report.failed
    return root


@pytest.fixture(scope="module")
def estimated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its training clips without."""
    root = tmp_path_factory.mktemp("estimated") / "corpus"
    spec = dataclasses.replace(TINY, valid=0)
    report = prepare_generated(root, spec, keypoints=True, jobs=0, progress=False)
    assert len(report.done) == 2 and report.splits["train"] == 2
    return root


@pytest.mark.parametrize("spec", [TINY, MiniSpec(train=2, valid=1, test=1, seconds=1.2, size=96)])
def test_a_written_clip_has_exactly_its_music_and_frames(tmp_path: Path, spec: SyntheticSpec) -> None:
    plan = spec.plan("train", 1)
    path = write_clip_video(plan, tmp_path)
    scene, found = plan.scene(), probe(path)
    assert (found.seconds, found.fps) == (pytest.approx(spec.seconds), 25.0)
    assert (found.height, found.width) == scene.frame_size
    np.testing.assert_array_equal(read_audio(path, 22050), plan.audio())
    frames = list(read_frames(path, 25.0))
    assert np.abs(frames[7].astype(float) - scene.frame(7)).mean() < 6.0
    assert json.loads(path.with_suffix(".json").read_text()) == plan.description()
    assert has_video(plan, tmp_path)
    assert not has_video(dataclasses.replace(spec, seed=1).plan("train", 1), tmp_path)


def test_writing_videos_continues_and_does_not_depend_on_the_processes(tmp_path: Path) -> None:
    spec = MiniSpec(train=2, valid=1, test=1, seconds=1.2, size=96)
    plans = [spec.plan("train", index) for index in range(2)]
    first, second = write_videos(plans, tmp_path / "one", jobs=1, progress=False)
    kept = first.stat().st_mtime_ns
    second.with_suffix(".json").unlink()  # as after a kill between the two files
    assert write_videos(plans, tmp_path / "one", jobs=1, progress=False) == [first, second]
    assert first.stat().st_mtime_ns == kept and second.with_suffix(".json").is_file()
    together = write_videos(plans, tmp_path / "two", jobs=2, progress=False)
    assert [path.read_bytes() for path in (first, second)] == [path.read_bytes() for path in together]


def test_rendered_clips_are_labelled_and_split(rendered: Path) -> None:
    paths = CorpusPaths(rendered)
    assert [len(load_manifest(paths.manifest(split))) for split in ("train", "valid")] == [2, 1]
    plan = TINY.plan("train", 0)
    info = DanceInfo.load(paths.info(plan.id))
    assert (info.split, info.split_source, info.song) == ("train", "label", f"{plan.id}-song")
    assert info.beats == plan.labels["beats"] and info.bpm == plan.timing.bpm
    assert (rendered / info.video).is_file()


def test_clips_without_videos_have_the_same_sound_and_nearly_the_same_features(
    rendered: Path, estimated: Path
) -> None:
    for index in range(2):
        name = TINY.plan("train", index).id
        waves = [
            soundfile.read(CorpusPaths(root).wav(name), dtype="int16")[0] for root in (rendered, estimated)
        ]
        np.testing.assert_array_equal(*waves)
        watched, drawn = (
            load_features(CorpusPaths(root).features(name), FeatureSpec()) for root in (rendered, estimated)
        )
        assert drawn.header.pose_extractor == ESTIMATOR != watched.header.pose_extractor
        assert (
            drawn.keypoints.shape == watched.keypoints.shape and drawn.header.aspect == watched.header.aspect
        )
        assert np.abs(drawn.keypoints - watched.keypoints)[..., :2].mean() < 0.03
        for mine, theirs in ((drawn.visual, watched.visual), (drawn.visual_reverse, watched.visual_reverse)):
            cosine = (mine * theirs).sum() / np.linalg.norm(mine) / np.linalg.norm(theirs)
            assert cosine > 0.97
        assert not (estimated / "videos" / f"{name}.mp4").exists()


@pytest.mark.parametrize("keypoints", [False, True])
def test_what_is_there_is_kept(rendered: Path, estimated: Path, keypoints: bool) -> None:
    root = estimated if keypoints else rendered
    spec = dataclasses.replace(TINY, valid=0) if keypoints else TINY
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}
    report = prepare_generated(root, spec, keypoints=keypoints, jobs=0, progress=False)
    assert report.done == [] and len(report.skipped) == len(before)
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}


def test_shards_make_each_clip_once_and_a_last_call_the_manifests(tmp_path: Path, estimated: Path) -> None:
    spec, root = dataclasses.replace(TINY, valid=0), tmp_path / "corpus"
    done = []
    for index in range(2):
        report = prepare_generated(root, spec, keypoints=True, jobs=0, shard=Shard(index, 2), progress=False)
        done += report.done
        assert not CorpusPaths(root).manifest("train").exists()
    assert sorted(done) == [spec.plan("train", index).id for index in range(2)]
    last = prepare_generated(root, spec, keypoints=True, jobs=0, progress=False)
    assert last.done == [] and last.splits["train"] == 2
    for name in done:
        one, two = (CorpusPaths(r).features(name).read_bytes() for r in (root, estimated))
        assert one == two, "the same clip in every run"


def test_another_seed_is_made_anew(tmp_path: Path) -> None:
    spec = dataclasses.replace(TINY, train=1, valid=0)
    prepare_generated(tmp_path, spec, keypoints=True, jobs=0, progress=False)
    report = prepare_generated(
        tmp_path, dataclasses.replace(spec, seed=5), keypoints=True, jobs=0, progress=False
    )
    assert len(report.done) == 1
    (file,) = (tmp_path / "scores").iterdir()
    assert read_scores(file)[0].tonic == dataclasses.replace(spec, seed=5).plan("train", 0).score().tonic


def test_clips_have_the_scores_of_their_music_and_of_other_styles(rendered: Path) -> None:
    paths = CorpusPaths(rendered)
    for name in paths.clip_names():
        first, *others = read_scores(paths.scores(name))
        info = DanceInfo.load(paths.info(name))
        assert first.style == info.genre and first.seconds == pytest.approx(info.seconds)
        assert first.beats == pytest.approx(info.beats, abs=1e-4)
        assert len({score.style for score in others}) == len(others) == OTHER_SONGS
        for score in others:  # for the same dance: a note on every beat
            onsets = np.array([note.onset for note in score.notes])
            assert all(np.abs(onsets - beat).min() < 0.02 for beat in first.beats)


def test_damaged_scores_are_made_again(rendered: Path) -> None:
    name = CorpusPaths(rendered).clip_names()[0]
    file = CorpusPaths(rendered).scores(name)
    whole = file.read_text()
    file.write_text(whole[:50])
    with pytest.raises(CorpusError, match="prepare the corpus again"):
        read_scores(file)
    prepare_generated(rendered, TINY, jobs=0, progress=False)
    assert file.read_text() == whole
    file.unlink()
    with pytest.raises(CorpusError, match="pn-diffusion prepare"):
        read_scores(file)
    prepare_generated(rendered, TINY, jobs=0, progress=False)
    assert file.read_text() == whole


def test_a_frame_rate_that_does_not_fit_raises(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="30 frames per second"):
        prepare_generated(tmp_path, dataclasses.replace(TINY, fps=30), keypoints=True, jobs=0, progress=False)


def test_a_missing_corpus_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"prepare generated \S+generated`"):
        ensure_corpus("generated", tmp_path / "generated")
