"""Many pieces of music by one process, and by one page for several people at once: nothing grows, nothing is mixed up.

Every piece goes the whole way from a video file to a video file with music. `SOAK_PIECES=200 SOAK_PEOPLE=8` runs the
long form (12 minutes of one core); `-s` prints what was held at the beginning and at the end.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from served import ask, serving
from tiny_model import tiny_model

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.features.extraction import extract_features
from pn_diffusion_plugin.data.video.mux import mux
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.write import write_video
from pn_diffusion_plugin.utils.memory import share_heaps

pytestmark = [pytest.mark.integration, pytest.mark.slow]
PIECES, PEOPLE = int(os.environ.get("SOAK_PIECES", 20)), int(os.environ.get("SOAK_PEOPLE", 4))
WINDOW = 2.6  # seconds, at least a window of the tiny model


def held(pid: int, temporary: Path) -> dict[str, float]:
    """What a process of this machine holds: memory (MB) and counts."""
    process = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return {
        "rss_mb": int(fields["VmRSS"].split()[0]) / 1024,
        "open_files": len(os.listdir(process / "fd")),
        "children": len("".join(file.read_text() for file in process.glob("task/*/children")).split()),
        "threads": int(fields["Threads"]),
        "temporary_files": sum(path.is_file() for path in temporary.rglob("*")),
    }


def growth(samples: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Means over the first and the last third, without the first tenth."""
    samples = samples[len(samples) // 10 :]
    third = max(1, len(samples) // 3)
    result = {}
    for name in samples[0]:
        values = [sample[name] for sample in samples]
        result[name] = float(np.mean(values[:third])), float(np.mean(values[-third:]))
    print(result)
    return result


@pytest.fixture(scope="module")
def dances(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A dance for each person, each longer than the one before, so that no two results are equally long."""
    folder, dances = tmp_path_factory.mktemp("dances"), []
    spec = MiniSpec(train=1, valid=1, test=PEOPLE, seconds=WINDOW + 0.08 * PEOPLE)
    for index in range(PEOPLE):
        whole = write_clip_video(spec.plan("test", index), folder / "whole")
        dances.append(folder / f"dance{index}.mp4")
        write_video(dances[-1], read_frames(whole, 25, seconds=WINDOW + 0.08 * (index + 1)), 25)
    return dances


def test_many_pieces_by_one_process(dances: list[Path], tmp_path: Path) -> None:
    share_heaps()  # as the command does
    model, samples = tiny_model(), []
    for piece in range(PIECES):
        video = dances[piece % PEOPLE]
        (wave,) = model.generate([video], [piece])
        mux(video, wave.numpy(), model.sample_rate, tmp_path / "out.mp4")
        samples.append(held(os.getpid(), tmp_path))
    grown = growth(samples)
    first, last = grown.pop("rss_mb")
    assert last < 1.1 * first
    for name, (first, last) in grown.items():
        assert last <= first + 0.5, name


def test_many_pieces_for_several_people(dances: list[Path], tmp_path: Path) -> None:
    """Half the files are new to the page (other bytes at their ends), the others it has seen."""
    model, samples, guard = tiny_model(), [], threading.Lock()
    name = str(model.save_pretrained(tmp_path / "model"))
    features = [extract_features(dance, model.feature_spec) for dance in dances]
    request = {key: getattr(model.params, key) for key in ("steps", "sampler", "guidance", "negative_cfg")}

    def person(number: int) -> None:
        client = served.client()
        for turn in range(number, PIECES, PEOPLE):
            video = dances[number]
            if turn // PEOPLE % 2:  # an mp4 may end with a box without content
                video = tmp_path / f"copy{turn}.mp4"
                tail = (16).to_bytes(4, "big") + b"free" + turn.to_bytes(8, "big")
                video.write_bytes(dances[number].read_bytes() + tail)
            takes = ask(client, video, name, seed=turn, **request)["takes"]
            wav, _ = soundfile.read(io.BytesIO(served.get(takes[0]["wav"]).content), dtype="float32")
            with guard:
                expected = model.generate_from_features([features[number]], [turn])[0][0].numpy()
                samples.append(held(served.pid, served.temporary))
            np.testing.assert_allclose(wav, expected, atol=1e-3)
        client.close()

    options = ("--queue", str(PEOPLE), "--keep-minutes", "1")
    with serving(name, tmp_path / "served", *options) as served, ThreadPoolExecutor(PEOPLE) as pool:
        list(pool.map(person, range(PEOPLE)))
    assert len(samples) == PIECES
    first, last = growth(samples)["rss_mb"]
    assert last < 1.15 * first
    assert max(sample["children"] for sample in samples) == 0
