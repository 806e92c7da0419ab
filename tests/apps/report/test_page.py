"""The page says what the reports say, shows labels as text, and stands alone."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from tiny_evaluation import HOSTILE, RATE, as_experiment, build_evaluation

from pn_diffusion_plugin.apps.report.blocks import (
    Figure,
    Page,
    Player,
    Table,
    escape_markdown,
    render_html,
    write_page,
)
from pn_diffusion_plugin.apps.report.clips import choose
from pn_diffusion_plugin.apps.report.media import encode_mp3, read_wave
from pn_diffusion_plugin.apps.report.page import build_page
from pn_diffusion_plugin.apps.report.sources import read_sources
from pn_diffusion_plugin.errors import AudioError, UserError
from pn_diffusion_plugin.metrics.nulls import click_track


class Elements(HTMLParser):
    """Start tags with their attributes, and the text outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page(evaluation: Path, manifest: Path) -> Page:
    return build_page(read_sources([str(evaluation)], manifest), clips=2, command="pn-diffusion report <x>")


def blocks(page: Page, kind: type) -> list:
    return [block for section in page.sections for block in section.blocks if isinstance(block, kind)]


def test_the_table_has_systems_first_and_nulls_last(page: Page) -> None:
    _, strict, *_ = blocks(page, Table)
    assert [row[0].split(":")[0] for row in strict.rows] == [
        HOSTILE.split(":")[0], "lagging", "ceiling", "reference", "shuffled", "click", "silence"
    ]  # fmt: skip
    assert strict.kinds == ["system", "system", "bound", "bound", "null", "null", "null"]
    assert re.fullmatch(r"1\.00 \[1\.00, 1\.00\]", strict.rows[0][1])  # the model is the reference itself


def test_clips_are_shown_and_heard(page: Page) -> None:
    players = blocks(page, Player)
    assert [player.name for player in players] == ["dance-0", "dance-2"]
    for player in players:
        assert list(player.sounds) == ["reference", HOSTILE, "lagging", "ceiling"]
        assert player.video is not None and b"ftyp" in player.video[:16]
        for mp3 in player.sounds.values():
            wav, rate = soundfile.read(io.BytesIO(mp3))
            assert rate == RATE and len(wav) >= RATE
    names = {picture.name for picture in blocks(page, Figure)}
    assert {"intervals", "dance-0-waveforms", "dance-0-mel"} <= names
    for picture in blocks(page, Figure):
        with Image.open(io.BytesIO(picture.png)) as image:
            assert np.asarray(image.convert("RGB")).std() > 10


def test_html_stands_alone_and_runs_nothing_of_the_labels(page: Page) -> None:
    html = render_html(page)
    elements = Elements(html)
    assert HOSTILE in elements.text and "pn-diffusion report <x>" in elements.text
    assert "<script>document" not in html
    links = [value for _, attrs in elements.tags for name, value in attrs.items() if name in ("src", "href")]
    assert links and all(link and (link.startswith(("data:", "#s"))) for link in links)
    for target in (link[1:] for link in links if link and link.startswith("#")):
        assert f'id="{target}"' in html
    assert sum(tag == "audio" for tag, _ in elements.tags) == 8
    assert all(attrs.get("alt") for tag, attrs in elements.tags if tag == "img")


def test_markdown_says_the_same_with_files_beside_it(page: Page, tmp_path: Path) -> None:
    html, markdown = write_page(page, tmp_path / "my report.html")
    assert html.read_text(encoding="utf-8") == render_html(page)
    text = markdown.read_text(encoding="utf-8")
    assert "<script>" not in text and "1.00 [1.00, 1.00]" in text
    targets = re.findall(r"\]\((my%20report_files/[^)]+)\)", text)
    assert len(targets) == len(set(targets)) == len(blocks(page, Figure)) + 2 * 5
    for target in targets:
        assert (tmp_path / target.replace("%20", " ")).stat().st_size > 500
    assert len(list((tmp_path / "my report_files").iterdir())) == len(targets)  # nothing left half-written


def test_without_sound_or_corpus_the_page_says_so(evaluation: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "report.json").write_bytes((evaluation / "report.json").read_bytes())
    html = render_html(build_page(read_sources([str(tmp_path / "bare")])))
    assert "no sound files" in html
    html = render_html(build_page(read_sources([str(evaluation)]), clips=1))
    assert "name the manifest of the clips" in html


def test_a_leak_stands_out(tmp_path: Path) -> None:
    folder = build_evaluation(tmp_path / "leaking", leak="LEAKING: song-1 is in train and test")
    html = render_html(build_page(read_sources([str(folder)]), clips=0))
    assert '<p class="strong">leaking: LEAKING: song-1 is in train and test</p>' in html


def test_several_runs_share_their_nulls_and_tell_what_differs(evaluation: Path, tmp_path: Path) -> None:
    for number, alpha in enumerate((0.2, 0.6, 1.0)):
        as_experiment(evaluation, tmp_path / f"run{number}", {"beat_f70": alpha / 2}, negative__alpha=alpha)
    page = build_page(read_sources([str(tmp_path / f"run{number}") for number in range(3)]))
    _, strict, *_ = blocks(page, Table)
    assert [row[0].split(":")[0] for row in strict.rows].count("shuffled") == 1
    assert [row[1] for row in strict.rows if row[0].endswith(HOSTILE)] == [
        "0.10 [0.00, 0.20]", "0.30 [0.20, 0.40]", "0.50 [0.40, 0.60]"
    ]  # fmt: skip
    (what,) = [table for table in blocks(page, Table) if table.rows[0][0] == "negative.alpha"]
    assert what.rows == [["negative.alpha", "0.2", "0.6", "1.0"]]
    titles = [section.title for section in page.sections]
    assert "Sensitivity to α" in titles and "Quality against steps" not in titles
    assert "dora run solver=pn_diffusion negative.alpha=0.2" in render_html(page)


def test_choosing_clips() -> None:
    names = [f"c{number}" for number in range(10)]
    assert choose(names, 4) == ["c0", "c3", "c6", "c9"]
    assert choose(names, 99) == names and choose(names, 0) == [] and choose([], 3) == []
    assert choose(names, 4, ["c5"]) == ["c5"]
    with pytest.raises(UserError, match="for the clip x"):
        choose(names, 4, ["x"])


@pytest.mark.parametrize("rate", [22050, 30000, 96000])
def test_mp3_keeps_the_time(rate: int) -> None:
    wav = click_track(2 * rate, rate, period=0.5)
    decoded, mp3_rate = soundfile.read(io.BytesIO(encode_mp3(wav, rate)))
    halves = (decoded[round(start * mp3_rate) :][: mp3_rate // 2] for start in (0.0, 0.5, 1.0))
    clicks = [np.argmax(np.abs(half)) / mp3_rate for half in halves]
    assert (
        np.ptp(clicks) < 0.005 and abs(clicks[0] - 0.25) < 0.06
    )  # an encoder's delay at most, the same everywhere


def test_a_damaged_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=f"{tmp_path / 'a.wav'} cannot be read"):
        read_wave(tmp_path / "a.wav")


def test_markdown_is_escaped() -> None:
    assert escape_markdown("![a](b) <img> x|y\nz") == r"![a\](b) &lt;img&gt; x\|y z"
