"""The real command makes a listening test; a real browser takes it with the keyboard; the real command analyses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from browser import Watch, launched
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tiny_evaluation import HOSTILE, build_corpus, build_evaluation
from tiny_experiment import program, run

pytestmark = pytest.mark.integration

OPINION = {HOSTILE: 4, "lagging": 2, "reference": 5, "shuffled": 1}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_evaluation(tmp_path_factory.mktemp("evaluation") / "tiny", HOSTILE)


@pytest.fixture(scope="module")
def made(evaluation: Path, manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a test of two systems on two dances."""
    folder = tmp_path_factory.mktemp("listening") / "test"
    done = run(
        program("pn-diffusion"), "listening-test", str(evaluation), "-o", str(folder), "--clips", "2",
        "--manifest", str(manifest), "--title", "Dance <&> music?",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as one:
        yield one


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser in which nothing is kept yet."""
    context = browser.new_context(accept_downloads=True)
    context.set_default_timeout(30000)
    yield context
    context.close()


def key_of(folder: Path) -> dict:
    return json.loads((folder / "key.json").read_text())


def tokens(page: Page) -> list[str]:
    """Stimuli on the screen, from left to right."""
    videos = page.locator("#videos video")
    return [Path(urlparse(videos.nth(i).evaluate("v => v.src")).path).stem for i in range(videos.count())]


def take_trial(page: Page, key: dict) -> tuple[str, ...]:
    """Hear and answer one trial by keys alone, with `OPINION`; what was shown."""
    shown = tokens(page)
    comparing = len(shown) == 2
    for place in range(len(shown)):
        page.keyboard.press("AB"[place] if comparing else " ")
        page.wait_for_function("place => document.querySelectorAll('video')[place].ended", arg=place)
    opinions = [OPINION[key["stimuli"][token][1]] for token in shown]
    expect(page.locator("#next")).to_be_disabled()
    if comparing:
        page.keyboard.press("1" if opinions[0] > opinions[1] else "2")
        page.keyboard.press("1")
    else:
        page.keyboard.press(str(opinions[0]))
        page.keyboard.press("3")
    expect(page.locator("#next")).to_be_enabled()
    at = page.evaluate("state.at")
    page.keyboard.press("Enter")
    assert page.evaluate("state.at") == at + 1
    return tuple(shown)


def test_a_listener_takes_the_test_and_the_answers_are_analysed(
    made: Path, context: BrowserContext, tmp_path: Path
) -> None:
    key, page = key_of(made), context.new_page()
    watch = Watch(page)
    address = (made / "page" / "index.html").as_uri()
    page.goto(address)
    expect(page.locator("h1")).to_have_text("Dance <&> music?")
    page.locator("#device").select_option("loudspeakers")
    page.locator("#start").click()
    total = len(key["stimuli"]) + len(key["comparisons"])
    expect(page.locator("#heading")).to_have_text(f"Dance 1 of {total}")

    # Nothing goes on before all is heard and answered.
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.locator("#heading")).to_have_text(f"Dance 1 of {total}")
    expect(page.locator('input[name="rhythm"][value="4"]')).to_be_checked()
    page.keyboard.press("ArrowUp")  # the first question again: the answer can be changed

    shown = [take_trial(page, key)]
    # Closing the page loses nothing.
    page.reload()
    expect(page.locator("#heading")).to_have_text(f"Dance 2 of {total}")
    while page.locator("#end").is_hidden():
        shown.append(take_trial(page, key))
    assert sorted(one[0] for one in shown if len(one) == 1) == sorted(key["stimuli"])
    assert sorted(sorted(one) for one in shown if len(one) == 2) == sorted(
        map(sorted, key["comparisons"].values())
    )

    page.locator("#comment").fill("nice <dances>")
    with page.expect_download() as started:
        page.locator("#download").click()
    answers = tmp_path / started.value.suggested_filename
    started.value.save_as(answers)
    content = json.loads(answers.read_text())
    assert answers.name == f"answers-{key['test']}-{content['listener']}.json"
    assert content["device"] == "loudspeakers" and content["comment"] == "nice <dances>"
    assert content["finished"] > content["started"] and len(content["answers"]) == total
    assert all(answer["plays"] == [1] * len(answer["shown"]) for answer in content["answers"])
    assert watch.errors == []
    assert {urlparse(url).scheme for url in watch.requests} <= {"file", "blob"}

    done = run(program("pn-diffusion"), "listening-test", "--analyse", str(answers), "-o", str(made))
    assert done.returncode == 0, done.stderr
    analysis = json.loads((made / "analysis.json").read_text())
    assert done.stdout.strip() == (made / "analysis.md").read_text().strip()
    ratings = {entry["system"]: entry for entry in analysis["ratings"]}
    assert {system: entry["rhythm"]["mean"] for system, entry in ratings.items()} == OPINION
    assert all(entry["quality"]["mean"] == 3 for entry in ratings.values())
    assert [entry["mean"] for entry in analysis["preferences"] if entry["question"] == "rhythm"] == [1.0, 1.0]
    assert analysis["attention"] == [
        {"listener": content["listener"], "reference_minus_anchor": 4.0, "listens": True}
    ]
    (made / "analysis.json").unlink()
    (made / "analysis.md").unlink()


def test_orders_differ_between_listeners_and_a_dance_is_not_shown_twice_in_a_row(
    made: Path, browser: Browser
) -> None:
    orders, sides = [], []
    key = key_of(made)
    for _ in range(6):
        context = browser.new_context()
        page = context.new_page()
        page.goto((made / "page" / "index.html").as_uri())
        page.locator("#start").click()
        state = page.evaluate("state")
        context.close()
        orders.append([trial["id"] for trial in state["order"]])
        sides.append(
            {trial["id"]: trial["shown"][0] for trial in state["order"] if trial["kind"] == "compare"}
        )
        kinds = [trial["kind"] for trial in state["order"]]
        assert kinds == sorted(kinds, reverse=True)  # ratings first
        clips = [key["stimuli"][trial["shown"][0]][0] for trial in state["order"] if trial["kind"] == "rate"]
        assert sum(a == b for a, b in zip(clips, clips[1:], strict=False)) <= 3  # as far as that can be had
    assert len({tuple(order) for order in orders}) > 1
    assert any(len({side[trial] for side in sides}) == 2 for trial in sides[0])


def test_the_mouse_will_do_and_an_answer_can_be_changed(made: Path, context: BrowserContext) -> None:
    page = context.new_page()
    page.goto((made / "page" / "index.html").as_uri())
    page.locator("#start").click()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => document.querySelector('video').ended")
    page.get_by_label("2", exact=True).first.check()
    page.get_by_label("5 excellent").check()
    page.keyboard.press("ArrowUp")  # back to the first question
    page.keyboard.press("5")
    expect(page.get_by_label("5 perfectly")).to_be_checked()
    page.get_by_role("button", name="Go on").click()
    (answer,) = page.evaluate("Object.values(state.answers)")
    assert (answer["rhythm"], answer["quality"]) == (5, 5)


def test_the_report_plays_in_a_browser_and_runs_nothing_of_its_labels(
    evaluation: Path, manifest: Path, context: BrowserContext, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    done = run(
        program("pn-diffusion"), "report", str(evaluation), "-o", str(out), "--clips", "1", "--manifest", str(manifest)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md", "report_files"]
    page = context.new_page()
    watch = Watch(page)
    page.goto(out.as_uri())
    assert page.title() == "Dance to music: tiny"
    expect(page.get_by_role("row", name=HOSTILE).first).to_be_visible()
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 300)")
    page.evaluate("document.querySelectorAll('audio')[1].play()")
    page.wait_for_function("() => document.querySelectorAll('audio')[1].ended")
    assert page.evaluate("document.querySelector('video').currentTime") > 0.7  # the dance went along
    assert watch.errors == []
    assert all(url.startswith("data:") or unquote(urlparse(url).path) == str(out) for url in watch.requests)


def test_mistakes_are_told_in_a_sentence(made: Path, evaluation: Path, tmp_path: Path) -> None:
    key = str(made / "key.json")
    for arguments, told in (
        (["listening-test", str(evaluation), "-o", str(made)], f"{made} is not empty: name a new folder"),
        (
            ["listening-test", "--analyse", key, "-o", str(made)],
            "holds no answers of a listening test",
        ),
        (["report", str(tmp_path), "-o", str(tmp_path / "r.html")], f"{tmp_path} holds no report.json"),
        (
            ["report", str(evaluation), "-o", str(tmp_path / "r.pdf")],
            "give the name of a file that ends in .html",
        ),
    ):
        done = run(program("pn-diffusion"), *arguments)
        (sentence,) = done.stderr.strip().splitlines()
        assert done.returncode == 1 and sentence.startswith("error: ") and told in sentence
    assert not list(tmp_path.iterdir())
