"""From mel spectrograms to audio: a trained vocoder against Griffin-Lim, or variants of Griffin-Lim.

    python benchmarks/vocoder.py SIG_OR_FOLDER -o outputs/vocoder/bench
    python benchmarks/vocoder.py SIG_OR_FOLDER --videos FOLDER --clips 24 -o outputs/vocoder/real
    python benchmarks/vocoder.py SIG_OR_FOLDER --model mini -o outputs/vocoder/autoencoded
    python benchmarks/vocoder.py griffin_lim --clips 16 -o outputs/vocoder/griffin_lim

Whole clips of unseen music (default: the test split of the embedded corpus) are converted to mel spectrograms and back
with every method, in turns, on one core. With `--model` the spectrograms pass through that model's autoencoder first,
as they do when music is generated. Writes `report.json` and prints a table with 95 % intervals over clips:

- mel L1: mean difference between the mel spectrograms of result and original ([-1, 1] is 80 dB);
- convergence: ‖|S| − g |S'|‖ / ‖|S|‖ of the magnitude spectrograms at the best gain g (n_fft 1024, hop 256);
- onset F: the original's onsets found again within ±25 ms;
- Fréchet: distance between the two sets of clips in musicnn's embedding, corrected for their number;
- times real time: seconds of audio made in a second of processor time, median over clips.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import soundfile
import torch
import torchaudio

from benchmarks.common import command_line, table
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
from pn_diffusion_plugin.models.vocoders.griffin_lim import GriffinLim
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


Method = Callable[[torch.Tensor, int], torch.Tensor]  # mel (1, 1, F, L), samples → audio (1, 1, samples)


def trained_methods(
    trained: TrainedVocoder, mel: MelSpectrogram, refinements: list[int]
) -> dict[str, Method]:
    """Griffin-Lim, and the network followed by so many iterations of it."""
    methods: dict[str, Method] = {"Griffin-Lim, 32 iterations": GriffinLim(mel)}
    config = {"sample_rate": mel.sample_rate, "mel": trained.config["mel"]}
    for count in refinements:
        name = "vocos" if count == 0 else f"vocos and {count} iterations of Griffin-Lim"
        methods[name] = replace(trained, refinement=count).build(config, mel)
    return methods


def griffin_lim_methods(mel: MelSpectrogram) -> dict[str, Method]:
    """librosa's inversion, guesses of the powers followed by torchaudio's Griffin-Lim, and ours."""
    inverse = torch.linalg.pinv(mel.filters)

    def powers(picture: torch.Tensor) -> torch.Tensor:
        power = (mel.to_power(picture[0, 0]) - 10 ** (-mel.dynamic_range_db / 10)).clamp(min=0)
        return power / power.amax().clamp(min=1e-12)

    def nnls(scale: float) -> Method:
        def invert(picture: torch.Tensor, samples: int) -> torch.Tensor:
            power = librosa.util.nnls(mel.filters.numpy(), scale * powers(picture).numpy())
            wav = librosa.griffinlim(
                np.sqrt(power), n_iter=32, hop_length=mel.hop_length, random_state=0, length=samples
            )
            return torch.from_numpy(wav)[None, None]

        return invert

    def two_steps(guess: Callable[[torch.Tensor], torch.Tensor]) -> Method:
        def invert(picture: torch.Tensor, samples: int) -> torch.Tensor:
            torch.manual_seed(0)
            magnitude, n_fft = guess(powers(picture)).sqrt()[None], mel.n_fft
            return torchaudio.functional.griffinlim(
                magnitude, mel.window, n_fft, mel.hop_length, n_fft, 1.0, 32, 0.99, samples, True
            )[None]

        return invert

    updates = GriffinLim(mel, inversion_steps=30)
    methods: dict[str, Method] = {
        "librosa: NNLS, Griffin-Lim": nnls(1.0),
        "librosa: NNLS of scaled powers, Griffin-Lim": nnls(1e4),
        "pseudo-inverse, fast Griffin-Lim": two_steps(lambda power: (inverse @ power).clamp(min=0)),
        "30 updates, fast Griffin-Lim": two_steps(lambda power: updates.invert(power[None])[0]),
    }
    for iterations in (8, 16, 32, 64):
        methods[f"ours, {iterations} iterations"] = GriffinLim(mel, iterations=iterations)
    return {**methods, "ours, no momentum": GriffinLim(mel, momentum=0.0)}


def sounds_of(manifest: Path, videos: Path | None, rate: int) -> list[np.ndarray]:
    """Music (N,) of the clips of a prepared split, or of the videos in a folder."""
    if videos is not None:
        return [read_audio(file, rate) for file in sorted(videos.glob("*.mp4"))]
    waves = (soundfile.read(line["path"], dtype="float32") for line in load_manifest(manifest))
    return [resample(wav, own, rate) for wav, own in waves]


def autoencoder(name: str, mel: MelSpectrogram) -> MelVAE:
    """The autoencoder of a model with the same front end."""
    weights = load_vae_weights(name)
    if builders.build_mel(weights.config).config() != mel.config():
        raise SystemExit(
            f"{name} has another mel front end than the vocoder was trained for: give another --model"
        )
    vae = builders.build_vae(weights.config)
    load_into(vae, weights.vae, name)
    return vae.eval()


@torch.no_grad()
def measure(
    methods: dict[str, Method], mel: MelSpectrogram, sounds: list[np.ndarray], vae: MelVAE | None
) -> dict[str, dict[str, Any]]:
    """Values of every clip by method, and the Fréchet distance of each method."""
    embed = Embedder()
    found: dict[str, dict[str, list[float]]] = {
        name: {key: [] for key in HEADINGS if key != "frechet_musicnn"} for name in methods
    }
    embedded: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    originals = []
    for wav in sounds:
        wanted = picture = mel(torch.from_numpy(wav)[None, None])
        if vae is not None:
            missing = -picture.shape[-1] % vae.factor
            whole = torch.nn.functional.pad(picture, (0, missing), value=-1.0)
            picture = vae.decode(vae.encode(whole, sample=False))[..., : picture.shape[-1]]
        originals.append(embed(wav, mel.sample_rate))
        for name, method in methods.items():
            begun = time.process_time()
            again = method(picture, len(wav))
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
    """A value of the table with its interval."""
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
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("vocoder", help="experiment of solver=vocoder, exported model, or griffin_lim")
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/test")
    parser.add_argument("--videos", type=Path, help="folder of videos instead of a manifest")
    parser.add_argument("--clips", type=int, help="the first so many")
    parser.add_argument("--model", help="pass the spectrograms through this model's autoencoder")
    parser.add_argument("--refinements", type=int, nargs="+", help="default: 0, and the vocoder's own")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of report.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.vocoder == "griffin_lim":
        mel = MelSpectrogram()
        methods = griffin_lim_methods(mel)
    else:
        trained = load_vocoder(args.vocoder)
        mel = builders.build_mel(trained.config)
        methods = trained_methods(trained, mel, args.refinements or sorted({0, trained.refinement}))
    sounds = sounds_of(args.manifest, args.videos, mel.sample_rate)[: args.clips]
    vae = None if args.model is None else autoencoder(args.model, mel)
    found = measure(methods, mel, sounds, vae)
    cells = [[name, *(cell(key, row[key]) for key in HEADINGS)] for name, row in found.items()]
    print(table(["method", *HEADINGS.values()], cells))
    about = {"clips": len(sounds), "of": str(args.videos or args.manifest), "model": args.model}
    write_json(args.output / "report.json", {**about, "vocoder": args.vocoder, "rows": found})


if __name__ == "__main__":
    main()
