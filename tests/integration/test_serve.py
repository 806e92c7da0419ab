"""The page in a browser: drop a dance, wait, play, compare, download, repeat; and what it refuses.

`python tests/integration/test_serve.py docs/serve.png` makes the README's screenshot, with the bundled weights.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlparse

import av
import httpx
import numpy as np
import pytest
import soundfile
from browser import Watch, launched
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect
from served import Served, ask, dance, serving
from tiny_experiment import program, run

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.score.midi import read_midi
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.data.video.write import write_video

pytestmark = pytest.mark.integration
expect.set_options(timeout=120_000)  # a machine at work on other tests takes its time


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """An exported model of random weights; its window is 2.56 s."""
    from tiny_model import tiny_model

    return tiny_model().save_pretrained(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def band(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """An exported model of random weights that generates notes."""
    from tiny_score_model import tiny_score_model

    return tiny_score_model().save_pretrained(tmp_path_factory.mktemp("band") / "band")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dance(tmp_path_factory.mktemp("dances")).rename(
        tmp_path_factory.mktemp("named") / "my <b>dance.mp4"
    )


@pytest.fixture(scope="module")
def served(model: Path, band: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    options = ("--max-upload-mb", "5", "--max-seconds", "20", "--queue", "2", "--root-path", "/music")
    with serving(model, tmp_path_factory.mktemp("served"), "--model", str(band), *options) as one:
        yield one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dancer as motion JPEG, which the browser takes for its camera."""
    folder = tmp_path_factory.mktemp("film")
    with av.open(str(folder / "camera.mjpeg"), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuvj420p"
        for frame in read_frames(dance(folder), 25):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return folder / "camera.mjpeg"


@pytest.fixture(scope="module")
def browser(film: Path) -> Iterator[Browser]:
    camera = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with launched(*camera, f"--use-file-for-fake-video-capture={film}") as one:
        yield one


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    context = browser.new_context(accept_downloads=True, viewport={"width": 1280, "height": 960})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(f"{served.address}/music/")
    expect(page.locator("#make")).to_be_visible(timeout=60000)
    yield page
    context.close()


def photograph(page: Page, path: Path) -> Path:
    """A screenshot of the whole page in few colours, small enough for a repository."""
    whole = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    whole.convert("RGB").quantize(256, kmeans=2).save(path, optimize=True)
    return path


def drop(page: Page, file: Path) -> None:
    """Give a file to the page."""
    page.locator("#video input[type=file]").first.set_input_files(file)


def test_a_dance_gets_music_that_can_be_compared_downloaded_and_repeated(
    browser: Browser, served: Served, model: Path, clip: Path, tmp_path: Path
) -> None:
    context = browser.new_context(accept_downloads=True)
    context.set_default_timeout(120_000)
    page = context.new_page()
    watch = Watch(page)
    page.goto(f"{served.address}/music/")
    drop(page, clip)
    expect(page.locator("#facts")).to_contain_text("3.0 s, 256 × 256, 25 frames per second")
    page.locator("#takes").get_by_text("2", exact=True).click()
    page.locator("#seed input").fill("7")
    page.locator("#make").click()
    expect(page.locator(".pn-title")).to_have_text("Watching the dance")
    expect(page.locator(".pn-left")).to_contain_text("left")
    expect(page.locator("#status")).to_contain_text("Made in")

    # Both play; the second continues at the same time, and the line in its chart moves.
    videos = page.locator(".pn-take video")
    assert videos.count() == 2
    page.wait_for_function(
        "() => [...document.querySelectorAll('.pn-take video')].every(v => v.readyState >= 3)"
    )
    assert abs(videos.nth(0).evaluate("v => v.duration") - 3) < 0.1
    videos.nth(0).evaluate("v => { v.playbackRate = 0.5; v.play(); }")
    page.wait_for_function("() => document.querySelectorAll('.pn-take video')[0].currentTime > 0.5")
    page.keyboard.press("2")
    page.wait_for_function("() => document.querySelectorAll('.pn-take video')[1].currentTime > 0.6")
    assert videos.nth(0).evaluate("v => v.paused") and not videos.nth(1).evaluate("v => v.paused")
    expect(page.locator(".pn-take").nth(1)).to_have_class("pn-take pn-chosen")
    about = page.locator(".pn-about").nth(1)
    expect(about).to_be_visible()
    expect(page.locator(".pn-about").nth(0)).to_be_hidden()
    assert about.locator("img").evaluate("i => i.naturalWidth") > 800
    assert float(about.locator(".pn-head").evaluate("h => parseFloat(h.style.left)")) > 10
    videos.nth(1).evaluate("v => v.pause()")
    chart = about.locator(".pn-chart")
    box = chart.bounding_box()
    assert box is not None
    chart.click(position={"x": 0.75 * box["width"], "y": 0.5 * box["height"]})
    page.wait_for_function("() => document.querySelectorAll('.pn-take video')[1].currentTime > 1.5")

    # Downloads: the video, and the music of the same length.
    files = {}
    for kind in ("mp4", "wav"):
        with page.expect_download() as started:
            about.get_by_role("link", name=kind).click()
        files[kind] = tmp_path / started.value.suggested_filename
        started.value.save_as(files[kind])
    assert files["mp4"].name.endswith("_seed8.mp4") and probe(files["mp4"]).seconds == pytest.approx(
        3, abs=0.05
    )
    wav, rate = soundfile.read(files["wav"], dtype="float32")
    assert (wav.shape, rate) == ((132300, 2), 44100) and wav.std() > 0.01

    # The command generates the same again.
    words = shlex.split(about.locator("code").inner_text())
    assert words[0] == "pn-diffusion" and "8" in words
    words = [program("pn-diffusion"), *words[1:], "--wav", "again.wav"]
    (tmp_path / words[2]).write_bytes(clip.read_bytes())
    files["mp4"].rename(tmp_path / "page.mp4")
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again, _ = soundfile.read(tmp_path / "again.wav", dtype="float32")
    assert np.abs(again - wav).max() < 2e-3  # one take alone, here two together
    both = [read_audio(tmp_path / name, rate) for name in ("page.mp4", files["mp4"].name)]
    assert np.abs(both[0] - both[1]).max() < 0.05

    assert watch.errors == []
    assert 10_000 < photograph(page, tmp_path / "page.png").stat().st_size < 300_000
    assert {urlparse(url).netloc for url in watch.requests if url.startswith("http")} == {
        urlparse(served.address).netloc
    }
    assert not page.locator(".pn-take figcaption b b, #facts b").count()  # names are escaped
    context.close()


def test_errors_are_shown_and_leave_the_page_usable(page: Page, clip: Path, tmp_path: Path) -> None:
    alert = page.locator("#status [role=alert]")
    page.locator("#make").click()
    expect(alert).to_contain_text("there is no video yet: drop one")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "holiday.mp4", "PNG")
    drop(page, tmp_path / "holiday.mp4")
    expect(page.locator("#facts")).to_contain_text("holiday.mp4 is an image: give a video file")
    page.locator("#make").click()
    expect(alert).to_contain_text("holiday.mp4 is an image: give a video file")
    expect(page.locator("#make")).to_be_visible()


def test_an_unexpected_error_is_shown_and_a_phone_shows_everything(
    browser: Browser, served: Served, clip: Path
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(f"{served.address}/music/?__theme=dark")
    drop(page, clip)
    expect(page.locator("#facts")).to_contain_text("3.0 s")
    for label in page.locator("#takes label").all():  # all four numbers of takes
        box = label.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
    seed, dice = page.locator("#seed").bounding_box(), page.locator("#dice").bounding_box()
    assert seed is not None and dice is not None
    assert seed["y"] <= dice["y"] <= seed["y"] + seed["height"] and dice["x"] + dice["width"] <= 390

    def spoil(route: Route) -> None:
        request = route.request.post_data_json
        request["data"] = request["data"][:3]  # as no page sends: Gradio fails before there is a job
        route.continue_(post_data=request)

    page.route("**/queue/join**", spoil)
    page.locator("#make").click()
    expect(page.locator("#status [role=alert]")).to_contain_text("An error of the server")
    page.unroute("**/queue/join**")
    page.locator("#make").click()
    expect(page.locator(".pn-left")).to_contain_text("left")
    expect(page.locator(".pn-status")).to_be_in_viewport()
    expect(page.locator("#status")).to_contain_text("Made in")
    chart = page.locator(".pn-about.pn-chosen .pn-chart")
    chart.locator("img").scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('.pn-about.pn-chosen img').naturalWidth > 0")
    image = Image.open(
        io.BytesIO(served.get((chart.locator("img").get_attribute("src") or "").lstrip("/")).content)
    )
    assert image.convert("RGBA").getpixel((2, 2))[3] == 0  # transparent
    background = chart.evaluate("c => getComputedStyle(c).backgroundColor")
    assert max(int(value) for value in re.findall(r"\d+", background)[:3]) < 100
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def choose(page: Page, control: str, label: str) -> None:
    """An option of a selector."""
    page.locator(f"{control} input").click()
    page.get_by_role("option", name=label, exact=True).click()


def test_style_and_key_are_chosen_on_a_phone_and_notes_and_stems_are_downloaded(
    browser: Browser, served: Served, band: Path, clip: Path, tmp_path: Path
) -> None:
    context = browser.new_context(accept_downloads=True, viewport={"width": 390, "height": 844})
    context.set_default_timeout(120_000)
    page = context.new_page()
    watch = Watch(page)
    page.goto(f"{served.address}/music/")
    drop(page, clip)
    expect(page.locator("#facts")).to_contain_text("3.0 s")
    expect(page.locator("#style")).to_be_hidden()
    expect(page.locator("#key")).to_be_hidden()
    page.get_by_text("More settings").click()
    choose(page, "#model", str(band))
    for control in ("#style", "#key"):
        box = page.locator(control).bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
    expect(page.locator("#style input")).to_have_value("Any: the dance decides")
    choose(page, "#style", "Funk")
    choose(page, "#key", "F♯ minor")
    page.locator("#make").click()
    expect(page.locator("#status")).to_contain_text("Made in")
    about = page.locator(".pn-about")
    command = about.locator("code").inner_text()
    assert shlex.split(command)[-4:] == ["--style", "funk", "--key", "F# minor"]
    for kind, suffix in (("MIDI", ".mid"), ("zip", ".stems.zip")):
        with page.expect_download() as started:
            about.get_by_role("link", name=kind).click()
        started.value.save_as(tmp_path / f"take{suffix}")
        assert started.value.suggested_filename.endswith(f"_seed0{suffix}")
    assert read_midi(tmp_path / "take.mid").tonic == 6
    with zipfile.ZipFile(tmp_path / "take.stems.zip") as archive:
        assert len(archive.namelist()) == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#model").scroll_into_view_if_needed()
    page.locator("#model input").click()
    page.get_by_role("option").first.click()
    expect(page.locator("#style")).to_be_hidden()
    page.locator("#make").click()
    expect(about.get_by_role("link", name="MIDI")).to_have_count(0)
    expect(page.locator("#status")).to_contain_text("Made in")
    assert "--style" not in about.locator("code").inner_text()
    assert watch.errors == []
    context.close()


def test_programs_choose_style_and_key(served: Served, model: Path, band: Path, clip: Path) -> None:
    client = served.client()
    (take,) = ask(client, clip, band, style="house", key="A minor")["takes"]
    assert take["command"].endswith("--style house --key 'A minor'")
    assert served.get(take["midi"]).content[:4] == b"MThd" and served.get(take["stems"]).content[:2] == b"PK"
    (plain,) = ask(client, clip, model)["takes"]
    assert plain["midi"] is plain["stems"] is None
    assert "trained without styles" in ask(client, clip, model, style="house")["error"]
    for changes in ({"style": "polka"}, {"style": "any", "key": "H minor"}):
        with pytest.raises(AppError, match="is not in the list of choices"):
            ask(client, clip, band, **changes)
    client.close()


@pytest.mark.slow
def test_a_dance_is_recorded_with_the_camera(page: Page) -> None:
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.get_by_text("Record", exact=True).click()
    page.wait_for_timeout(5000)
    page.get_by_text("Stop", exact=True).first.click()
    expect(page.locator("#facts")).to_contain_text("frames per second")
    page.locator("#make").click()
    expect(page.locator("#status")).to_contain_text("Made in")


@pytest.mark.slow
def test_a_job_can_be_stopped_and_ends_when_its_page_is_closed(
    browser: Browser, served: Served, model: Path, page: Page, tmp_path: Path
) -> None:
    long = tmp_path / "long.mp4"
    write_video(long, 6 * list(read_frames(dance(tmp_path, 1), 25)), 25)
    drop(page, long)
    expect(page.locator("#facts")).to_contain_text("18.0 s")
    page.locator("#make").click()
    expect(page.locator(".pn-title")).to_have_text("Watching the dance")
    other = browser.new_page()
    other.set_default_timeout(120_000)
    other.goto(served.address)
    drop(other, dance(tmp_path, 2))
    expect(other.locator("#facts")).to_contain_text("3.0 s")
    other.locator("#make").click()
    expect(other.locator(".pn-title")).to_have_text("Waiting: one video is before yours")
    page.locator("#stop").click()
    expect(page.locator("#status")).to_have_text("Stopped.")
    expect(page.locator("#make")).to_be_visible()
    expect(other.locator("#status")).to_contain_text("Made in")
    other.close()

    page.locator("#make").click()
    expect(page.locator(".pn-title")).to_have_text("Watching the dance")
    page.close()  # 18 s of dance take longer than what follows may
    left = served.client()
    assert ask(left, dance(tmp_path, 3), model)["takes"]
    left.close()


@pytest.mark.slow
def test_the_chosen_of_two_dancers_is_followed(served: Served, model: Path, pair: Path) -> None:
    client = served.client()
    sounds = []
    for dancer in ("left", "right"):
        (take,) = ask(client, pair, model, dancer=dancer)["takes"]
        assert take["command"].endswith(f"--dancer {dancer}")
        sounds.append(served.get(take["wav"]).content)
    assert sounds[0] != sounds[1]
    message = "at most 2 people were found in a shot of pair.mp4: dancer 4 does not exist, give 1 to 2"
    assert ask(client, pair, model, dancer="4")["error"] == message
    with pytest.raises(AppError, match="best is not in the list of choices"):
        ask(client, pair, model, dancer="best")
    client.close()


def uploaded(served: Served) -> list[Path]:
    """Uploads that the page keeps."""
    return [file for file in served.temporary.glob("*/uploads/**/*") if file.is_file()]


def test_only_uploads_are_opened(served: Served, model: Path, clip: Path) -> None:
    before = uploaded(served)
    for path in ("/etc/hostname", str(clip), "../../etc/hostname", "http://127.0.0.1:9/dance.mp4"):
        given = {"path": path, "orig_name": "dance.mp4", "meta": {"_type": "gradio.FileData"}}
        request = [given, str(model), 1, 0, 3, "ddim", 1.0, 0.0, 0, 0, "prominent", "any", "any"]
        call = f"{served.address}/gradio_api/call/make"
        event = httpx.post(call, json={"data": request}, timeout=60).json()["event_id"]
        answer = httpx.get(f"{call}/{event}", timeout=60).text
        assert "event: error" in answer and "takes" not in answer, answer
    assert uploaded(served) == before


def test_only_results_are_served(served: Served, model: Path, clip: Path) -> None:
    client = served.client()
    (take,) = ask(client, clip, model)["takes"]
    client.close()
    assert served.get(take["wav"]).content[:4] == b"RIFF"
    _, token, name = take["wav"].split("/")
    others = next(served.temporary.glob("*/results"))
    for path in (
        f"takes/{token}/..%2f..%2f.lock", f"takes/..%2f{token}/{name}", f"takes/%2e%2e/{others.name}", "takes/x/y",
        f"takes/{token}/source", f"takes/{quote(str(others), safe='')}/{token}", f"takes/.{token}/{name}",
    ):  # fmt: skip
        assert served.get(path).status_code in (404, 405), path
    for path in ("/etc/hostname", str(others / token / name), str(Path(__file__)), "pyproject.toml"):
        assert served.get(f"gradio_api/file={path}").status_code in (403, 404), path


def test_too_much_is_refused(served: Served, model: Path, clip: Path, tmp_path: Path) -> None:
    answer = httpx.post(
        f"{served.address}/gradio_api/upload", files={"files": ("big.mp4", bytes(6_000_000))}, timeout=60
    )
    assert answer.status_code == 413
    client = served.client()
    for changes, message in (
        ({"end": 30}, "both within it"),
        ({"start": 1}, "the model needs at least 2.56 s"),
    ):
        assert message in ask(client, clip, model, **changes)["error"]
    for changes in ({"takes": 5}, {"steps": 5000}, {"sampler": "euler"}, {"seed": -1}, {"guidance": 1e9}):
        with pytest.raises(AppError):
            ask(client, clip, model, **changes)
    with pytest.raises(AppError):
        ask(client, clip, "mini")  # a model the page does not offer
    client.close()


def test_a_playlist_in_disguise_reads_nothing(
    served: Served, model: Path, clip: Path, tmp_path: Path
) -> None:
    client = served.client()
    for text in (
        f"#EXTM3U\n#EXTINF:3,\n{clip}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXTINF:3,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{clip}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ):
        disguised = tmp_path / "dance.mp4"
        disguised.write_text(text)
        assert "dance.mp4 cannot be read as a video" in ask(client, disguised, model)["error"]
    client.close()


def test_browsers_may_load_nothing_from_other_hosts(served: Served) -> None:
    answer = served.get("")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "fonts.googleapis" not in answer.text and '<script src="http' not in answer.text


@pytest.mark.slow
def test_a_full_queue_says_so(served: Served, model: Path, tmp_path: Path) -> None:
    clients = [served.client() for _ in range(5)]
    videos = [dance(tmp_path, number) for number in range(3, 8)]
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda pair: ask(*pair, model), zip(clients, videos, strict=True)))
    for client in clients:
        client.close()
    refused = [answer["error"] for answer in answers if "error" in answer]
    assert len(refused) == 2 and all("no more may wait: try again" in one for one in refused)


def make_screenshot(path: Path) -> None:
    """The page after it has made two takes for a dance of the embedded corpus."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving("mini", Path(folder)) as served,
        launched() as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(served.address)
        drop(page, write_clip_video(MiniSpec().plan("test", 2), Path(folder)))
        expect(page.locator("#facts")).to_contain_text("8.0 s")
        page.locator("#takes").get_by_text("2", exact=True).click()
        page.locator("#make").click()
        expect(page.locator("#status")).to_contain_text("Made in", timeout=600_000)
        page.evaluate("document.querySelector('.pn-take video').currentTime = 4.2")
        page.wait_for_timeout(1000)
        photograph(page, path)


if __name__ == "__main__":
    make_screenshot(Path(sys.argv[1]))
