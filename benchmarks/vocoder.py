"""A trained vocoder against Griffin-Lim: nearness to the original, the music's quality, and time.

    python benchmarks/vocoder.py SIG_OR_FOLDER -o outputs/vocoder/bench
    python benchmarks/vocoder.py SIG_OR_FOLDER --videos FOLDER --clips 24 -o outputs/vocoder/real
    python benchmarks/vocoder.py SIG_OR_FOLDER --model mini -o outputs/vocoder/autoencoded

Of unseen music (by default the test split of the embedded corpus), whole clips: each is turned into a mel picture and
back by every way, in turns, on one core. With `--model` the pictures go through that model's autoencoder first, which
is what a vocoder has to live with when music is made. Writes `report.json`, prints a table with 95 % intervals over
clips:

- mel L1: mean difference of the pictures of result and original, in units of the picture ([-1, 1] is 80 dB);
- convergence: ‖|S| − g |S'|‖ / ‖|S|‖ of the magnitude spectrograms at the best gain g (n_fft 1024, hop 256);
- onset F: the original's onsets found again within ±25 ms;
- Fréchet: distance of the two sets of clips in musicnn's embedding, corrected for their number;
- times real time: seconds of sound made in a second of processor time, median over clips.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.manifest import load_manifest
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.metrics.beats import resample
from pn_diffusion_plugin.metrics.embedding import Embedder
from pn_diffusion_plugin.metrics.frechet import frechet_clips
from pn_diffusion_plugin.metrics.resynthesis import onset_f, spectral_convergence
from pn_diffusion_plugin.metrics.statistics import bootstrap
from pn_diffusion_plugin.models import builders
from pn_diffusion_plugin.models.io.checkpoint import load_into, load_vae_weights
from pn_diffusion_plugin.models.mel_vae import MelVAE
from pn_diffusion_plugin.models.vocoders.griffin_lim import GriffinLim, Vocoder
from pn_diffusion_plugin.models.vocoders.trained import TrainedVocoder, load_vocoder
from pn_diffusion_plugin.modules.mel import MelSpectrogram
from pn_diffusion_plugin.utils.files import write_json

HEADINGS = {
    "mel_l1": "mel L1 ↓",
    "convergence": "convergence ↓",
    "onset_f25": "onset F ±25 ms ↑",
    "frechet_musicnn": "Fréchet (musicnn) ↓",
    "times_real_time": "times real time ↑",
}


def ways(trained: TrainedVocoder, mel: MelSpectrogram, refinements: list[int]) -> dict[str, Vocoder]:
    """Griffin-Lim, and the network with so many iterations of it afterwards."""
    made: dict[str, Vocoder] = {"Griffin-Lim, 32 iterations": GriffinLim(mel)}
    config = {"sample_rate": mel.sample_rate, "mel": trained.config["mel"]}
    for count in refinements:
        name = "vocos" if count == 0 else f"vocos and {count} iterations of Griffin-Lim"
        made[name] = replace(trained, refinement=count).build(config, mel)
    return made


def manifest_sounds(manifest: Path, rate: int) -> list[np.ndarray]:
    """Music of a prepared split's clips, each (N,)."""
    sounds = []
    for line in load_manifest(manifest):
        wav, own = soundfile.read(line["path"], dtype="float32")
        sounds.append(resample(wav, own, rate))
    return sounds


def video_sounds(folder: Path, rate: int) -> list[np.ndarray]:
    """Sound tracks of a folder's videos, each (N,)."""
    return [read_audio(file, rate) for file in sorted(folder.glob("*.mp4"))]


def autoencoder(name: str, mel: MelSpectrogram) -> MelVAE:
    """The autoencoder of a model with the same front end."""
    weights = load_vae_weights(name)
    if builders.build_mel(weights.config).config() != mel.config():
        raise SystemExit(
            f"{name} makes other mel pictures than the vocoder was trained for: name another --model"
        )
    vae = builders.build_vae(weights.config)
    load_into(vae, weights.vae, name)
    return vae.eval()


@torch.no_grad()
def measure(
    rows: dict[str, Vocoder], mel: MelSpectrogram, sounds: list[np.ndarray], vae: MelVAE | None
) -> dict[str, dict[str, Any]]:
    """Numbers of every clip by way, and the Fréchet distance of each way."""
    embed = Embedder()
    found: dict[str, dict[str, list[float]]] = {
        name: {key: [] for key in HEADINGS if key != "frechet_musicnn"} for name in rows
    }
    embedded: dict[str, list[np.ndarray]] = {name: [] for name in rows}
    originals = []
    for wav in sounds:
        wanted = picture = mel(torch.from_numpy(wav)[None, None])
        if vae is not None:
            missing = -picture.shape[-1] % vae.factor
            whole = torch.nn.functional.pad(picture, (0, missing), value=-1.0)
            picture = vae.decode(vae.encode(whole, sample=False))[..., : picture.shape[-1]]
        originals.append(embed(wav, mel.sample_rate))
        for name, way in rows.items():
            begun = time.process_time()
            again = way(picture, len(wav))
            spent = time.process_time() - begun
            made = again[0, 0].numpy()
            row = found[name]
            row["mel_l1"].append(float((mel(again) - wanted).abs().mean()))
            row["convergence"].append(spectral_convergence(wav, made))
            row["onset_f25"].append(onset_f(wav, made, mel.sample_rate))
            row["times_real_time"].append(len(wav) / mel.sample_rate / spent)
            embedded[name].append(embed(made, mel.sample_rate))
    return {
        name: {**row, "frechet_musicnn": frechet_clips(embedded[name], originals)}
        for name, row in found.items()
    }


def cell(key: str, value: Any) -> str:
    """A number of the table with its interval."""
    if key == "times_real_time":
        return f"{np.median(value):.0f}"
    if key == "frechet_musicnn":
        interval: Callable[[str], float | None] = value.get
        if interval("mean") is None:
            return str(value["not_run"])
        return f"{value['mean']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"
    over_clips = bootstrap(value)
    assert over_clips is not None
    return f"{over_clips.mean:.3f} [{over_clips.low:.3f}, {over_clips.high:.3f}]"


def main() -> None:
    """Measure, write, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "vocoder", help="signature or folder of a solver=vocoder experiment, or an exported model"
    )
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/test")
    parser.add_argument("--videos", type=Path, help="folder of videos instead of a manifest")
    parser.add_argument("--clips", type=int, help="the first so many")
    parser.add_argument("--model", help="take the pictures through this model's autoencoder")
    parser.add_argument("--refinements", type=int, nargs="+", help="default: none, and the vocoder's own")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of report.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    trained = load_vocoder(args.vocoder)
    mel = builders.build_mel(trained.config)
    if args.videos is None:
        sounds = manifest_sounds(args.manifest, mel.sample_rate)[: args.clips]
    else:
        sounds = video_sounds(args.videos, mel.sample_rate)[: args.clips]
    refinements = args.refinements or sorted({0, trained.refinement})
    vae = None if args.model is None else autoencoder(args.model, mel)
    found = measure(ways(trained, mel, refinements), mel, sounds, vae)
    print(
        "| way back | " + " | ".join(HEADINGS.values()) + " |", "|---" * (len(HEADINGS) + 1) + "|", sep="\n"
    )
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(cell(key, row[key]) for key in HEADINGS) + " |")
    about = {"clips": len(sounds), "of": str(args.videos or args.manifest), "model": args.model}
    write_json(args.output / "report.json", {**about, "vocoder": args.vocoder, "rows": found})


if __name__ == "__main__":
    main()
