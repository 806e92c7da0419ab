"""What is heard: the right music with the right dance, equally loud, under names that say nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tiny_evaluation import RATE, SECONDS, music

from pn_diffusion_plugin.apps.listening.design import Design, make_design
from pn_diffusion_plugin.apps.listening.page import write_test
from pn_diffusion_plugin.apps.listening.stimuli import Material, equally_loud, gather
from pn_diffusion_plugin.apps.report.rows import collect_rows
from pn_diffusion_plugin.apps.report.sources import read_sources
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.errors import UserError
from pn_diffusion_plugin.utils.loudness import loudness


@pytest.fixture(scope="module")
def material(evaluation: Path, manifest: Path) -> Material:
    return gather(collect_rows(read_sources([str(evaluation)])), manifest, 2)


@pytest.fixture(scope="module")
def test_folder(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = {name: row.label for name, row in material.systems.items()}
    folder = tmp_path_factory.mktemp("test") / "listening"
    write_test(make_design(names, material.anchors), material, folder)
    return folder


def test_all_are_equally_loud_and_none_clips() -> None:
    rng = np.random.default_rng(0)
    waves = {
        "quiet": 0.01 * rng.standard_normal(RATE),
        "loud": 0.2 * rng.standard_normal(RATE),
        "click": music(0),
    }
    waves = {name: wav.astype(np.float32) for name, wav in waves.items()} | {
        "none": np.zeros(RATE, np.float32)
    }
    rates = dict.fromkeys(waves, RATE)
    for target in (-23.0, -1.0):
        result = equally_loud(waves, rates, target)
        levels = [loudness(result[name], RATE) for name in ("quiet", "loud", "click")]
        assert np.ptp(levels) < 0.01 and max(np.abs(wav).max() for wav in result.values()) <= 0.981
        assert not result["none"].any()
    assert levels[0] < -2  # lowered, since something would have clipped
    assert loudness(equally_loud(waves, rates)["quiet"], RATE) == pytest.approx(-23, abs=0.01)


def test_every_stimulus_is_its_dance_with_its_music(test_folder: Path, material: Material) -> None:
    design = Design.load(test_folder)
    files = {path.stem: path for path in (test_folder / "page" / "stimuli").iterdir()}
    assert files.keys() == design.stimuli.keys() and len(files) == 2 * 4
    for token, (clip, system) in design.stimuli.items():
        number = int(clip[-1])
        expected = music(number, 0.12 if system == "lagging" else 0.0)
        if system == "shuffled":
            other = material.anchors[clip]
            assert other != clip
            expected = music(int(other[-1]))
        heard = read_audio(files[token], RATE)
        size = min(heard.size, expected.size)
        assert np.corrcoef(heard[:size], expected[:size])[0, 1] > 0.9
        assert probe(files[token]).seconds == pytest.approx(SECONDS, abs=0.02)
        picture = next(read_frames(files[token], 25))
        assert abs(float(picture.mean()) - 40 * number) < 12


def test_nothing_in_the_page_names_a_system(test_folder: Path, material: Material) -> None:
    page = (test_folder / "page" / "index.html").read_text(encoding="utf-8")
    for name in (*material.systems, *material.dances, "anchor", "song-"):
        assert name not in page
    data = json.loads(re.search(r'<script type="application/json" id="test">(.*?)</script>', page).group(1))
    assert data["id"] == Design.load(test_folder).test
    assert [path.name for path in sorted(test_folder.iterdir())] == ["key.json", "page"]


def test_a_long_dance_is_cut(material: Material, tmp_path: Path) -> None:
    short = Material(material.systems, material.dances, material.anchors, 0.6)
    write_test(make_design({"lagging": "lagging"}, short.anchors), short, tmp_path / "short")
    lengths = [probe(path).seconds for path in (tmp_path / "short" / "page" / "stimuli").iterdir()]
    assert lengths == pytest.approx([0.6] * len(lengths), abs=0.02)


def test_a_test_that_may_have_answers_is_never_overwritten(test_folder: Path, material: Material) -> None:
    before = (test_folder / "key.json").read_bytes()
    with pytest.raises(UserError, match="is not empty: name a new folder"):
        write_test(make_design({"lagging": "lagging"}, material.anchors), material, test_folder)
    assert (test_folder / "key.json").read_bytes() == before


def test_what_is_missing_is_named(evaluation: Path, manifest: Path, tmp_path: Path) -> None:
    rows = collect_rows(read_sources([str(evaluation)]))
    assert "ceiling" in gather(rows, manifest, 2, ceiling=True).systems
    with pytest.raises(UserError, match="name their manifest"):
        gather(rows, None, 2)
    with pytest.raises(UserError, match="music of every system"):
        gather([row for row in rows if row.kind == "null"], manifest, 2)
    video = manifest.parents[1] / "videos" / "dance-0.mp4"
    video.rename(tmp_path / "away.mp4")
    try:
        with pytest.raises(UserError, match="dance-0.mp4 is missing: a listening test shows the dance"):
            gather(rows, manifest, 2)
    finally:
        (tmp_path / "away.mp4").rename(video)
