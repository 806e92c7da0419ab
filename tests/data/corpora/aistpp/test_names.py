"""AIST++: what names say, the published splits, ours, and which videos of a folder become a corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from tiny_aist import CAMERAS, all_names, touch
from tiny_corpus import fast_extractor, tree, write_tiny_video

from pn_diffusion_plugin.data.corpora.aistpp.names import AistName, find_music, names_in, parse_name
from pn_diffusion_plugin.data.corpora.aistpp.prepare import select_aistpp
from pn_diffusion_plugin.data.corpora.aistpp.splits import RULES, crossmodal, loris, loris_test, ours
from pn_diffusion_plugin.data.corpora.folder import Labels
from pn_diffusion_plugin.data.corpora.locking import Shard
from pn_diffusion_plugin.data.corpora.origin import Origin, check_corpus
from pn_diffusion_plugin.data.corpora.selection import prepare_selection
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.errors import CorpusError

# AIST++'s published test sequences, as its crossmodal_test.txt has them.
PUBLISHED_TEST = """
gLH_sBM_cAll_d17_mLH4_ch02 gLH_sBM_cAll_d18_mLH4_ch02 gKR_sBM_cAll_d30_mKR2_ch02 gKR_sBM_cAll_d28_mKR2_ch02
gBR_sBM_cAll_d04_mBR0_ch02 gBR_sBM_cAll_d05_mBR0_ch02 gLO_sBM_cAll_d13_mLO2_ch02 gLO_sBM_cAll_d15_mLO2_ch02
gJB_sBM_cAll_d08_mJB5_ch02 gJB_sBM_cAll_d09_mJB5_ch02 gWA_sBM_cAll_d26_mWA0_ch02 gWA_sBM_cAll_d25_mWA0_ch02
gJS_sBM_cAll_d03_mJS3_ch02 gJS_sBM_cAll_d01_mJS3_ch02 gMH_sBM_cAll_d24_mMH3_ch02 gMH_sBM_cAll_d22_mMH3_ch02
gHO_sBM_cAll_d20_mHO5_ch02 gHO_sBM_cAll_d21_mHO5_ch02 gPO_sBM_cAll_d10_mPO1_ch02 gPO_sBM_cAll_d11_mPO1_ch02
""".split()


def named(text: str) -> AistName:
    name = parse_name(text)
    assert name is not None
    return name


def test_a_name_says_everything():
    name = named("gBR_sBM_c01_d04_mBR0_ch01")
    assert (name.genre, name.situation, name.camera, name.dancer) == ("BR", "sBM", "c01", "d04")
    assert str(name) == "gBR_sBM_c01_d04_mBR0_ch01" and name.sequence == "gBR_sBM_cAll_d04_mBR0_ch01"
    assert name.labels("test") == Labels(
        song="mBR0", split="test", choreography="gBR_sBM_ch01", dancer="d04", genre="break", bpm=80.0
    )
    assert named("gJB_sFM_c09_d08_mJB5_ch13").bpm == 130.0
    assert [named(f"gHO_sBM_c01_d20_mHO{song}_ch01").bpm for song in (0, 5)] == [110.0, 135.0]


@pytest.mark.parametrize(
    "text",
    ["gBR_sBM_c01_d04_mPO0_ch01", "gXX_sBM_c01_d04_mXX0_ch01", "gBR_sGR_c01_d04_d05_d06_mBR0_ch01", "sSH_c01_v0"]
    + ["gBR_sBM_c01_d04_mBR6_ch01", "gBR_sBM_c01_d04_mBR0_ch01_seg1", "dance", ""],
)  # fmt: skip
def test_other_names_are_none_of_a_solo_dance(text):
    assert parse_name(text) is None


def test_names_are_found_in_published_lists():
    line = "./aistplus/video_s2/test/gPO_sBM_c01_d11_mPO1_ch02_seg1.npy"
    assert [str(name) for name in names_in(line)] == ["gPO_sBM_c01_d11_mPO1_ch02"]
    assert [str(name) for name in names_in("x/gBR_sFM_c03_d04_mBR0_ch01.wav")] == [
        "gBR_sFM_c03_d04_mBR0_ch01"
    ]
    assert list(names_in("/data/other_seg1.npy")) == []


def test_the_crossmodal_split_is_the_published_one():
    splits = Counter(crossmodal(named(name)) for name in all_names())
    assert {crossmodal(named(name)) for name in PUBLISHED_TEST} == {"test"}
    # 20 + 20 as published; train: 10 genres x 5 songs x 8 choreographies x 2 dancers, and the advanced ones.
    assert splits["test"] == splits["valid"] == 20
    assert sum(crossmodal(named(name)) == "train" and "_sBM_" in name for name in all_names()) == 800
    assert crossmodal(named("gBR_sFM_c01_d04_mBR0_ch01")) is None  # a song of the test, another dance
    assert crossmodal(named("gBR_sBM_c01_d04_mBR1_ch02")) is None  # a choreography of the test, another song
    assert crossmodal(named("gMH_sFM_c01_d23_mMH1_ch09")) == "train"  # of D2M-GAN's training list


@pytest.mark.parametrize(
    "split, shared", [("crossmodal", {"valid", "test"}), ("d2m-gan", set()), ("ours", set())]
)
@pytest.mark.parametrize("by", ["song", "choreography"])
def test_attributes_shared_by_the_splits(split, shared, by):
    where: dict[str | None, set[str | None]] = {}
    for text in all_names():
        name = named(text)
        where.setdefault(getattr(name.labels(), by), set()).add(RULES[split].assign(name, 0))
    together = {frozenset(splits - {None}) for splits in where.values()}
    divided = {splits for splits in together if len(splits) > 1}
    assert divided == ({frozenset(shared)} if shared and by == "song" else set())


@pytest.mark.parametrize("seed", range(3))
def test_ours_depends_on_name_and_seed_alone_and_keeps_a_song_of_every_genre(seed):
    splits = {name: ours(named(name), seed) for name in all_names()}
    for where in ("test", "valid"):
        songs = {named(name).music for name, split in splits.items() if split == where}
        assert len(songs) == 10 and len({song[:2] for song in songs}) == 10
    assert 0.5 < sum(split is not None for split in splits.values()) / len(splits) < 0.8
    other_cameras = [name.replace("_c01_", "_c05_") for name in splits]
    assert [ours(named(name), seed) for name in other_cameras] == list(splits.values())
    assert splits != {name: ours(named(name), seed + 1) for name in all_names()}


def test_loris_tests_on_training_dances():
    test = loris_test()
    assert len(test) == 189 and {name.situation for name in test} == {"sFM"}
    assert {name.camera for name in test} == set(CAMERAS)
    # Of its published training list: the same dance, another camera.
    train = named("gKR_sFM_c02_d28_mKR1_ch02")
    assert loris(train) in ("train", "valid") and loris(named("gKR_sFM_c09_d28_mKR1_ch02")) == "test"
    assert loris(named("gBR_sBM_c01_d04_mBR1_ch03")) is None
    both = sum(
        any(loris(named(name.sequence.replace("cAll", camera))) != "test" for camera in CAMERAS)
        for name in test
    )
    assert both == len(test)  # every one of them


def test_a_folder_is_sorted_out(tmp_path):
    touch(
        tmp_path / "videos",
        ["gBR_sBM_c01_d04_mBR0_ch02", "gBR_sBM_c02_d04_mBR0_ch02", "gBR_sBM_c01_d04_mBR1_ch02"],
    )
    touch(tmp_path / "videos", ["gBR_sFM_c01_d04_mBR1_ch02", "gBR_sGR_c01_d04_d05_d06_mBR0_ch01", "holiday"])
    found = select_aistpp(tmp_path, split="cdcd")
    assert {video.stem: labels.split for video, labels in found.videos.items()} == {
        "gBR_sBM_c01_d04_mBR0_ch02": "test",
        "gBR_sFM_c01_d04_mBR1_ch02": "train",
    }
    assert found.folder == tmp_path / "videos" and found.origin.source.startswith("CDCD")
    assert found.notes[0].startswith("2 videos have no name of a solo dance")
    assert found.notes[1].startswith("2 videos belong to no split")
    assert len(select_aistpp(tmp_path, split="crossmodal", cameras=["c02", "c01"]).videos) == 3


def test_lists_of_the_user_go_before_rules(tmp_path):
    src = touch(tmp_path / "videos", [f"gBR_sFM_{camera}_d04_mBR1_ch02" for camera in ("c01", "c02")])
    touch(src, ["gBR_sFM_c01_d04_mBR2_ch03", "gBR_sFM_c01_d04_mBR3_ch04"])
    (tmp_path / "train.txt").write_text(
        "a/gBR_sFM_c01_d04_mBR2_ch03_seg1.npy\na/gBR_sFM_c01_d04_mBR2_ch03_seg2.npy\n"
    )
    (tmp_path / "test.txt").write_text("gBR_sFM_cAll_d04_mBR1_ch02\n")
    lists = [f"{split}={tmp_path / split}.txt" for split in ("train", "test")]
    found = select_aistpp(src, lists=lists)
    assert {video.stem[4:11] + labels.song[-1]: labels.split for video, labels in found.videos.items()} == {
        "sFM_c011": "test",
        "sFM_c021": "test",
        "sFM_c012": "train",
    }
    assert found.origin.split == "lists" and found.origin.leak is None
    (tmp_path / "test.txt").write_text("gBR_sFM_c01_d04_mBR2_ch03\n")
    with pytest.raises(CorpusError, match="gBR_sFM_c01_d04_mBR2_ch03 is listed in train and in test"):
        select_aistpp(src, lists=lists)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"split": "best"}, "no split 'best' of AIST"),
        ({"cameras": ["c10"]}, "no fixed camera 'c10'"),
        ({"split": "cdcd", "cameras": ["c02"]}, "published split cdcd uses only the cameras c01"),
        ({"keypoints": True}, "contains no folder keypoints2d"),
        ({"annotations": "x"}, "annotations are given"),
        ({"lists": ["dev=x"]}, "'dev=x' has no split"),
        ({"lists": ["test=nowhere.txt"]}, "nowhere.txt does not exist"),
        ({"music": "nowhere"}, "nowhere is not a folder"),
    ],
)
def test_wrong_arguments_are_rejected(tmp_path, options, message):
    touch(tmp_path, ["gBR_sFM_c01_d04_mBR1_ch02"])
    with pytest.raises(CorpusError, match=message):
        select_aistpp(tmp_path, **options)


def test_folders_without_aist_videos_are_rejected(tmp_path):
    touch(tmp_path / "a", ["dance"])
    with pytest.raises(CorpusError, match="no video has the name of a solo dance of AIST"):
        select_aistpp(tmp_path)
    for place in ("10M", "2M"):
        touch(tmp_path / "b" / place, ["gBR_sFM_c01_d04_mBR1_ch02"])
    with pytest.raises(CorpusError, match="10M and in .*2M: give a folder with one copy"):
        select_aistpp(tmp_path / "b")


def test_sequences_with_bad_annotations_are_left_out_only_where_these_are_used(tmp_path):
    names = ["gBR_sFM_c01_d05_mBR5_ch14", "gBR_sFM_c01_d04_mBR1_ch02"]
    touch(tmp_path / "videos", names)
    touch(tmp_path / "aist_plusplus_final" / "keypoints2d", [])
    (tmp_path / "aist_plusplus_final" / "ignore_list.txt").write_text("gBR_sFM_cAll_d05_mBR5_ch14 \n\n")
    assert len(select_aistpp(tmp_path, split="crossmodal").videos) == 2
    found = select_aistpp(tmp_path, split="crossmodal", keypoints=True)
    assert [video.stem for video in found.videos] == names[1:] and found.origin.pose == "aist++"


def test_music_is_of_the_video_or_of_its_sequence(tmp_path):
    names = [named("gBR_sFM_c01_d04_mBR1_ch02"), named("gBR_sFM_c02_d04_mBR1_ch02")]
    touch(tmp_path, ["gBR_sFM_cAll_d04_mBR1_ch02", "gBR_sFM_c02_d04_mBR1_ch02", "mBR1"], ".wav")
    assert [find_music(names, tmp_path)[name].stem[:11] for name in names] == ["gBR_sFM_cAl", "gBR_sFM_c02"]
    touch(tmp_path / "songs", ["mBR1"], ".wav")
    with pytest.raises(CorpusError, match="1 whole songs cannot be used"):
        find_music(names, tmp_path / "songs")


def prepare(src: Path, dst: Path, **options):
    selection = select_aistpp(src, dst, **options)
    return prepare_selection(selection, dst, jobs=0, progress=False, extractor=fast_extractor)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Real (tiny) videos: of a training dance and a test dance of LORIS one each, seen by two cameras; and others."""
    folder = tmp_path_factory.mktemp("aist") / "videos"
    for number, name in enumerate(
        ["gKR_sFM_c02_d28_mKR1_ch02", "gKR_sFM_c09_d28_mKR1_ch02", "gKR_sFM_c01_d28_mKR1_ch02"]
        + ["gBR_sBM_c01_d04_mBR0_ch01", "gBR_sBM_c01_d04_mBR0_ch02", "gBR_sFM_c01_d04_mBR1_ch02"]
        + ["gBR_sFM_c01_d04_mBR2_ch03", "gBR_sFM_c01_d06_mBR3_ch17"]
    ):
        write_tiny_video(folder / f"{name}.mp4", number)
    return folder


def test_loris_is_marked_in_the_corpus_for_any_selection(videos, tmp_path):
    report = prepare(videos, tmp_path / "loris", split="loris")
    assert (
        report.leak_check.startswith("LEAKING: the published split of LORIS") and "mKR1" in report.leak_check
    )
    only_test = tmp_path / "test_only"
    only_test.mkdir()
    (only_test / "gKR_sFM_c09_d28_mKR1_ch02.mp4").symlink_to(videos / "gKR_sFM_c09_d28_mKR1_ch02.mp4")
    report = prepare(only_test, tmp_path / "loris_test", split="loris")
    assert report.splits == {"train": 0, "valid": 0, "test": 1}
    assert report.leak_check.startswith("LEAKING: the published split of LORIS")


def test_a_published_split_becomes_a_corpus(videos, tmp_path):
    report = prepare(videos, tmp_path / "corpus", split="cdcd")
    assert report.splits == {"train": 4, "valid": 1, "test": 1}
    assert report.leak_check == "LEAKING: 1 song(s) in more than one split (mBR0 in valid and test)"
    info = DanceInfo.load(CorpusPaths(tmp_path / "corpus").info("gBR_sBM_c01_d04_mBR0_ch02"))
    assert (info.song, info.choreography, info.dancer, info.genre, info.bpm, info.split) == (
        ("mBR0", "gBR_sBM_ch02", "d04", "break", 80.0, "test")
    )
    again = prepare(videos, tmp_path / "corpus", split="cdcd")
    assert again.done == [] and len(again.skipped) == 6 and again.splits == report.splits


def test_d2m_gan_gets_a_valid_of_its_own_songs(videos, tmp_path):
    report = prepare(videos, tmp_path / "corpus", split="d2m-gan")
    assert report.splits == {"train": 3, "valid": 1, "test": 1} and report.leak_check == "ok"


def test_a_corpus_is_of_one_origin(videos, tmp_path):
    prepare(videos, tmp_path / "corpus", split="cdcd")
    with pytest.raises(CorpusError, match="was prepared with split = 'cdcd', not 'loris'"):
        prepare(videos, tmp_path / "corpus", split="loris")
    loaded = Origin.load(tmp_path / "corpus")
    assert loaded is not None and loaded.split == "cdcd"
    assert check_corpus(tmp_path / "corpus").startswith("LEAKING: 1 song(s)")


def test_shards_and_a_last_call_make_the_same_corpus(videos, tmp_path):
    prepare(videos, tmp_path / "whole", split="ours", cameras=["c01", "c02", "c09"])
    selection = select_aistpp(videos, split="ours", cameras=["c01", "c02", "c09"])
    options = {"jobs": 0, "progress": False, "extractor": fast_extractor}
    made = [
        prepare_selection(selection, tmp_path / "parts", shard=Shard(index, 3), **options).done
        for index in range(3)
    ]
    last = prepare_selection(selection, tmp_path / "parts", **options)
    assert last.done == [] and last.skipped == sorted(sum(made, []))
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")


def test_the_music_of_a_clip_is_that_of_its_file(videos, tmp_path):
    names = ["gBR_sFM_c01_d04_mBR1_ch02", "gBR_sFM_c01_d04_mBR2_ch03"]
    for name, seconds in zip(names, (3.0, 0.2), strict=True):  # the videos last a second
        wav = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * 44100), 2)).astype(np.float32)
        soundfile.write(tmp_path / f"{name.replace('c01', 'cAll')}.wav", wav, 44100, subtype="FLOAT")
    report = prepare(videos, tmp_path / "corpus", split="d2m-gan", music=tmp_path)
    assert [path.stem for path, _ in report.failed] == names[1:]
    assert "is 0.2 s long, its video 1.0 s" in report.failed[0][1]
    made, rate = soundfile.read(CorpusPaths(tmp_path / "corpus").wav(names[0]), dtype="float32")
    whole, _ = soundfile.read(tmp_path / f"{names[0].replace('c01', 'cAll')}.wav", dtype="float32")
    assert rate == 22050 and len(made) == 22050
    expected = soxr.resample(whole.mean(axis=1), 44100, 22050)[:22050]
    assert np.abs(made - expected).max() < 1e-4
    own = read_audio(videos / f"{names[0]}.mp4", 22050)
    assert np.abs(made - own).max() > 0.1


def test_no_files_remain_without_a_usable_video(tmp_path):
    touch(tmp_path / "videos", ["gBR_sFM_c01_d04_mBR1_ch02"])  # an empty file
    with pytest.raises(CorpusError, match="none of the 1 videos"):
        prepare(tmp_path / "videos", tmp_path / "corpus", split="crossmodal")
    assert not (tmp_path / "corpus").exists()
    with pytest.raises(CorpusError, match="none of the videos in .* is in split 'cdcd'"):
        touch(tmp_path / "other", ["gBR_sFM_c02_d04_mBR1_ch02"])
        prepare(tmp_path / "other", tmp_path / "corpus", split="cdcd")
