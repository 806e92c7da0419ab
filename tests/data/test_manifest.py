"""The corpus on disk: audiocraft reads its manifests, it can be moved, and damage is told."""

from __future__ import annotations

import json
import shutil

import pytest
from tiny_corpus import make_corpus

from pn_diffusion_plugin.data.manifest import (
    CorpusPaths,
    DanceInfo,
    corpus_root,
    load_manifest,
    write_manifests,
)
from pn_diffusion_plugin.errors import CorpusError


def test_manifest_is_audiocrafts(tmp_path):
    from audiocraft.data.audio_dataset import load_audio_meta

    manifest = make_corpus(tmp_path, [2.0, 1.0])
    metas = load_audio_meta(manifest / "data.jsonl", resolve=False)
    assert [meta.path for meta in metas] == ["clips/clip0.wav", "clips/clip1.wav"]
    assert [meta.duration for meta in metas] == [2.0, 1.0]
    assert {meta.sample_rate for meta in metas} == {22050}


def test_paths_follow_the_corpus_when_it_is_moved(tmp_path):
    make_corpus(tmp_path / "here", [1.0])
    shutil.move(tmp_path / "here", tmp_path / "there")
    (line,) = load_manifest(tmp_path / "there" / "egs" / "train")
    assert line["path"] == str(tmp_path / "there" / "clips" / "clip0.wav")
    root = corpus_root(line["path"])
    info = DanceInfo.load(CorpusPaths(root).info("clip0"), root)
    assert info.video == str(tmp_path / "there" / "videos" / "clip0.mp4")


def test_info_survives_its_file(tmp_path):
    make_corpus(tmp_path, [1.0])
    path = CorpusPaths(tmp_path).info("clip0")
    info = DanceInfo.load(path)
    assert (info.song, info.beats, info.bpm, info.split) == ("song0", [0.5, 2.0, 3.5], 120.0, "train")
    info.save(path)
    assert DanceInfo.load(path) == info


def test_manifests_hold_the_finished_clips_of_each_split(tmp_path):
    make_corpus(tmp_path, [1.0, 1.0, 1.0])
    CorpusPaths(tmp_path).info("clip1").unlink()
    assert write_manifests(tmp_path) == {"train": ["clip0", "clip2"], "valid": [], "test": []}


def test_missing_empty_and_damaged_manifests_are_rejected(tmp_path):
    manifest = make_corpus(tmp_path, [1.0])
    with pytest.raises(CorpusError, match=r"nowhere/data\.jsonl is missing"):
        load_manifest(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"egs/valid/data\.jsonl lists no clips"):
        load_manifest(tmp_path / "egs" / "valid")
    (manifest / "data.jsonl").write_text('{"path": "a.wav"}\n{"pa')
    with pytest.raises(CorpusError, match=r"line 2 of .*data\.jsonl is damaged"):
        load_manifest(manifest)
    with pytest.raises(CorpusError, match="not in a prepared corpus"):
        corpus_root("/nowhere/at/all.wav")


def test_a_damaged_clip_or_another_schema_is_rejected(tmp_path):
    make_corpus(tmp_path, [1.0])
    path = CorpusPaths(tmp_path).info("clip0")
    values = json.loads(path.read_text())
    for text, message in (
        (json.dumps({**values, "schema": 99}), "does not have schema 1"),
        ("{", "not a JSON file"),
        (json.dumps({**values, "song": "\ud800"}), "not a JSON file"),  # half a character
        ('{"schema": 1, "name": "x"}', "is not a description of a clip"),
        (
            json.dumps({**values, "seconds": 10**400}),
            "is not a description of a clip .its length or sample rate",
        ),
        (
            json.dumps({**values, "sample_rate": 0}),
            "is not a description of a clip .its length or sample rate",
        ),
    ):
        path.write_text(text)
        with pytest.raises(CorpusError, match=f"clip0.json .*{message}"):
            DanceInfo.load(path)
