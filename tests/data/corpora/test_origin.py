"""Where a corpus comes from, and what its splits share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pn_diffusion_plugin.data.corpora.origin import Origin, check_corpus
from pn_diffusion_plugin.data.manifest import CorpusPaths, DanceInfo
from pn_diffusion_plugin.errors import CorpusError

OURS = Origin("aistpp", "ours", "this project", disjoint=("song", "choreography"))


def clip(root: Path, name: str, split: str, song: str, choreography: str | None) -> None:
    info = DanceInfo(name, 8.0, 22050, 176400, f"{name}.mp4", "", 0, 256, 256, 25.0, 1.0)
    info = replace(info, split=split, song=song, song_source="label", choreography=choreography)
    info.save(CorpusPaths(root).info(name))


def test_it_is_kept_and_another_one_refused(tmp_path):
    assert Origin.load(tmp_path) is None
    OURS.save(tmp_path)
    assert Origin.load(tmp_path) == OURS
    replace(OURS, pose="aist++").save(tmp_path)  # no clip is there yet: what came to nothing binds nobody
    clip(tmp_path, "a", "train", "s", "c")
    with pytest.raises(CorpusError, match=r"with pose = 'aist\+\+', not 'blazepose': choose another"):
        OURS.save(tmp_path)


def test_a_folder_of_videos_does_not_become_a_published_corpus(tmp_path):
    clip(tmp_path, "a", "train", "s", None)
    with pytest.raises(CorpusError, match="from a folder of videos, not from aistpp"):
        OURS.save(tmp_path)


def test_without_an_origin_songs_are_checked(tmp_path):
    clip(tmp_path, "a", "train", "s", "c")
    clip(tmp_path, "b", "test", "t", "c")
    assert check_corpus(tmp_path) == "ok"
    clip(tmp_path, "b", "test", "s", "c")
    assert check_corpus(tmp_path) == "LEAKING: 1 song(s) in more than one split (s in train and test)"


def test_an_origin_may_forbid_more(tmp_path):
    clip(tmp_path, "a", "train", "s", "c")
    clip(tmp_path, "b", "test", "t", "c")
    file = Origin.file(tmp_path)
    assert not file.exists()
    (tmp_path / "other").mkdir()
    OURS.save(tmp_path / "other")
    file.write_bytes(Origin.file(tmp_path / "other").read_bytes())
    assert check_corpus(tmp_path) == "LEAKING: 1 choreography(s) in more than one split (c in train and test)"
    clip(tmp_path, "b", "test", "t", None)
    assert check_corpus(tmp_path).startswith("unknown: 1 of 2 clips have no known choreography")
    clip(tmp_path, "b", "test", "t", "d")
    assert check_corpus(tmp_path) == "ok"


def test_a_known_leak_is_always_reported(tmp_path):
    replace(OURS, split="loris", leak="its tests are training dances").save(tmp_path)
    clip(tmp_path, "b", "test", "t", "d")
    assert check_corpus(tmp_path) == "LEAKING: its tests are training dances"
    clip(tmp_path, "a", "train", "t", "d")
    assert check_corpus(tmp_path).startswith("LEAKING: its tests are training dances; 1 song(s)")


def test_a_damaged_file_is_rejected(tmp_path):
    Origin.file(tmp_path).write_text('{"schema": 1}')
    with pytest.raises(CorpusError, match=r"origin\.json is damaged"):
        Origin.load(tmp_path)
