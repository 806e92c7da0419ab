"""Which files of a folder are videos, and what is known of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pn_diffusion_plugin.data.corpora.folder import Labels, clip_name, find_videos, read_sidecar, read_table
from pn_diffusion_plugin.errors import CorpusError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "a.mp4",
        "sub/b.MOV",
        "sub/a.mp4",
        ".hidden.mp4",
        "notes.txt",
        "corpus/videos/c.mp4",
        "p.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_finds_videos_at_any_depth_but_not_in_the_corpus(folder):
    found = [video.relative_to(folder).as_posix() for video in find_videos(folder, folder / "corpus")]
    assert found == ["a.mp4", "sub/a.mp4", "sub/b.MOV"]


def test_says_when_there_is_no_folder_or_no_video(tmp_path):
    with pytest.raises(CorpusError, match="not a folder"):
        find_videos(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="contains no video"):
        find_videos(tmp_path)


@pytest.mark.parametrize(
    "path, name", [("a.mp4", "a"), ("sub/clip_001.mp4", "sub__clip_001"), ("x/y.1.mp4", "x__y.1")]
)
def test_plain_names(path, name):
    assert clip_name(Path(path)) == name


def test_names_are_unique_and_safe():
    paths = [
        "a.mp4",
        "a.mov",
        "a.MP4",
        "a/b.mp4",
        "a__b.mp4",
        "a b.mp4",
        "a_b.mp4",
        "ä.mp4",
        "ö.mp4",
        "-.mp4",
        "a..mp4",
    ]
    names = [clip_name(Path(path)) for path in paths]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and " " not in name and name[0].isalnum() for name in names)


def test_table_names_videos_by_path_or_unique_name(folder):
    videos = find_videos(folder, folder / "corpus")
    table = folder / "metadata.csv"
    table.write_text("file,song,bpm,split\na.mp4,one,120,train\nb,two,,\ngone.mp4,three,,\n")
    labels = read_table(table, folder, videos)
    assert labels == {
        folder / "a.mp4": Labels(song="one", bpm=120.0, split="train"),
        folder / "sub/b.MOV": Labels(song="two"),
    }


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,song\na.mp4,x\n", "no column `file`"),
        ("file,split\na.mp4,dev\n", "line 2 .*'dev'.*train, valid, test"),
        ("file,bpm\na.mp4,fast\n", "line 2 .*bpm"),
        ("file,song\nzzz.mp4,x\n", "lists none of the videos"),
        ("file,song\na,x\n", "matches 2 videos"),
    ],
)
def test_wrong_tables_are_rejected(folder, text, message):
    table = folder / "table.csv"
    table.write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_table(table, folder, find_videos(folder, folder / "corpus"))


def test_missing_table(folder):
    with pytest.raises(CorpusError, match=r"nowhere\.csv does not exist"):
        read_table(folder / "nowhere.csv", folder, [])


def test_sidecar(tmp_path):
    video = tmp_path / "a.mp4"
    assert read_sidecar(video) == Labels()
    (tmp_path / "a.json").write_text(
        json.dumps({"song": "s", "bpm": 96, "beats": [0.5, 1], "fps": 25, "split": "test"})
    )
    assert read_sidecar(video) == Labels(song="s", bpm=96.0, beats=[0.5, 1.0], split="test")
    (tmp_path / "a.json").write_text("[1")
    with pytest.raises(CorpusError, match=r"a\.json cannot be read as JSON"):
        read_sidecar(video)


def test_labels_over_others():
    assert Labels(song="x").over(Labels(song="y", bpm=3.0)) == Labels(song="x", bpm=3.0)
