"""Ways from a mel picture back to sound: how near the picture, the spectrum and the onsets come, and what it costs.

    python benchmarks/mel_inversion.py -o outputs/mel_inversion

The pictures are those of real sound files (by default the music of the embedded corpus' validation split), so that
nothing but the way back is measured. Each contender turns every picture into sound, one clip after the other and the
contenders in turn, on one core. Writes `report.json`, prints a table:

- mel L1: mean difference of the pictures of result and original, in units of the picture ([-1, 1] is 80 dB);
- convergence: ‖|S| − g |S'|‖ / ‖|S|‖ of the magnitude spectrograms at the best gain g (n_fft 1024, hop 256);
- onset F: the original's onsets found again within ±25 ms (and ±50 ms);
- ms/s: milliseconds of processor time for a second of sound, median over clips.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
import torchaudio

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.manifest import load_manifest
from pn_diffusion_plugin.metrics.resynthesis import onset_f, spectral_convergence
from pn_diffusion_plugin.metrics.statistics import bootstrap
from pn_diffusion_plugin.models.vocoders.griffin_lim import GriffinLim
from pn_diffusion_plugin.modules.mel import MelSpectrogram
from pn_diffusion_plugin.utils.files import write_json

Inversion = Callable[[torch.Tensor, int], np.ndarray]  # mel (1, 1, F, L), samples → wave (samples,)
ITERATIONS = 32


def powers(mel: MelSpectrogram, picture: torch.Tensor) -> torch.Tensor:
    """Mel powers (F, L) in shares of the loudest one, as the vocoder takes them."""
    power = (mel.to_power(picture[0, 0]) - 10 ** (-mel.dynamic_range_db / 10)).clamp(min=0)
    return power / power.amax().clamp(min=1e-12)


def nnls(mel: MelSpectrogram, scale: float) -> Inversion:
    """librosa's non-negative least squares and its Griffin-Lim; `scale` of the powers it is given."""

    def invert(picture: torch.Tensor, samples: int) -> np.ndarray:
        power = librosa.util.nnls(mel.filters.numpy(), scale * powers(mel, picture).numpy())
        return librosa.griffinlim(
            np.sqrt(power), n_iter=ITERATIONS, hop_length=mel.hop_length, random_state=0, length=samples
        )

    return invert


def two_steps(
    mel: MelSpectrogram, first: Callable[[torch.Tensor], torch.Tensor], momentum: float
) -> Inversion:
    """A guess of the powers (F, L) → (K, L) that is kept, then torchaudio's fast Griffin-Lim."""

    def invert(picture: torch.Tensor, samples: int) -> np.ndarray:
        torch.manual_seed(0)
        magnitude = first(powers(mel, picture)).sqrt()
        wav = torchaudio.functional.griffinlim(
            magnitude[None],
            mel.window,
            mel.n_fft,
            mel.hop_length,
            mel.n_fft,
            1.0,
            ITERATIONS,
            momentum,
            samples,
            True,
        )
        return wav[0].numpy()

    return invert


def updates(mel: MelSpectrogram, n: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """A guess of the powers (F, L) → (K, L) by so many multiplicative updates."""
    invert = GriffinLim(mel, inversion_steps=n).invert
    return lambda power: invert(power[None])[0]


def ours(mel: MelSpectrogram, **options: float) -> Inversion:
    """The vocoder of this project."""
    vocoder = GriffinLim(mel, **options)  # type: ignore[arg-type]
    return lambda picture, samples: vocoder(picture, samples)[0, 0].numpy()


def contenders(mel: MelSpectrogram) -> dict[str, Inversion]:
    """All ways, by name."""
    inverse = torch.linalg.pinv(mel.filters)
    rows: dict[str, Inversion] = {
        "librosa: NNLS, Griffin-Lim": nnls(mel, 1.0),
        "librosa: NNLS of scaled powers, Griffin-Lim": nnls(mel, 1e4),
        "pseudo-inverse, fast Griffin-Lim": two_steps(mel, lambda p: (inverse @ p).clamp(min=0), 0.99),
    }
    for n in (10, 30, 50):
        rows[f"{n} updates, fast Griffin-Lim"] = two_steps(mel, updates(mel, n), 0.99)
    rows["30 updates, plain Griffin-Lim"] = two_steps(mel, updates(mel, 30), 0.0)
    for iterations in (8, 16, 24, 32, 64):
        rows[f"ours, {iterations} iterations"] = ours(mel, iterations=iterations)
    for steps in (3, 30):
        rows[f"ours, {steps} updates at first"] = ours(mel, inversion_steps=steps)
    rows["ours, no momentum"] = ours(mel, momentum=0.0)
    return rows


def measure(mel: MelSpectrogram, wavs: list[np.ndarray], only: str) -> dict[str, dict[str, list[float]]]:
    """Numbers of every clip by contender."""
    rows = {name: way for name, way in contenders(mel).items() if only in name}
    found: dict[str, dict[str, list[float]]] = {
        name: {key: [] for key in ("mel_l1", "convergence", "onset_f25", "onset_f50", "ms_per_second")}
        for name in rows
    }
    for wav in wavs:
        picture = mel(torch.from_numpy(wav)[None, None])
        for name, way in rows.items():
            start = time.process_time()
            again = way(picture, len(wav))
            spent = time.process_time() - start
            row = found[name]
            row["mel_l1"].append(float((mel(torch.from_numpy(again)[None, None]) - picture).abs().mean()))
            row["convergence"].append(spectral_convergence(wav, again))
            row["onset_f25"].append(onset_f(wav, again, mel.sample_rate))
            row["onset_f50"].append(onset_f(wav, again, mel.sample_rate, 0.05))
            row["ms_per_second"].append(1000 * spent * mel.sample_rate / len(wav))
    return found


def main() -> None:
    """Measure, write, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/valid")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--only", default="", help="contenders whose name holds this")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of report.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    mel = MelSpectrogram()
    wavs = []
    for line in load_manifest(args.manifest)[: args.clips]:
        wav, rate = soundfile.read(line["path"], dtype="float32")
        if rate != mel.sample_rate:
            parser.error(f"{line['path']} has {rate} Hz: prepare the corpus at {mel.sample_rate}")
        wavs.append(wav)
    found = measure(mel, wavs, args.only)
    print("| way back | mel L1 | convergence | onset F ±25 ms | ±50 ms | ms/s |", "|---" * 6 + "|", sep="\n")
    for name, row in found.items():
        f25 = bootstrap(row["onset_f25"])
        assert f25 is not None
        print(
            f"| {name} | {np.mean(row['mel_l1']):.4f} | {np.mean(row['convergence']):.3f} | "
            f"{f25.mean:.3f} [{f25.low:.3f}, {f25.high:.3f}] | {np.mean(row['onset_f50']):.3f} | "
            f"{np.median(row['ms_per_second']):.0f} |"
        )
    write_json(
        args.output / "report.json", {"clips": len(wavs), "manifest": str(args.manifest), "rows": found}
    )


if __name__ == "__main__":
    main()
