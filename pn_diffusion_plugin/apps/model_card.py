"""The model card that `export` writes beside the weights: README.md, as the Hugging Face hub shows it.

Values that the project knows are filled in; the others are marked as gaps for the owner of the data and weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..metrics.report import STRICT, format_metric
from ..models.builders import negative_in_words, uses_scores
from ..utils.files import atomic_path

CARD = "README.md"
GAP = "*(to be filled in by whoever publishes these weights)*"
_DATA = {
    "mini": "the embedded corpus `mini`: generated dances with generated music, made by code and free of any licence",
    "generated": "the generated corpus: 2 000 dances with their music, made by code and free of any licence",
    "generated and mini": "the generated corpus and the embedded one, `mini`: 2 200 dances with their music, made by "
    "code and free of any licence",
    "aistpp": "AIST++ (arXiv 2101.08779), videos of the AIST Dance Video Database: for research only, see its terms",
    "tiktok": "the TikTok dance-music dataset of D2M-GAN: the videos belong to their makers",
}

_TEMPLATE = """---
tags: [audiocraft, dance-to-music, music-generation, latent-diffusion]
pipeline_tag: text-to-audio
library_name: pn-diffusion-plugin
license: {license}
---

# {name}

Music for dance videos: a latent diffusion model conditioned on the dance, trained with
pn_diffusion_plugin after PN-Diffusion (CVPR 2025, arXiv 2503.22138). {kind}

| | |
|---|---|
{facts}

## How to use it

```sh
pn-diffusion generate dance.mp4 -c FOLDER -o dance_with_music.mp4
```

```python
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion

model = PNDiffusion.get_pretrained("FOLDER")
(wav,) = model.generate(["dance.mp4"], seeds=[1])
```

FOLDER is this folder, or OWNER/NAME on the hub. It holds safetensors and YAML, nothing pickled.

## Training data

{data}

Licence of the data: {data_license}

## Training

{training}

## Evaluation

{evaluation}

## Intended use and limits

- For videos of at least {seconds:g} s in which one dancer can be followed; of several, one is chosen.
- It makes music that resembles what it was trained on; how much of that it repeats is measured by the
  distance to the nearest training clip in `report.json`.
- Not meant for: passing the music off as a certain artist's, or using it where the training data's licence does not
  allow it.

{limits}
"""


def write_model_card(
    folder: Path,
    config: Mapping[str, Any],
    parameters: int,
    training: Mapping[str, Any] | None = None,
    reports: Sequence[Mapping[str, Any]] = (),
    *,
    license: str | None = None,
    data: str | None = None,
    limits: str | None = None,
) -> Path:
    """Write README.md beside exported weights.

    Args:
        folder: of the exported model.
        config: of the model (`config.yaml`).
        parameters: number of weights.
        training: see `training_card.training_card`.
        reports: evaluations, see `metrics.report`.
        license: of the weights.
        data: what it was trained on, and under which licence.
        limits: known limitations.
    """
    known = _DATA.get((training or {}).get("data") or "")
    text = _TEMPLATE.format(
        name=folder.resolve().name,
        license=license or "unknown",
        kind=_kind(config),
        facts="\n".join(f"| {name} | {value} |" for name, value in _facts(config, parameters).items()),
        data=data or known or GAP,
        data_license="see above" if data or known else GAP,
        training=_training(training),
        evaluation=_evaluation(reports),
        seconds=config["segment_seconds"],
        limits=limits or GAP,
    )
    with atomic_path(folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / CARD


def _kind(config: Mapping[str, Any]) -> str:
    negative, effect = config["negative"], negative_in_words(config)
    if effect is None:
        return "Trained on the dance played forward alone (no negative stream)."
    return (
        f"Trained with the negative stream: for a dance the network {effect} (`negative.latent={negative['latent']}`, "
        f"α = {negative['alpha']:g})."
    )


def _facts(config: Mapping[str, Any], parameters: int) -> dict[str, str]:
    features, diffusion, sampling = config["features"], config["diffusion"], config["sampling"]
    styles, scores = config["conditioning"].get("styles"), uses_scores(config)
    sound = (
        "notes, played by synthesised instruments: 44 100 Hz, stereo"
        if scores
        else f"{config['sample_rate']} Hz, mono"
    )
    return {
        "parameters": f"{parameters / 1e6:.1f} M" + ("" if scores else ", autoencoder and vocoder included"),
        "sound": sound,
        "window": f"{config['segment_seconds']:g} s; longer videos in overlapping windows",
        "condition": f"`{config['conditioning']['temporal']}`: BlazePose at {features['pose_fps']:g} Hz, "
        f"`{features['visual_encoder']}`" + (f"; style: {', '.join(styles)}" if styles else ""),
        "diffusion": f"{diffusion['prediction']}-prediction, {diffusion['beta_schedule']} schedule",
        **({} if scores else {"vocoder": _vocoder(config["vocoder"])}),
        "sampling": f"{sampling['sampler']}, {sampling['steps']} steps, guidance {sampling['guidance']:g}",
    }


def _vocoder(vocoder: Mapping[str, Any]) -> str:
    if vocoder["name"] == "griffin_lim":
        return f"Griffin-Lim, {vocoder.get('iterations', 32)} iterations"
    refinement = vocoder.get("refinement", 0)
    return "Vocos" + (f", then {refinement} iterations of Griffin-Lim" if refinement else "")


def _training(card: Mapping[str, Any] | None) -> str:
    if card is None:
        return GAP
    lines = _trained(card)
    for name, part in card.get("parts", {}).items():
        lines += ["", f"### Its {name}", "", *_trained(part)]
    return "\n".join([*lines, "", "The whole configuration is in `config.yaml`."])


def _trained(card: Mapping[str, Any]) -> list[str]:
    """Command, time, last losses and the curve of one training."""
    seed = f", seed {card['seed']}" if "seed" in card else ""
    lines = [
        f"`{card['command']}`" + (f" (signature `{card['sig']}`)" if card.get("sig") else ""),
        "",
        f"{card['updates']} updates in {card['minutes']:g} minutes on {card['hardware']}{seed}.",
    ]
    if losses := card.get("losses"):
        text = ", ".join(f"{name} {value:.3g}" for name, value in losses.items())
        lines += ["", f"In the last epoch: {text}."]
    if curve := card.get("curve"):
        lines += ["", "| updates | " + " | ".join(str(point["updates"]) for point in curve) + " |"]
        lines += ["|---|" + "---|" * len(curve)]
        for stage in ("train", "valid"):
            cells = (f"{point[stage]:.3g}" if stage in point else "–" for point in curve)
            lines += [f"| {stage} loss | " + " | ".join(cells) + " |"]
    return lines


def _evaluation(reports: Sequence[Mapping[str, Any]]) -> str:
    if not reports:
        return f"{GAP} `pn-diffusion evaluate` makes the table."
    lines = [
        "Mean [95 % bootstrap interval]; a model's row means something only between `shuffled` and `ceiling`."
    ]
    for report in reports:
        lines += [
            "",
            f"{report['clips']} clips of {report['split']}, leak check: {report['leak_check']}:",
            "",
            "| | " + " | ".join(STRICT.values()) + " |",
            "|---|" + "---|" * len(STRICT),
        ]
        for row in report["rows"]:
            cells = " | ".join(format_metric(row["metrics"].get(name)) for name in STRICT)
            lines.append(f"| {row['name']} | {cells} |")
    return "\n".join(lines)
