"""From answers to what they say: simulated listeners whose judgement is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pn_diffusion_plugin.apps.listening.analysis import analyse, render_analysis, write_analysis
from pn_diffusion_plugin.apps.listening.answers import read_answers
from pn_diffusion_plugin.apps.listening.design import Design, make_design
from pn_diffusion_plugin.errors import UserError

CLIPS = {"a": "b", "b": "c", "c": "a", "d": "a", "e": "b"}
OPINION = {"strong": 4, "weak": 2, "reference": 5, "shuffled": 1}


@pytest.fixture
def design() -> Design:
    return make_design({"strong": "the good one", "weak": "the | bad one"}, CLIPS)


def file_of(
    design: Design, folder: Path, number: int, opinion: dict[str, int] = OPINION, **changed: Any
) -> Path:
    """Answers of a listener who rates by `opinion`, half a point up or down by whether number and clip are odd."""
    answers: list[dict[str, Any]] = []
    for token, (clip, system) in design.stimuli.items():
        mood = (number + ord(clip)) % 2 if 1 < opinion[system] < 5 else 0
        rating = min(opinion[system] + mood, 5)
        answers.append({"trial": token, "kind": "rate", "shown": [token], "rhythm": rating, "quality": 3})
    for token, pair in design.comparisons.items():
        best = max(pair, key=lambda stimulus: opinion[design.stimuli[stimulus][1]])
        answers.append(
            {"trial": token, "kind": "compare", "shown": pair[::-1], "rhythm": best, "quality": pair[0]}
        )
    content = {
        "schema": 1,
        "test": design.test,
        "listener": f"l{number}",
        "comment": "",
        "answers": answers,
    } | changed
    path = folder / f"answers-{number}.json"
    path.write_text(json.dumps(content))
    return path


def find(entries: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    (entry,) = [e for e in entries if all(e[key] == value for key, value in wanted.items())]
    return entry


def test_the_design_has_every_system_with_every_dance(design: Design) -> None:
    assert sorted(map(tuple, design.stimuli.values())) == sorted((c, s) for c in CLIPS for s in OPINION)
    pairs = [sorted(design.stimuli[token][1] for token in pair) for pair in design.comparisons.values()]
    assert (
        pairs.count(["strong", "weak"]) == 5
        and pairs.count(["reference", "shuffled"]) == 2
        and len(pairs) == 7
    )
    for first, second in design.comparisons.values():
        assert design.stimuli[first][0] == design.stimuli[second][0]
    alone = make_design({"only": "x"}, CLIPS)
    pairs = [{alone.stimuli[token][1] for token in pair} for pair in alone.comparisons.values()]
    assert pairs.count({"only", "reference"}) == pairs.count({"only", "shuffled"}) == 5


def test_the_page_is_told_nothing(design: Design) -> None:
    public = json.dumps(design.public())
    for word in (*OPINION, "anchor", "the good one"):
        assert word not in public
    rated = [token for token, _ in design.public()["rate"]]
    assert sorted(rated) == rated and set(rated) == set(design.stimuli)
    dances = {token: dance for token, dance in design.public()["rate"]}
    for _, pair, dance in design.public()["compare"]:
        assert {dances[token] for token in pair} == {dance}
    assert make_design({"strong": "x"}, CLIPS).test != make_design({"strong": "x"}, CLIPS).test


def test_a_system_cannot_take_a_hidden_name() -> None:
    with pytest.raises(UserError, match="cannot be called shuffled"):
        make_design({"shuffled": "x"}, CLIPS)
    with pytest.raises(UserError, match="no system with sound"):
        make_design({}, CLIPS)


def test_the_key_is_read_back(design: Design, tmp_path: Path) -> None:
    design.save(tmp_path)
    assert Design.load(tmp_path) == design
    (tmp_path / "key.json").write_text("{}")
    with pytest.raises(UserError, match="key.json cannot be read"):
        Design.load(tmp_path)


def test_opinions_come_out(design: Design, tmp_path: Path) -> None:
    files = [file_of(design, tmp_path, number) for number in range(6)]
    analysis = analyse(design, read_answers(files, design))
    assert analysis["listeners"] == 6 and analysis["clips"] == 5 and analysis["left_out"] == []
    rhythm = {entry["system"]: entry["rhythm"] for entry in analysis["ratings"]}
    assert rhythm["reference"]["mean"] == 5 and rhythm["shuffled"]["mean"] == 1
    assert rhythm["strong"]["mean"] == pytest.approx(4.5) and rhythm["strong"]["n"] == 30
    assert rhythm["strong"]["low"] < 4.5 < rhythm["strong"]["high"]
    better = find(analysis["differences"], first="strong", second="weak", question="rhythm")
    assert better["mean"] == better["low"] == better["high"] == 2
    assert (better["p_listeners"], better["p_clips"]) == (2 / 2**6, 2 / 2**5)
    assert better["p"] == min(1, 6 * 2 / 2**5)  # six pairs, all with the same p
    same = find(analysis["differences"], first="strong", second="weak", question="quality")
    assert same["mean"] == 0 and same["p"] == 1
    chosen = find(analysis["preferences"], first="strong", second="weak", question="rhythm")
    assert chosen["mean"] == 1 and chosen["p_listeners"] == 2 / 2**6
    assert all(entry["listens"] and entry["reference_minus_anchor"] == 4 for entry in analysis["attention"])


def test_who_was_shown_first_does_not_matter(design: Design, tmp_path: Path) -> None:
    file = file_of(design, tmp_path, 0)
    content = json.loads(file.read_text())
    for answer in content["answers"]:
        answer["shown"] = answer["shown"][::-1]
    (tmp_path / "turned.json").write_text(json.dumps(content))
    first, second = (
        analyse(design, read_answers([path], design)) for path in (file, tmp_path / "turned.json")
    )
    assert first == second


def test_who_does_not_listen_is_told_and_left_out_on_demand(design: Design, tmp_path: Path) -> None:
    files = [file_of(design, tmp_path, number) for number in range(3)]
    files.append(file_of(design, tmp_path, 3, dict.fromkeys(OPINION, 3), comment="was <b>bored</b>"))
    answers = read_answers(files, design)
    kept, screened = analyse(design, answers), analyse(design, answers, screen=True)
    assert [entry["listens"] for entry in kept["attention"]] == [True, True, True, False]
    assert kept["listeners"] == 4 and screened["listeners"] == 3 and screened["left_out"] == ["l3"]
    assert find(screened["ratings"], system="shuffled")["rhythm"]["mean"] == 1
    assert find(kept["ratings"], system="shuffled")["rhythm"]["mean"] > 1
    text = render_analysis(kept)
    assert "1 of 4 listeners" in text and "(l3)" in text and "was &lt;b&gt;bored&lt;/b&gt;" in text
    assert r"the \| bad one" in text
    with pytest.raises(UserError, match="without --screen"):
        analyse(design, read_answers(files[3:], design), screen=True)


def test_an_unfinished_test_counts_as_far_as_it_goes(design: Design, tmp_path: Path) -> None:
    file = file_of(design, tmp_path, 0)
    content = json.loads(file.read_text())
    content["answers"] = [
        a for a in content["answers"] if design.stimuli.get(a["trial"], ["", ""])[1] == "strong"
    ][:2]
    file.write_text(json.dumps(content))
    analysis = analyse(design, read_answers([file], design))
    assert find(analysis["ratings"], system="strong")["rhythm"]["n"] == 2
    assert find(analysis["ratings"], system="weak")["rhythm"] == {"not_run": "needs an answer"}
    assert analysis["differences"] == analysis["preferences"] == []
    assert "| the good one |" in render_analysis(analysis)


def test_files_are_written(design: Design, tmp_path: Path) -> None:
    analysis = analyse(design, read_answers([file_of(design, tmp_path, 0)], design))
    written = write_analysis(analysis, tmp_path / "test")
    assert json.loads(written[0].read_text()) == analysis and written[1].read_text() == render_analysis(
        analysis
    )


@pytest.mark.parametrize(
    "break_it, told",
    [
        (lambda c: c["answers"][0].update(rhythm=6), "rhythm is 6, not 1 to 5"),
        (lambda c: c["answers"][0].update(quality="3"), "quality is '3', not 1 to 5"),
        (lambda c: c["answers"][0].update(rhythm=True), "rhythm is True"),
        (lambda c: c["answers"][0].update(trial="x"), "the trial 'x' is not in the key"),
        (lambda c: c["answers"][-1].update(rhythm="x"), "none of what was compared"),
        (lambda c: c["answers"].append(3), "an answer is no object"),
        (lambda c: c.update(test="other"), "is of the test 'other'"),
        (lambda c: c.update(schema=2), "holds no answers"),
        (lambda c: c.update(answers={}), "holds no answers"),
    ],
)
def test_a_file_that_says_what_cannot_be_said_is_named(
    design: Design, tmp_path: Path, break_it, told: str
) -> None:
    file = file_of(design, tmp_path, 0)
    content = json.loads(file.read_text())
    break_it(content)
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=told) as error:
        read_answers([file], design)
    assert str(file) in str(error.value)


def test_the_same_listener_twice_is_told(design: Design, tmp_path: Path) -> None:
    file = file_of(design, tmp_path, 0)
    copy = tmp_path / "copy.json"
    copy.write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="are of the same listener"):
        read_answers([file, copy], design)
    copy.write_text("no json")
    with pytest.raises(UserError, match="copy.json cannot be read"):
        read_answers([copy], design)
    with pytest.raises(UserError, match="no answers: name"):
        read_answers([], design)


def test_random_answers_find_nothing_more_often_than_they_may(design: Design) -> None:
    """Under no difference a paired test over clips is below .05 at most that often (here: 400 tests of 10)."""
    from pn_diffusion_plugin.apps.listening.statistics import sign_flip_test

    rng = np.random.default_rng(0)
    found = [sign_flip_test(rng.normal(size=10)) for _ in range(400)]
    assert np.mean([p is not None and p < 0.05 for p in found]) < 0.08
