"""Train the bundled models from scratch: corpora, autoencoder, models, vocoder. `make weights` runs this."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import paths
from ..data.corpora.synthetic.generated import GeneratedSpec
from ..data.corpora.synthetic.prepare import prepare_generated, prepare_mini
from ..train import ensure_experiment
from .export import CardText, export_model

_LIMITS = """- Its dancers were drawn, its music made by code. On filmed dances it does worse: see the table of captured
  dances above, and docs/limitations.md.
"""


@dataclass(frozen=True)
class Bundled:
    """How a bundled model is made.

    Attributes:
        model: overrides of its experiment.
        dances: training clips of the generated corpus.
        limits: known limitations, for the model card.
        vocoder: overrides of its vocoder's experiment; None: it needs none.
        refinement: Griffin-Lim iterations after the vocoder: docs/findings.md.
        half: its weights are stored as float16.
        data: what it was trained on, for the model card; None: what the card knows of the corpora.
    """

    model: tuple[str, ...]
    dances: int
    limits: str
    vocoder: tuple[str, ...] | None = None
    refinement: int | None = None
    half: bool = False
    data: str | None = None


BUNDLED = {
    "mini": Bundled(
        model=("solver=pn_diffusion/bundled", "dset=dance/bundled"),
        dances=GeneratedSpec.train,
        limits=_LIMITS + "- Mono, 22 050 Hz, no voices.",
        vocoder=("solver=vocoder", "dset=dance/bundled"),
        refinement=16,
    ),
    "band": Bundled(
        model=("solver=pn_diffusion/band", "dset=dance/bundled"),
        dances=129,
        limits=_LIMITS + "- Synthesised instruments, no voices; one tempo and one key a piece.",
        half=True,
        data="the embedded corpus `mini` (200 dances) and the first 129 dances of the generated one, with five scores "
        "each: made by code and free of any licence",
    ),
}


def train_bundled(
    name: str, out: Path, *, jobs: int = 1, hardware: str | None = None, reports: Sequence[Path] = ()
) -> Path:
    """Prepare missing corpora, train missing experiments and export the model.

    Args:
        name: one of `BUNDLED`.
        out: folder of the exported model.
        jobs: processes for the extraction of features.
        hardware: name of the hardware, for the model card.
        reports: evaluations for the model card.
    """
    recipe, corpora = BUNDLED[name], paths.outputs_dir() / "corpora"
    prepare_mini(corpora / "mini", jobs=jobs)
    prepare_generated(corpora / "generated", GeneratedSpec(train=recipe.dances), keypoints=True, jobs=jobs)
    return export_model(
        ensure_experiment(list(recipe.model)),
        out,
        vocoder=None if recipe.vocoder is None else ensure_experiment(list(recipe.vocoder)),
        refinement=recipe.refinement,
        reports=reports,
        card=CardText(license="mit", data=recipe.data, limits=recipe.limits, hardware=hardware),
        half=recipe.half,
    )


def main() -> None:
    """`python -m pn_diffusion_plugin.apps.weights`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=list(BUNDLED), action="append", help="default: all of them")
    parser.add_argument(
        "-o", "--output", type=Path, default=paths.outputs_dir() / "bundle", help="parent folder"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes for extraction")
    parser.add_argument("--hardware", help="name of the hardware, for the model card")
    parser.add_argument(
        "--report", type=Path, action="append", default=[], help="report.json for the model card"
    )
    args = parser.parse_args()
    for name in args.model or BUNDLED:
        folder = args.output / name
        print(train_bundled(name, folder, jobs=args.jobs, hardware=args.hardware, reports=args.report))


if __name__ == "__main__":
    main()
