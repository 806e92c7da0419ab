"""Splits never share a song, however the song is known; the check says when they do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pn_diffusion_plugin.data.corpora.splits import SplitClip, assign_splits, check_splits, group_clips
from pn_diffusion_plugin.data.manifest import DanceInfo
from pn_diffusion_plugin.errors import CorpusError


def clip_info(name: str, split: str, song: str | None, source: str | None = "label") -> DanceInfo:
    info = DanceInfo(name, 8.0, 22050, 176400, f"{name}.mp4", "", 0, 256, 256, 25.0, 1.0)
    return replace(info, split=split, song=song, song_source=source)


def songs(count: int, clips_each: int = 3, split: str | None = None) -> list[SplitClip]:
    return [
        SplitClip(f"clip{song}_{take}", 8.0, f"song{song}", split)
        for song in range(count)
        for take in range(clips_each)
    ]


def split_of_songs(clips: list[SplitClip], **options) -> dict[str, set[str]]:
    groups = group_clips(clips)
    where: dict[str, set[str]] = {}
    for assignment in assign_splits(clips, groups, **options).values():
        where.setdefault(assignment.song, set()).add(assignment.split)
    return where


@pytest.mark.parametrize("seed", range(5))
def test_no_song_is_divided_and_shares_are_kept(seed):
    clips = songs(40)
    where = split_of_songs(clips, seed=seed)
    assert all(len(splits) == 1 for splits in where.values())
    counts = {
        split: sum(split in splits for splits in where.values()) for split in ("train", "valid", "test")
    }
    assert counts == {"train": 32, "valid": 4, "test": 4}


def test_seed_decides_and_order_of_clips_does_not():
    clips = songs(20)
    assert split_of_songs(clips, seed=1) == split_of_songs(clips[::-1], seed=1)
    assert split_of_songs(clips, seed=1) != split_of_songs(clips, seed=2)


@pytest.mark.parametrize(
    "count, filled", [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "valid", "test"})]
)
def test_few_songs_fill_train_then_test_then_valid(count, filled):
    assert set().union(*split_of_songs(songs(count)).values()) == filled


def test_a_share_of_zero_stays_empty():
    where = split_of_songs(songs(10), ratios=(0.9, 0.0, 0.1))
    assert set().union(*where.values()) == {"train", "test"}


def test_wishes_are_obeyed_and_the_rest_of_the_song_follows():
    clips = songs(10)
    clips[4] = replace(clips[4], split="test")  # song1
    assert split_of_songs(clips)["song1"] == {"test"}


def test_asking_for_train_alone_is_obeyed():
    assert set().union(*split_of_songs(songs(9, split="train")).values()) == {"train"}


def test_valid_is_taken_from_train_if_all_labels_are_train_or_test():
    clips = songs(18, split="train") + [SplitClip(f"t{i}", 8.0, f"other{i}", "test") for i in range(4)]
    where = split_of_songs(clips)
    valid = [song for song, splits in where.items() if splits == {"valid"}]
    assert len(valid) == 2 and not any(song.startswith("other") for song in valid)
    assert sum(splits == {"test"} for splits in where.values()) == 4


def test_a_growing_corpus_moves_no_song():
    clips = songs(10)
    groups = group_clips(clips)
    first = {name: to.split for name, to in assign_splits(clips, groups).items()}
    more = clips + [SplitClip(f"new{i}", 8.0, f"new{i}") for i in range(30)]
    second = assign_splits(more, group_clips(more), previous=first)
    assert {name: second[name].split for name in first} == first


def test_songs_that_turn_out_to_be_one_go_to_train_rather_than_become_a_leaking_test():
    clips = [SplitClip("a", 8.0), SplitClip("b", 8.0)]
    groups = group_clips(clips, [("a", "b")], ["a", "b"])
    chosen = assign_splits(clips, groups, previous={"a": "test", "b": "train"})
    assert {to.split for to in chosen.values()} == {"train"}


def test_groups_come_from_labels_then_sounds_then_files():
    clips = [SplitClip("a", 8.0, "x"), SplitClip("b", 8.0), SplitClip("c", 8.0), SplitClip("d", 8.0)]
    groups = group_clips(clips, [("a", "b")], compared=["a", "b", "c"])
    assert groups == {
        "a": ("x", "label"),
        "b": ("x", "fingerprint"),
        "c": ("c", "fingerprint"),
        "d": ("d", "file"),
    }


def test_labels_are_believed_against_sounds():
    clips = [SplitClip("a", 8.0, "x"), SplitClip("b", 8.0, "y")]
    groups = group_clips(clips, [("a", "b")], ["a", "b"])
    assert groups["a"][0] != groups["b"][0]


def test_an_unlabelled_clip_that_sounds_like_two_songs_ties_them():
    clips = [SplitClip("a", 8.0, "x"), SplitClip("b", 8.0, "y"), SplitClip("c", 8.0)]
    groups = group_clips(clips, [("a", "c"), ("b", "c")], ["a", "b", "c"])
    assert len({song for song, _ in groups.values()}) == 1


def test_wrong_ratios_and_names_are_rejected():
    with pytest.raises(CorpusError, match=r"add up to 1"):
        assign_splits([], {}, ratios=(0.5, 0.1, 0.1))
    with pytest.raises(CorpusError, match="'dev'.*train, valid, test"):
        assign_splits([SplitClip("a", 1.0, None, "dev")], {"a": ("a", "file")})


def test_check_says_ok_leaking_or_unknown():
    ok = [clip_info("a", "train", "x"), clip_info("b", "train", "x"), clip_info("c", "test", "y")]
    assert check_splits(ok) == "ok"
    leaking = check_splits([*ok, clip_info("d", "test", "x")])
    assert leaking.startswith("LEAKING: 1 song") and "x in train and test" in leaking
    assert check_splits([*ok, clip_info("d", "test", "d", "file")]).startswith("unknown: 1 of 4")
    assert check_splits([*ok, clip_info("d", "test", "d", "fingerprint")]) == "ok"
    assert check_splits([]).startswith("unknown")


def test_check_by_choreography():
    infos = [
        replace(clip_info("a", "train", "x"), choreography="c1"),
        replace(clip_info("b", "test", "y"), choreography="c1"),
    ]
    assert check_splits(infos, by="choreography").startswith("LEAKING: 1 choreography")
