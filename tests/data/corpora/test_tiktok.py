"""The TikTok dataset: names, D2M-GAN's split by song, and ours."""

from __future__ import annotations

import pytest
from tiny_aist import touch
from tiny_corpus import fast_extractor, write_tiny_video

from pn_diffusion_plugin.data.corpora.selection import prepare_selection
from pn_diffusion_plugin.data.corpora.tiktok import (
    D2M_GAN_TEST_SONGS,
    d2m_gan,
    names_in,
    parse_name,
    select_tiktok,
)
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo
from pn_diffusion_plugin.errors import CorpusError


def test_a_name_is_batch_song_and_video():
    name = parse_name("000007_7_188")
    assert name is not None and (name.batch, name.song, name.video) == ("000007", 7, 188)
    assert name.labels().song == "tiktok007"
    assert [parse_name(text) for text in ("7_7_188", "000007_7", "dance", "000007_7_188_seg3")] == [None] * 4
    line = "/data/tiktok/video_s2/000011_81_329_seg5.npy"
    assert [str(found) for found in names_in(line)] == ["000011_81_329"]


def test_the_published_split_is_by_song():
    assert len(D2M_GAN_TEST_SONGS) == 43
    published = {
        "000007_7_188": "test",
        "000011_81_353": "test",
        "000010_72_297": "test",
        "000009_54_273": "test",
    }
    published |= {
        "000000_0_0": "train",
        "000009_30_257": "train",
        "000011_75_321": "train",
        "000014_85_444": "train",
    }
    for text, split in published.items():
        name = parse_name(text)
        assert name is not None and d2m_gan(name) == split


@pytest.mark.parametrize("split", ["ours", "d2m-gan"])
def test_songs_stay_together(tmp_path, split):
    names = [
        "000000_0_0",
        "000000_0_1",
        "000001_1_21",
        "000002_2_40",
        "000002_2_41",
        "000007_7_188",
        "000007_8_189",
    ]
    for number, name in enumerate(names):
        write_tiny_video(tmp_path / "videos" / name[:6] / f"{name}.mp4", number)
    touch(tmp_path / "videos", ["holiday"])
    selection = select_tiktok(tmp_path / "videos", split=split)
    assert selection.notes == ["1 videos have no name of the dataset, e.g. holiday.mp4: left out"]
    report = prepare_selection(
        selection, tmp_path / "corpus", jobs=0, progress=False, extractor=fast_extractor
    )
    assert report.leak_check == "ok" and all(report.splits.values()) and len(report.done) == len(names)
    paths = CorpusPaths(tmp_path / "corpus")
    infos = [DanceInfo.load(paths.info(name)) for name in paths.clip_names()]
    assert {info.song_source for info in infos} == {"label"}
    if split == "d2m-gan":
        test = {info.song for info in infos if info.split == "test"}
        assert test == {"tiktok007", "tiktok008"}


def test_lists_and_mistakes(tmp_path):
    touch(tmp_path / "videos", ["000000_0_0", "000001_1_21"])
    (tmp_path / "test.txt").write_text("x/000000_0_0_seg1.npy\n")
    found = select_tiktok(tmp_path / "videos", lists=[f"test={tmp_path / 'test.txt'}"])
    assert [(video.stem, labels.split) for video, labels in found.videos.items()] == [("000000_0_0", "test")]
    assert found.notes == ["1 videos are in none of the lists, e.g. 000001_1_21.mp4: left out"]
    with pytest.raises(CorpusError, match="no split 'loris' of the TikTok dataset"):
        select_tiktok(tmp_path / "videos", split="loris")
    touch(tmp_path / "other", ["a"])
    with pytest.raises(CorpusError, match="no video has a name such as 000007_7_188.mp4"):
        select_tiktok(tmp_path / "other")
    touch(tmp_path / "videos" / "copy", ["000000_0_0"])
    with pytest.raises(CorpusError, match="have the same name"):
        select_tiktok(tmp_path / "videos")
