"""The dataset as audiocraft's solvers use it: sound and dance show the same seconds."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from tiny_corpus import DIM, RATE, make_corpus
from torch.utils.data import DataLoader

from pn_diffusion_plugin.data.augment import Augmentation
from pn_diffusion_plugin.data.condition import collate_dance
from pn_diffusion_plugin.data.dance_attributes import DanceAttributes
from pn_diffusion_plugin.data.dataset import DanceDataset, DanceSegmentInfo, FeatureCache
from pn_diffusion_plugin.data.features.feature_file import FeatureSpec
from pn_diffusion_plugin.data.manifest import CorpusPaths
from pn_diffusion_plugin.errors import CorpusError, FeatureFileError, UserError

LENGTHS = [8.0, 8.0, 3.0, 12.0]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), LENGTHS)


def train_set(manifest, **options) -> DanceDataset:
    return DanceDataset.from_meta(manifest, **{"segment_duration": 5.2, "num_samples": 20, **options})


def test_sound_and_dance_show_the_same_seconds(manifest):
    dataset = train_set(manifest)
    dataset.start_epoch(0)
    starts = set()
    for index in range(len(dataset)):
        wav, info = dataset[index]
        assert wav.shape == (1, 114660) and isinstance(info, DanceSegmentInfo)
        length = info.clip_seconds
        assert info.seek_time <= max(0.0, length - 5.2)
        heard = wav[0, : info.n_frames].numpy() / 0.9 * length  # the sound tells its time
        np.testing.assert_allclose(heard, info.seek_time + np.arange(info.n_frames) / RATE, atol=2e-3)
        motion = info.dance["dance"]
        seen = motion.motion[0, : int(motion.motion_length), 0, 0].numpy()
        np.testing.assert_allclose(seen, info.seek_time + np.arange(len(seen)) / 25, atol=1e-3)
        assert abs(len(seen) / 25 - info.n_frames / RATE) < 0.05
        assert info.dance_reverse.motion[0, 0, 0, 0] == pytest.approx(float(seen[-1]), abs=1e-4)
        starts.add(info.seek_time)
    assert len(starts) > 10


def test_keypoints_are_changed_the_same_way_in_every_run(manifest):
    """By seed, epoch and index alone, in a loader process as here; the reversed stream is the changed dance
    reversed."""

    def motions(dataset, epoch=3):
        dataset.start_epoch(epoch)
        return [dataset[index][1].dance for index in range(6)]

    plain, changed = (
        motions(train_set(manifest)),
        motions(train_set(manifest, augment=Augmentation(), seed=5)),
    )
    again = motions(pickle.loads(pickle.dumps(train_set(manifest, augment=Augmentation(), seed=5))))
    for was, now, then in zip(plain, changed, again, strict=True):
        forward, backward = now["dance"], now["dance_reverse"]
        length = int(forward.motion_length)
        assert not torch.equal(was["dance"].motion, forward.motion)
        assert torch.equal(forward.motion, then["dance"].motion)
        assert torch.equal(forward.detected, then["dance"].detected)
        assert torch.equal(forward.motion[:, :length].flip(1), backward.motion[:, :length])
        assert torch.equal(forward.detected[:, :length].flip(1), backward.detected[:, :length])
        assert torch.equal(forward.visual, was["dance"].visual)
        assert forward.motion.dtype == torch.float32
    for other in (
        motions(train_set(manifest, augment=Augmentation(), seed=6)),
        motions(train_set(manifest, augment=Augmentation(), seed=5), 4),
    ):
        assert not torch.equal(changed[0]["dance"].motion, other[0]["dance"].motion)


def test_a_shifted_negative_is_changed_as_its_positive(manifest):
    """Mirrored, and as large: what a change draws for a segment holds for both its dances."""
    only = {
        name: 0.0 for name in ("scale", "stretch", "shift", "drift", "jitter", "joints", "frames", "gaps")
    }
    augment = Augmentation(mirror=1.0, rates=(), **only)
    dataset = train_set(manifest, augment=augment, negative_cue="shifted")
    plain = train_set(manifest, negative_cue="shifted")
    for one in (dataset, plain):
        one.start_epoch(0)
    for index in range(5):
        mirrored, was = dataset[index][1].dance, plain[index][1].dance
        for stream in ("dance", "dance_reverse"):
            length = int(was[stream].motion_length)
            nose, same = (x[stream].motion[0, :length, 0, 0] for x in (mirrored, was))
            torch.testing.assert_close(nose, 1 - same)


def test_the_first_clips_of_a_manifest(manifest):
    names = {train_set(manifest, clips=2)[index][1].name for index in range(20)}
    assert names == {"clip0", "clip1"}


def test_an_epoch_can_be_repeated_and_epochs_differ(manifest):
    dataset = train_set(manifest)

    def epoch(number: int) -> list[tuple[str, float]]:
        dataset.start_epoch(number)
        return [(info.name, info.seek_time) for _, info in (dataset[index] for index in range(10))]

    assert epoch(1) == epoch(1) != epoch(2)


def test_fixed_segments_go_round_by_round(manifest):
    dataset = train_set(manifest, shuffle=False, num_samples=100)
    assert len(dataset) == 5
    found = [(info.name, info.seek_time) for _, info in (dataset[index] for index in range(5))]
    assert found == [("clip0", 0), ("clip1", 0), ("clip2", 0), ("clip3", 0), ("clip3", 5.2)]
    assert len(train_set(manifest, shuffle=False, num_samples=4)) == 4
    wav, info = dataset[2]  # a clip of 3 s
    assert wav.shape == (1, 114660) and info.n_frames == 3 * RATE and not wav[0, 3 * RATE :].any()
    assert info.dance["dance"].motion_length.tolist() == [75]


def test_batches_through_a_loader_give_attributes(manifest):
    dataset = train_set(manifest, return_info=True, sample_rate=RATE, channels=1)
    loader = DataLoader(dataset, batch_size=4, collate_fn=dataset.collater, num_workers=0)
    wav, infos = next(iter(loader))
    assert wav.shape == (4, 1, 114660) and len(infos) == 4
    attributes = [info.to_condition_attributes() for info in infos]
    assert all(isinstance(item, DanceAttributes) for item in attributes)
    batch = collate_dance([item.dance["dance"] for item in attributes])
    assert batch.motion.shape == (4, 130, 33, 3) and batch.visual.shape == (4, 4, DIM)
    assert attributes[0].text == {"genre": None, "bpm": "120"}


def test_whole_clips_are_padded_together(manifest):
    dataset = DanceDataset.from_meta(manifest)
    assert len(dataset) == 4
    wav, infos = dataset.collater([dataset[0], dataset[2]])
    assert wav.shape == (2, 1, 8 * RATE)
    batch = collate_dance([info.dance["dance"] for info in infos])
    assert batch.motion_length.tolist() == [200, 75]


def test_sound_alone(manifest):
    assert isinstance(train_set(manifest, return_info=False, shuffle=False)[0], torch.Tensor)
    assert isinstance(train_set(manifest, return_info=False)[0], torch.Tensor)
    _, info = train_set(manifest, load_features=False, shuffle=False)[0]
    assert info.dance == {} and info.to_condition_attributes().dance == {}


def test_resamples_to_the_rate_asked_for(manifest):
    wav, info = train_set(manifest, sample_rate=16000, shuffle=False)[0]
    assert wav.shape == (1, int(5.2 * 16000)) and info.sample_rate == 16000


def test_info_describes_the_clip(manifest):
    _, info = train_set(manifest, shuffle=False, num_samples=5)[4]
    assert (info.song, info.bpm, info.split, info.clip_seconds) == ("song3", 120.0, "train", 12.0)
    assert info.beats == [] and info.features.endswith("features/clip3.safetensors")
    _, first = train_set(manifest, shuffle=False)[0]
    assert first.beats == [0.5, 2.0, 3.5]


def test_features_with_other_settings_are_rejected(manifest):
    dataset = train_set(manifest, expect=FeatureSpec(pose_fps=30.0), shuffle=False)
    with pytest.raises(FeatureFileError, match="pose_fps|fps"):
        dataset[0]


def test_corpora_are_joined_each_clip_with_its_own_dance(manifest, tmp_path):
    other = make_corpus(tmp_path, [9.0])
    joined = DanceDataset.from_meta([manifest, other], segment_duration=2.0, shuffle=False, num_samples=5)
    assert [info.clip_seconds for _, info in (joined[i] for i in range(5))] == [*LENGTHS, 9.0]
    assert str(joined[4][1].features).startswith(str(tmp_path))
    first = DanceDataset.from_meta([manifest, other], clips=1)
    assert [meta.duration for meta in first.meta] == [8.0, 9.0]


def test_wrong_manifests_are_rejected(manifest, tmp_path):
    with pytest.raises(CorpusError, match="is missing"):
        DanceDataset.from_meta(tmp_path / "egs")
    with pytest.raises(CorpusError, match="no clips"):
        DanceDataset([])


def test_cache_drops_the_least_recently_used(manifest):
    paths = CorpusPaths(manifest.parent.parent)
    one = [paths.features(f"clip{number}") for number in range(3)]
    cache = FeatureCache(max_bytes=1 << 30)
    first = cache(one[0])
    assert cache(one[0]) is first
    size = cache.bytes
    small = FeatureCache(max_bytes=int(2.2 * size))
    kept = small(one[0])
    small(one[1])
    assert small(one[0]) is kept
    small(one[2])  # the third pushes the second out
    assert small(one[0]) is kept and small.bytes <= small.max_bytes
    assert pickle.loads(pickle.dumps(small)).bytes == 0


def test_dataset_goes_to_loader_processes(manifest):
    dataset = pickle.loads(pickle.dumps(train_set(manifest, shuffle=False)))
    assert dataset[0][1].name == "clip0"


def test_segments_begin_on_a_grid(manifest):
    dataset = train_set(manifest, start_every=0.25, num_samples=200)
    dataset.start_epoch(0)
    drawn: dict[str, set[float]] = {}
    for index in range(len(dataset)):
        meta, start = dataset.segment(index)
        assert start in dataset.starts(meta)
        drawn.setdefault(meta.path, set()).add(start)
    for meta in dataset.meta:
        last = max(0.0, meta.duration - 5.2)
        assert dataset.starts(meta) == [0.25 * k for k in range(int(last / 0.25) + 1)]
    assert any(drawn[meta.path] == set(dataset.starts(meta)) for meta in dataset.meta)
    with pytest.raises(UserError, match="start_every=0"):
        train_set(manifest, start_every=0)
    with pytest.raises(UserError, match="anywhere"):
        train_set(manifest).starts(dataset.meta[0])


def test_without_a_grid_segments_are_audiocrafts_draws(manifest):
    from audiocraft.data.info_audio_dataset import InfoAudioDataset

    ours = train_set(manifest)
    theirs = InfoAudioDataset(
        list(ours.meta), segment_duration=5.2, num_samples=20, sample_rate=22050, channels=1, return_info=True,
        min_segment_ratio=1.0,
    )  # fmt: skip
    for dataset in (ours, theirs):
        dataset.start_epoch(3)
    for index in range(20):
        wav, info = theirs[index]
        mine, my_info = ours[index]
        assert (my_info.meta.path, my_info.seek_time, my_info.n_frames) == (
            info.meta.path,
            info.seek_time,
            info.n_frames,
        )
        assert torch.equal(mine, wav)


def test_loader_processes_that_stay_learn_the_next_epochs_number(manifest):
    dataset = train_set(manifest, num_samples=4, load_features=False)
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=1,
        persistent_workers=True,
        collate_fn=dataset.collater,
        multiprocessing_context="fork",
    )
    seen = []
    for epoch in (0, 1):
        dataset.start_epoch(epoch)
        ((_, infos),) = list(loader)
        seen.append([info.seek_time for info in infos])
        assert seen[-1] == [dataset.segment(index)[1] for index in range(4)]
    assert seen[0] != seen[1]
