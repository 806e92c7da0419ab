"""What the score representation is meant for: styles, keys, sound, speed, and following the dance beside `mini`.

    python benchmarks/band.py follow --manifest outputs/corpora/mini/egs/test band=band mini=mini
    python benchmarks/band.py sound band

`follow`: paired differences of the first model to the others, clip by clip, and every model's scores beside the null
rows. `sound`: whether the style asked for is recognised by a classifier of the corpora's own scores (played by the same
instruments, and as notes alone), whether the key is found by a key finder in one minute, band width, stereo width,
loudness and peaks of the files, how far the end of a minute is from its beginning, and real-time factor and memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import librosa
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import command_line, repeated, table
from benchmarks.guidance_study import METRICS, NULLS
from benchmarks.paired import interval
from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.corpora.synthetic.generated import GeneratedSpec
from pn_diffusion_plugin.data.corpora.synthetic.genres import GENRES
from pn_diffusion_plugin.data.score.image import ROWS, row_of
from pn_diffusion_plugin.data.score.keys import parse_key
from pn_diffusion_plugin.data.score.notes import Score
from pn_diffusion_plugin.data.score.pulse import find_pulse
from pn_diffusion_plugin.metrics.corpus import evaluation_clip, read_split
from pn_diffusion_plugin.metrics.embedding import Embedder
from pn_diffusion_plugin.metrics.frechet import frechet_distance
from pn_diffusion_plugin.metrics.scoring import EventCache, row_sounds, score_sounds
from pn_diffusion_plugin.models import mastering
from pn_diffusion_plugin.models.band.ending import ending
from pn_diffusion_plugin.models.band.render import mix_of, render, to_mono
from pn_diffusion_plugin.models.band.voicing import arrange
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.utils.loudness import loudness, true_peaks

_SCORES = {**METRICS, "beat_variation": "variation of beats"}
# Krumhansl and Kessler (1982): how well each pitch class fits a major and a minor key.
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def follow(args: Any) -> dict[str, Any]:
    """Scores of models on a manifest, and differences of the first one to each other, clip by clip."""
    clips = read_split(args.manifest, args.clips)
    scored = [evaluation_clip(clip) for clip in clips]
    seeds, names = list(range(len(clips))), [clip.info.name for clip in clips]
    systems: dict[str, dict[str, np.ndarray]] = {}
    for label, source in (item.split("=", 1) for item in args.models):
        model = PNDiffusion.get_pretrained(source)
        model.set_generation_params(
            **json.loads(args.params) if label == args.models[0].split("=")[0] else {}
        )
        for name, dances in {
            label: clips,
            **({f"{label}, reversed dance": None} if args.null else {}),
        }.items():
            features = [c.features if dances else c.features.reversed() for c in clips]
            waves = model.generate_from_features(features, seeds, names=names)
            systems[name] = {n: wave[0].numpy() for n, wave in zip(names, waves, strict=True)}
        if args.null:
            others = [clips[(i + 1) % len(clips)].features for i in range(len(clips))]
            strange = [w[0].numpy() for w in model.generate_from_features(others, seeds, names=names)]
            fitted = [np.resize(w, c.reference.size) for w, c in zip(strange, clips, strict=True)]
            systems[f"{label}, other dance"] = dict(zip(names, fitted, strict=True))
    scores = score_sounds(scored, row_sounds(scored, systems), EventCache())
    rows = {
        row: {metric: interval(scores[row][metric][None]) for metric in _SCORES} for row in (*systems, *NULLS)
    }
    first, *rest = systems
    differences = {
        other: {metric: interval((scores[first][metric] - scores[other][metric])[None]) for metric in _SCORES}
        for other in (*rest, *NULLS)
    }
    return {"manifest": str(args.manifest), "clips": len(clips), "rows": rows, "first_minus": differences}


def notes_histogram(score: Score) -> np.ndarray:
    """Strokes by row and quarter beat of the pulse (normalised), and its tempo: a score without its instruments."""
    pulse, counts = find_pulse(score.notes), np.zeros((ROWS, 4))
    for note in score.notes:
        step = 0 if pulse is None else round(4 * (note.onset - pulse.phase) / pulse.period) % 4
        counts[row_of(note, score.tonic), step] += note.velocity
    total = max(float(counts.sum()), 1e-9)
    return np.append((counts / total).ravel(), 0.0 if pulse is None else np.log2(pulse.bpm))


def styles(model: PNDiffusion, pieces: int) -> dict[str, Any]:
    """Share of pieces whose style two classifiers recognise, and of held-out scores of the corpus."""
    embed, spec = Embedder(), GeneratedSpec()
    known: dict[str, list[Any]] = {"sound": [], "notes": [], "style": []}
    for index in range(40):
        for score in spec.plan("train", index).scores()[1:]:
            score = arrange(score)
            known["sound"].append(embed(to_mono(render(score, index), 22050), 22050).mean(axis=0))
            known["notes"].append(notes_histogram(score))
            known["style"].append(score.style)
    features = _dances()
    made: dict[str, list[Any]] = {"sound": [], "notes": [], "style": []}
    for number in range(pieces):
        style = list(GENRES)[number % len(GENRES)]
        model.set_generation_params(style=style)
        (score,) = model.compose_from_features([features[number // len(GENRES) % len(features)]], [number])
        made["sound"].append(embed(to_mono(render(score, 1000 + number), 22050), 22050).mean(axis=0))
        made["notes"].append(notes_histogram(score))
        made["style"].append(style)
    model.set_generation_params(style="any")
    held = len(known["style"]) * 3 // 4
    result: dict[str, Any] = {"pieces": pieces, "chance": 1 / len(GENRES)}
    for kind in ("sound", "notes"):
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        classifier.fit(known[kind][:held], known["style"][:held])
        result[f"{kind}, corpus"] = float(classifier.score(known[kind][held:], known["style"][held:]))
        result[kind] = float(classifier.score(made[kind], made["style"]))
    return result


def found_key(chroma: np.ndarray) -> tuple[int, str]:
    """Tonic and mode whose profile fits the strengths of the pitch classes (12,) best."""
    fits = {
        (tonic, mode): float(np.corrcoef(np.roll(profile, tonic), chroma)[0, 1])
        for mode, profile in _PROFILES.items()
        for tonic in range(12)
    }
    return max(fits, key=fits.__getitem__)


def keys(model: PNDiffusion, count: int = 12) -> dict[str, Any]:
    """Share of one-minute pieces in which a key finder finds the key asked for, and drift from beginning to end."""
    names = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    embed, by_sound, by_notes, drift = Embedder(), [], [], []
    features = _dances()
    for number in range(count):
        asked = f"{names[(5 * number) % 12]} {'minor' if number % 2 else 'major'}"
        model.set_generation_params(key=asked, style=list(GENRES)[number % len(GENRES)])
        (score,) = model.compose_from_features([repeated(features[number], 60.0)], [number])
        stems, wanted = render(score, number), (parse_key(asked)[0], asked.split()[1])
        windows = embed(to_mono(stems, 22050), 22050)
        del stems["drums"]  # a key finder takes toms and cowbells for notes
        sounding = librosa.feature.chroma_cqt(y=to_mono(stems, 22050), sr=22050).mean(axis=1)
        written = np.zeros(12)
        for note in score.notes:
            if note.tuned:
                written[note.pitch % 12] += note.velocity * min(note.duration, 1.0)
        by_sound.append(found_key(sounding) == wanted)
        by_notes.append(found_key(written) == wanted)
        drift.append(frechet_distance(windows[:10], windows[-10:]))
    model.set_generation_params(key="any", style="any")
    return {
        "minutes": count,
        "key found in the sound without drums": float(np.mean(by_sound)),
        "key found in the notes": float(np.mean(by_notes)),
        "first to last 10 s (Fréchet)": float(np.mean(drift)),
        "the same within references": float(np.mean([_reference_drift(embed, i) for i in range(count)])),
    }


def _reference_drift(embed: Embedder, index: int) -> float:
    """Distance between beginning and end of a minute of one song of the corpus."""
    from pn_diffusion_plugin.data.corpora.synthetic.music import synthesise
    from pn_diffusion_plugin.data.corpora.synthetic.timing import make_timing

    bpm = 100.0 + 5 * index
    timing = make_timing(np.random.default_rng(index), 60.0, bpm)
    windows = embed(synthesise(np.random.SeedSequence(index), timing, list(GENRES)[index % 14]), 22050)
    return frechet_distance(windows[:10], windows[-10:])


def files(model: PNDiffusion, count: int = 12) -> dict[str, Any]:
    """Band width, stereo width, loudness and true peak of finished music."""
    features, rows = _dances(), []
    for number in range(count):
        (score,) = model.compose_from_features([features[number]], [number])
        mix = mix_of(render(ending(score), number))
        sound = mix * mastering.master_gain(mix)
        side, middle = sound[0] - sound[1], sound[0] + sound[1]
        rolloff = librosa.feature.spectral_rolloff(y=sound.mean(axis=0), sr=mastering.RATE, roll_percent=0.95)
        peaks = 20 * np.log10(max(float(true_peaks(channel, mastering.RATE).max()) for channel in sound))
        rows.append(
            (
                float(np.median(rolloff)),
                float(np.sqrt(np.mean(side**2) / np.mean(middle**2))),
                loudness(sound, mastering.RATE),
                peaks,
            )
        )
    names = ("95 % roll-off, Hz", "side / middle", "LUFS", "true peak, dBTP")
    return {
        name: [round(min(v), 3), round(float(np.mean(v)), 3), round(max(v), 3)]
        for name, v in zip(names, zip(*rows, strict=True), strict=True)
    }


def speed(model: PNDiffusion) -> dict[str, Any]:
    """Real-time factor from features to finished sound, and growth of memory, by length."""
    result: dict[str, Any] = {}
    for seconds in (10.0, 60.0, 300.0):
        features = repeated(_dances()[0], seconds)
        began = time.perf_counter()
        (score,) = model.compose_from_features([features], [0])
        composed = time.perf_counter()
        mix = mix_of(render(ending(score), 0))
        mix *= mastering.master_gain(mix)
        ended = time.perf_counter()
        result[f"{seconds:g} s"] = {
            "real-time factor": round(seconds / (ended - began), 1),
            "composing, s": round(composed - began, 2),
            "playing and mastering, s": round(ended - composed, 2),
            "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    return result


def _dances() -> list[Any]:
    manifest = paths.outputs_dir() / "corpora/mini/egs/test"
    return [clip.features for clip in read_split(manifest, 16)]


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("part", choices=["follow", "sound"])
    parser.add_argument("models", nargs="+", help="LABEL=SOURCE of follow; SOURCE of sound")
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/test")
    parser.add_argument("--clips", type=int, help="the first so many only")
    parser.add_argument("--params", default="{}", help="generation parameters of the first model, JSON")
    parser.add_argument("--null", action="store_true", help="rows with the reversed and with another dance")
    parser.add_argument("--pieces", type=int, default=140, help="for the recognition of styles")
    parser.add_argument("-o", "--output", type=Path, help="JSON file")
    args = parser.parse_args(argv)
    if args.part == "follow":
        found = follow(args)
        lines = [
            [row, *(f"{m:.2f} [{low:.2f}, {high:.2f}]" for m, low, high in values.values())]
            for row, values in found["rows"].items()
        ]
        lines += [
            [f"− {row}", *(f"{m:+.3f} [{low:+.3f}, {high:+.3f}]" for m, low, high in values.values())]
            for row, values in found["first_minus"].items()
        ]
        print(table([f"{found['clips']} clips", *_SCORES.values()], lines))
    else:
        model = PNDiffusion.get_pretrained(args.models[0])
        found = {}
        for part in (speed, files, keys, lambda model: styles(model, args.pieces)):
            found |= part(model)
            print(json.dumps(found, indent=1), flush=True)
    found["command"] = " ".join(["python benchmarks/band.py", *(sys.argv[1:] if argv is None else argv)])
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(found, indent=1, default=float) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
