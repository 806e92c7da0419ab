"""Hundreds of pieces of music by one process, and by one page for many people at once: does anything grow, or mix up?

    python benchmarks/soak.py -o outputs/soak                        # 200 in one process, 200 for 8 people
    python benchmarks/soak.py -o outputs/soak --only page --model mini

Every piece goes the whole way from a video file to a video file with music. The page is the real command in a process
of its own; each person sends dances of a length of their own and must get the music that a single call makes of that
dance and seed. Half the files sent are new to the page (bytes after the end differ), the others it has seen. Memory
(RSS), open files, child processes, threads and temporary files are counted after every piece. Random weights by default
(what may leak is the same). Writes `report.json`, prints a table. 12 minutes of one core's work.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from served import Served, ask, serving  # noqa: E402

from pn_diffusion_plugin.data.corpora.mini import MiniSpec, write_clip  # noqa: E402
from pn_diffusion_plugin.data.video.mux import mux
from pn_diffusion_plugin.data.video.probe import probe
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.data.video.write import write_video  # noqa: E402
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion  # noqa: E402
from pn_diffusion_plugin.utils.files import write_json  # noqa: E402
from pn_diffusion_plugin.utils.memory import share_heaps  # noqa: E402

WARM = 0.1  # share of the pieces that comes before anything is compared
LEAST_SECONDS = 0.08  # by how much each person's dance is longer than the one's before


@dataclass(frozen=True)
class Sample:
    """What a process holds after a piece: megabytes, and counts."""

    rss_mb: float
    open_files: int
    children: int
    threads: int
    temporary_files: int


def look(pid: int, temporary: Path) -> Sample:
    """Look at a process of this machine, and at its folder for temporary files."""
    process = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    children = "".join(file.read_text() for file in process.glob("task/*/children")).split()
    return Sample(
        rss_mb=int(fields["VmRSS"].split()[0]) / 1024,
        open_files=len(os.listdir(process / "fd")),
        children=len(children),
        threads=int(fields["Threads"]),
        temporary_files=sum(path.is_file() for path in temporary.rglob("*")),
    )


def growth(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """Of each count: means of the first and last third, and what it grows by in 100 pieces (least squares)."""
    samples = samples[round(WARM * len(samples)) :]
    third = max(1, len(samples) // 3)
    result = {}
    for name in asdict(samples[0]):
        values = np.array([getattr(sample, name) for sample in samples], dtype=float)
        slope = np.polyfit(np.arange(len(values)), values, 1)[0] if len(values) > 1 else 0.0
        result[name] = {
            "first_third": float(values[:third].mean()),
            "last_third": float(values[-third:].mean()),
            "per_100": float(100 * slope),
            "most": float(values.max()),
        }
    return result


def make_dances(folder: Path, window: float, number: int) -> list[Path]:
    """Dances of a dancer, each longer than the one before: no two results are as long."""
    spec = MiniSpec(train=1, valid=1, test=number, seconds=window + LEAST_SECONDS * number)
    dances = []
    for index in range(number):
        whole = write_clip(spec, "test", index, folder / "whole")
        dances.append(folder / f"dance{index}.mp4")
        seconds = window + LEAST_SECONDS * (index + 1)
        write_video(dances[-1], read_frames(whole, 25, seconds=seconds), 25)
    return dances


def another(video: Path, number: int, folder: Path) -> Path:
    """The same video in a file of other bytes: an mp4 may end with a box that nobody reads."""
    copy = folder / f"{video.stem}-{number}.mp4"
    copy.write_bytes(video.read_bytes() + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return copy


def report_progress(made: int, sample: Sample) -> None:
    """A line now and then for whoever waits."""
    if made % 10 == 0:
        print(
            f"{made} pieces, {sample.rss_mb:.0f} MB, {sample.open_files} open files",
            file=sys.stderr,
            flush=True,
        )


def by_one_process(model: PNDiffusion, dances: Sequence[Path], pieces: int, folder: Path) -> list[Sample]:
    """Make pieces one after the other, from a video to a video each."""
    samples = []
    for piece in range(pieces):
        video = dances[piece % len(dances)]
        (wave,) = model.generate([video], [piece])
        mux(video, wave.numpy(), model.sample_rate, folder / "out.mp4")
        samples.append(look(os.getpid(), folder))
        report_progress(piece + 1, samples[-1])
    return samples


@dataclass
class Answers:
    """What people got, and what the server held meanwhile."""

    samples: list[Sample]
    served: int = 0
    right: int = 0
    largest_difference: float = 0.0
    seconds: float = 0.0


def by_page(
    served: Served, model_name: str, wish: Mapping[str, Any], dances: Sequence[Path], pieces: int,
    expected: Callable[[int, int], NDArray[np.float32]], folder: Path,
) -> Answers:  # fmt: skip
    """As many people as dances, each asking again and again; every answer is compared with what is `expected`."""
    answers, guard, began = Answers([]), threading.Lock(), time.monotonic()

    def person(number: int) -> None:
        client = served.client()
        for turn in range(number, pieces, len(dances)):
            video = another(dances[number], turn, folder) if turn // len(dances) % 2 else dances[number]
            result = ask(client, video, model_name, seed=turn, **wish)
            wav, _ = soundfile.read(
                io.BytesIO(served.get(result["takes"][0]["wav"]).content), dtype="float32"
            )
            wanted = expected(number, turn)
            same = wav.shape == wanted.shape
            off = float(np.abs(wav - wanted).max()) if same else float("inf")
            with guard:
                answers.served += 1
                answers.right += off < 1e-3
                answers.largest_difference = max(answers.largest_difference, off)
                answers.samples.append(look(served.pid, served.temporary))
                report_progress(answers.served, answers.samples[-1])
        client.close()

    with ThreadPoolExecutor(len(dances)) as pool:
        list(pool.map(person, range(len(dances))))
    answers.seconds = time.monotonic() - began
    return answers


def soak_page(
    model: PNDiffusion, name: str, dances: Sequence[Path], pieces: int, folder: Path
) -> dict[str, Any]:
    """Serve people and report what they got and what grew."""
    from pn_diffusion_plugin.data.features.extraction import extract_features

    features = [extract_features(dance, model.feature_spec) for dance in dances]
    guard = threading.Lock()

    def expected(number: int, seed: int) -> NDArray[np.float32]:
        with guard:
            return model.generate_from_features([features[number]], [seed])[0][0].numpy()

    copies = folder / "copies"
    copies.mkdir()
    wish = {key: getattr(model.params, key) for key in ("steps", "sampler", "guidance", "negative_guidance")}
    with serving(name, folder / "served", "--queue", str(len(dances)), "--keep-minutes", "1") as served:
        answers = by_page(served, name, wish, dances, pieces, expected, copies)
    return {
        "people": len(dances),
        "served": answers.served,
        "right": answers.right,
        "largest_difference": answers.largest_difference,
        "seconds": answers.seconds,
        "growth": growth(answers.samples),
    }


def table(name: str, grown: dict[str, dict[str, float]]) -> str:
    """Markdown of what `growth` found."""
    lines = [f"| {name} | first third | last third | per 100 pieces | most |", "|---|---|---|---|---|"]
    for what, value in grown.items():
        cells = " | ".join(f"{value[key]:.1f}" for key in ("first_third", "last_third", "per_100", "most"))
        lines.append(f"| {what} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for report.json")
    parser.add_argument("--model", help="bundled name or exported folder; random weights by default")
    parser.add_argument("--pieces", type=int, default=200)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--only", choices=("process", "page"))
    arguments = parser.parse_args()
    folder = arguments.output / f"files-{os.getpid()}"
    folder.mkdir(parents=True)
    name = arguments.model
    if name is None:
        from tiny_model import tiny_model

        name = str(tiny_model().save_pretrained(folder / "model"))
    model = PNDiffusion.get_pretrained(name)
    dances = make_dances(folder / "dances", model.sequence.seconds, arguments.people)
    report: dict[str, Any] = {"model": arguments.model or "random weights", "pieces": arguments.pieces}
    report["seconds_of_dance"] = [probe(dance).seconds for dance in dances]
    if arguments.only != "page":
        out = folder / "out"
        out.mkdir()
        share_heaps()  # as the command does
        report["process"] = growth(by_one_process(model, dances, arguments.pieces, out))
        print(table("one process", report["process"]), flush=True)
        write_json(arguments.output / "report.json", report)
    if arguments.only != "process":
        report["page"] = soak_page(model, name, dances, arguments.pieces, folder)
        print(json.dumps({key: value for key, value in report["page"].items() if key != "growth"}))
        print(table("page", report["page"]["growth"]))
        write_json(arguments.output / "report.json", report)


if __name__ == "__main__":
    main()
