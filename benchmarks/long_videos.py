"""A minute of dance in overlapping windows against the same minute window by window; seams; memory by length.

    python benchmarks/long_videos.py -o outputs/long_videos
    python benchmarks/long_videos.py -o outputs/long_videos --only memory

Dances of the embedded corpus' kind, from seeds that no split has, are rendered, watched and given music twice: whole
(windows denoised together), and each window's length by itself. Strict beat F is scored on the same stretches of both,
so that only the way they were made differs; seams are looked for where windows, decoder and vocoder were joined.
Writes `report.json` and the waves, prints a table. Four dances: 10 minutes on one core, most of them for watching.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.corpora.mini import MiniSpec
from pn_diffusion_plugin.data.corpora.mini.prepare import prepare_mini
from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.metrics.beats import beat_f_measure, track_beats
from pn_diffusion_plugin.metrics.corpus import CorpusClip, read_split
from pn_diffusion_plugin.metrics.seams import find_seams
from pn_diffusion_plugin.metrics.statistics import Interval, bootstrap, paired_difference
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.modules.windows import window_starts
from pn_diffusion_plugin.utils.files import atomic_path, write_json

SEED = 60  # of the dances
Waves = dict[str, np.ndarray]


def corpus(dances: int, seconds: float) -> list[CorpusClip]:
    """The dances, rendered and watched the first time."""
    root = paths.outputs_dir() / f"corpora/mini_{seconds:g}s"
    spec = MiniSpec(train=1, valid=1, test=dances, seconds=seconds, seed=SEED)
    prepare_mini(root, spec, splits=["test"], jobs=1)
    return read_split(root / "egs/test", dances)


def cut(features: Features, start: float, seconds: float) -> Features:
    """Some seconds of a dance as a clip of their own."""
    return features.segment(start, seconds)


def stretches(model: PNDiffusion, seconds: float) -> list[float]:
    """Beginnings (s) of as many windows' lengths as fit, edge to edge."""
    return [i * model.sequence.seconds for i in range(int(seconds / model.sequence.seconds + 1e-6))]


def make_music(model: PNDiffusion, clips: list[CorpusClip]) -> dict[str, Waves]:
    """Rows of sound by clip: `whole`, `singles` (laid end to end), `ceiling`, `shuffled` (another dance's music)."""
    rows: dict[str, Waves] = {"whole": {}, "singles": {}, "ceiling": {}, "shuffled": {}}
    for i, clip in enumerate(clips):
        name, seconds = clip.info.name, clip.features.header.seconds
        rows["whole"][name] = model.generate_from_features([clip.features], [i])[0][0].numpy()
        starts = stretches(model, seconds)
        singles = model.generate_from_features(
            [cut(clip.features, start, model.sequence.seconds) for start in starts],
            [1000 * (i + 1) + k for k in range(len(starts))],
        )
        rows["singles"][name] = np.concatenate([wav[0].numpy() for wav in singles])
        rows["ceiling"][name] = model.reconstruct(torch.from_numpy(clip.reference)).numpy()
        rows["shuffled"][name] = clips[(i + 1) % len(clips)].reference
    return rows


def stretch_scores(model: PNDiffusion, clips: list[CorpusClip], waves: Waves) -> list[float]:
    """Strict beat F of every stretch, its beats tracked in it alone."""
    scores, length = [], model.sequence.seconds
    for clip in clips:
        beats = np.asarray(clip.info.beats)
        for start in stretches(model, clip.features.header.seconds):
            begin = round(start * model.sample_rate)
            part = waves[clip.info.name][begin : begin + model.sequence.samples]
            true = beats[(beats >= start) & (beats < start + length)] - start
            scores.append(beat_f_measure(true, track_beats(part, model.sample_rate)))
    return scores


def whole_scores(model: PNDiffusion, clips: list[CorpusClip], waves: Waves) -> list[float]:
    """Strict beat F over each clip, its beats tracked over all of it."""
    return [
        beat_f_measure(
            [b for b in clip.info.beats or [] if b < clip.features.header.seconds],
            track_beats(waves[clip.info.name], model.sample_rate),
        )
        for clip in clips
    ]


def joints(model: PNDiffusion, samples: int) -> dict[str, list[int]]:
    """Samples at which a clip made by windows was joined, by what joined it."""
    sequence = model.sequence
    columns, window = sequence.columns_for(samples), sequence.latent_columns
    hop = max(1, round(window * (1 - model.params.overlap)))
    column = sequence.latent_factor * sequence.hop_length
    starts = window_starts(columns, window, hop)[:-1]  # the last ends with the clip, anywhere between others
    sizes = (model.vae.chunk_frames, getattr(model.vocoder, "chunk_frames", samples))
    chunks = {size * sequence.hop_length for size in sizes}
    last = starts[-1] * column
    return {
        "windows": sorted({at * column for s in starts for at in (s, s + window) if 0 < at * column <= last}),
        "decoder and vocoder": sorted({at for chunk in chunks for at in range(chunk, samples, chunk)}),
    }


def seam_report(model: PNDiffusion, clips: list[CorpusClip], rows: dict[str, Waves]) -> dict[str, Any]:
    """Flux at the joints against elsewhere; and at the joints of music that was only laid end to end."""
    names = [clip.info.name for clip in clips]
    where = [joints(model, len(rows["whole"][name])) for name in names]
    report = {
        kind: find_seams([rows["whole"][name] for name in names], [w[kind] for w in where])
        for kind in where[0]
    }
    single = model.sequence.samples
    report["laid end to end"] = find_seams(
        [rows["singles"][name] for name in names],
        [range(single, len(rows["singles"][name]) - 1, single) for name in names],
    )
    return {kind: {**found.as_dict(), "stands_out": found.stand_out} for kind, found in report.items()}


def measure_memory(features: Features, seconds: float, checkpoint: str) -> dict[str, float]:
    """Peak memory of making music of a dance repeated to a length, in this process (MB)."""
    import resource

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    model = PNDiffusion.get_pretrained(checkpoint)
    model.set_generation_params(steps=2)
    times = -(-seconds // features.header.seconds)
    parts = {name: np.concatenate([rows] * int(times)) for name, rows in features.streams.items()}
    features = cut(
        Features(replace(features.header, seconds=times * features.header.seconds), **parts), 0.0, seconds
    )
    before = peak()
    (wav,) = model.generate_from_features([features], [0])
    held = features.nbytes
    return {
        "seconds": seconds,
        "samples": wav.shape[-1],
        "before_mb": before,
        "peak_mb": peak(),
        "music_mb": wav.numel() * wav.element_size() / 2**20,
        "features_mb": held / 2**20,
    }


def memory_report(lengths: list[float], checkpoint: str, dance_seconds: float) -> list[dict[str, float]]:
    """`measure_memory` of every length, each in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--checkpoint",
        checkpoint,
        "--seconds",
        str(dance_seconds),
        "--measure",
    ]
    return [
        json.loads(subprocess.run([*command, str(n)], check=True, stdout=subprocess.PIPE, text=True).stdout)
        for n in lengths
    ]


def say(name: str, interval: Interval | None) -> str:
    """A row of the table of scores."""
    assert interval is not None
    return f"| {name} | {interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}] | {interval.n} |"


def music_report(model: PNDiffusion, clips: list[CorpusClip], out: Path) -> dict[str, Any]:
    """Scores and seams."""
    rows = make_music(model, clips)
    for row, waves in rows.items():
        for name, wav in waves.items():
            with atomic_path(out / row / f"{name}.wav") as temporary:
                soundfile.write(temporary, wav, model.sample_rate)
    scores = {row: stretch_scores(model, clips, waves) for row, waves in rows.items()}
    over_all = {row: whole_scores(model, clips, waves) for row, waves in rows.items()}
    difference = paired_difference(scores["whole"], scores["singles"])
    intervals: dict[str, Interval | None] = {
        **{f"{row}, stretch by stretch": bootstrap(values) for row, values in scores.items()},
        "whole − singles, stretch by stretch": difference,
        **{f"{row}, over all": bootstrap(values) for row, values in over_all.items()},
    }
    print("| strict beat F | mean [95 % interval] | n |", "|---|---|---|", sep="\n")
    print("\n".join(say(name, interval) for name, interval in intervals.items()))
    seams = seam_report(model, clips, rows)
    print(
        "\n| joints of | flux at them (dB) | elsewhere (95 %) | rank | n | stand out |",
        "|---" * 6 + "|",
        sep="\n",
    )
    for kind, s in seams.items():
        print(
            f"| {kind} | {s['flux']:.2f} | {s['low']:.2f} to {s['high']:.2f} | {s['rank']:.2f} | {s['joints']} | "
            f"{'yes' if s['stands_out'] else 'no'} |"
        )
    return {
        "beat_f70": {name: i.as_dict() for name, i in intervals.items() if i is not None},
        "per_stretch": scores,
        "seams": seams,
    }


def main() -> None:
    """Make, score, measure, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", default="mini", help="model")
    parser.add_argument("--dances", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60.0, help="of a dance")
    parser.add_argument("--lengths", type=float, nargs="+", default=[60, 180, 600], help="for the memory (s)")
    parser.add_argument("--only", choices=["music", "memory"])
    parser.add_argument("-o", "--output", type=Path, help="folder of report.json and the waves")
    parser.add_argument("--measure", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.measure is not None:
        features = corpus(args.dances, args.seconds)[0].features
        print(json.dumps(measure_memory(features, args.measure, args.checkpoint)))
        return
    if args.output is None:
        parser.error("-o is missing: name a folder for report.json and the waves")
    path = args.output / "report.json"
    report: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if args.only != "memory":
        clips = corpus(args.dances, args.seconds)
        report["music"] = music_report(PNDiffusion.get_pretrained(args.checkpoint), clips, args.output)
    if args.only != "music":
        corpus(args.dances, args.seconds)
        report["memory"] = memory_report(args.lengths, args.checkpoint, args.seconds)
        print(
            "\n| seconds | peak MB | of it music | features | above the shortest |",
            "|---" * 5 + "|",
            sep="\n",
        )
        for row in report["memory"]:
            above = row["peak_mb"] - report["memory"][0]["peak_mb"]
            print(
                f"| {row['seconds']:g} | {row['peak_mb']:.0f} | {row['music_mb']:.1f} | {row['features_mb']:.1f} | "
                f"{above:.1f} |"
            )
    write_json(path, report)


if __name__ == "__main__":
    main()
