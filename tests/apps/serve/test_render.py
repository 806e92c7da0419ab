"""Names and messages are escaped; commands survive a shell."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pn_diffusion_plugin.apps.serve import render
from pn_diffusion_plugin.apps.serve.command import repeat_command, take_name
from pn_diffusion_plugin.apps.serve.progress import Progress
from pn_diffusion_plugin.apps.serve.settings import GenerationRequest, ServeSettings
from pn_diffusion_plugin.apps.serve.studio import JobResult, TakeFiles
from pn_diffusion_plugin.data.video.probe import VideoInfo

HOSTILE = "<img src=x onerror=alert(1)>\"'`${7*7}{{7*7}}.mp4"


class Tags(HTMLParser):
    """Elements, attributes and text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def take(seed: int, name: str = HOSTILE) -> TakeFiles:
    files = [take_name(name, seed, suffix) for suffix in ("mp4", "mp4", "wav", "png")]
    return TakeFiles(seed, 8.0, *files, (0.1, 0.9), repeat_command(name, GenerationRequest("band"), seed, {}))


def test_names_are_escaped() -> None:
    info = VideoInfo(seconds=8, fps=25, width=64, height=64, rotation=0, has_audio=True)
    for html in (render.facts(info, HOSTILE), render.refused(HOSTILE), render.message("failed", HOSTILE)):
        parsed = Tags(html)
        assert HOSTILE in parsed.text and {tag for tag, _ in parsed.tags} <= {"div", "p"}


def test_players_addresses_and_commands() -> None:
    parsed = Tags(render.takes(JobResult("to-ken", (take(3), take(4)))))
    videos = [attributes["src"] for tag, attributes in parsed.tags if tag == "video"]
    assert len(videos) == 2 and all(src.startswith("takes/to-ken/") and src.count("/") == 2 for src in videos)
    behind = Tags(render.takes(JobResult("to-ken", (take(3),)), "/music"))
    assert all(
        a["src"].startswith("/music/takes/to-ken/") for tag, a in behind.tags if tag in ("video", "img")
    )
    assert not any("onerror" in attributes for _, attributes in parsed.tags)
    assert [tag for tag, _ in parsed.tags].count("img") == 2  # the charts
    links = [attributes for tag, attributes in parsed.tags if tag == "a"]
    assert [link["download"] for link in links] == [
        take_name(HOSTILE, seed, suffix) for seed in (3, 4) for suffix in ("mp4", "wav")
    ]
    assert take(3).command in parsed.text and "Choose" in parsed.text
    assert "Choose" not in Tags(render.takes(JobResult("t", (take(3),)))).text


def test_notes_and_stems_can_be_downloaded_where_there_are_any() -> None:
    notes = replace(take(3), midi=take_name(HOSTILE, 3, "mid"), stems=take_name(HOSTILE, 3, "stems.zip"))
    parsed = Tags(render.takes(JobResult("to-ken", (notes,)), "/music"))
    links = [attributes for tag, attributes in parsed.tags if tag == "a"]
    assert [link["download"] for link in links] == [
        take_name(HOSTILE, 3, suffix) for suffix in ("mp4", "wav", "mid", "stems.zip")
    ]
    assert all((link["href"] or "").startswith("/music/takes/to-ken/") for link in links)
    assert "MIDI" in parsed.text and "stems" in parsed.text
    assert "MIDI" not in Tags(render.takes(JobResult("to-ken", (take(3),)))).text


def test_the_foot_says_whether_the_music_may_be_used() -> None:
    text = " ".join(Tags(render.bottom(ServeSettings(), 5.2)).text.split())
    assert "May I use this music?" in text and "also commercially" in text and "no legal advice" in text
    assert "Videos of 5.2 to 120 s" in text


@pytest.mark.parametrize(
    "progress, shown",
    [
        (
            Progress("extract", 2.04, 8.0, 0.25, 30.2),
            ["Watching the dance", "2.0 of 8.0 s", "about 30 s left"],
        ),
        (Progress("denoise", 7, 24, 0.5, 0.3), ["Making music", "step 7 of 24", "a moment left"]),
        (Progress("write", 0, 1, 0.9, 3599), ["Writing the files", "about 60 min left"]),
    ],
)
def test_progress_is_shown_in_words_and_to_screen_readers(progress: Progress, shown: list[str]) -> None:
    parsed = Tags(render.running(progress))
    assert all(words in parsed.text for words in shown)
    (bar,) = [attributes for _, attributes in parsed.tags if attributes.get("role") == "progressbar"]
    assert float(bar["aria-valuenow"] or 0) == 100 * progress.share


def test_waiting_is_shown() -> None:
    assert "Waiting: one video is before yours" in render.waiting(1)
    assert "Waiting: 3 videos are before yours" in render.waiting(3)
    assert "Getting ready" in render.waiting(0)


def test_a_video_without_preview_is_explained() -> None:
    info = VideoInfo(seconds=8, fps=25, width=64, height=64, rotation=0, has_audio=True)
    assert render.NO_PREVIEW in render.facts(info, "a.mov", has_preview=False)
    assert render.NO_PREVIEW not in render.facts(info, "a.mp4")


def test_what_may_be_wrong_with_a_video_is_shown() -> None:
    info = VideoInfo(
        8, fps=4, width=64, height=64, rotation=0, has_audio=True, playback="phones cannot play it"
    )
    shown = render.facts(info, "a.mp4")
    assert "4 frames per second. The video has 4 frames" in shown and "phones cannot play it" in shown


@given(
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1),
    st.integers(0, 9),
)
def test_a_command_names_the_same_file_whatever_it_is_called(name: str, seed: int) -> None:
    words = shlex.split(repeat_command(name, GenerationRequest("band"), seed, {}))
    assert words[:2] == ["pn-diffusion", "generate"] and words[2].removeprefix("./") == name.removeprefix(
        "./"
    )
    assert not words[2].startswith("-") and not words[4].startswith("-")


def test_only_what_differs_is_in_the_command() -> None:
    request = GenerationRequest(
        "models/mine", (5,), {"steps": 12, "sampler": "unipc", "guidance": 2.5}, start=1.0, end=9.25
    )
    defaults = {"steps": 24, "sampler": "unipc", "guidance": 2.0}
    assert repeat_command("d.mp4", request, 5, defaults, "cuda") == (
        "pn-diffusion generate d.mp4 -o d_seed5.mp4 --seed 5 --checkpoint models/mine --steps 12 --guidance 2.5 "
        "--start 1 --end 9.25 --device cuda"
    )


def test_style_and_key_are_in_the_command_where_they_are_chosen() -> None:
    defaults = {"style": "any", "key": "any"}
    request = GenerationRequest("mine", params={"style": "drum_and_bass", "key": "F# minor"})
    words = shlex.split(repeat_command("d.mp4", request, 0, defaults))
    assert words[-6:] == ["--checkpoint", "mine", "--style", "drum_and_bass", "--key", "F# minor"]
    free = GenerationRequest("mine", params=dict(defaults))
    assert repeat_command("d.mp4", free, 0, defaults).endswith("--seed 0 --checkpoint mine")


def test_the_dancer_is_in_the_command() -> None:
    for dancer in ("right", 2):
        words = shlex.split(repeat_command("d.mp4", GenerationRequest("band", dancer=dancer), 0, {}))
        assert words[-2:] == ["--dancer", str(dancer)]
    assert "--dancer" not in repeat_command("d.mp4", GenerationRequest("band", dancer="prominent"), 0, {})


def test_rendering_needs_no_web_framework() -> None:
    look = "import sys; import pn_diffusion_plugin.apps.serve.render; print('gradio' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", look], text=True) == "False\n"
