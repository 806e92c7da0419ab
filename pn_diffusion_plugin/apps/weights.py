"""Train the bundled model `mini` from scratch: corpora, autoencoder, model, vocoder. `make weights` runs this."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .. import paths
from ..data.corpora.synthetic.prepare import prepare_generated, prepare_mini
from ..train import ensure_experiment
from .export import CardText, export_model

MODEL = ["solver=pn_diffusion/bundled", "dset=dance/bundled"]
VOCODER = ["solver=vocoder", "dset=dance/bundled"]
REFINEMENT = 16  # Griffin-Lim iterations after the vocoder: docs/findings.md
LIMITS = """- Its dancers were drawn, its music made by code. On filmed dances it does worse: see the table of captured
  dances above, and docs/limitations.md.
- Mono, 22 050 Hz, no voices."""


def train_bundled(out: Path, *, jobs: int = 1, hardware: str | None = None, reports: list[Path]) -> Path:
    """Prepare missing corpora, train missing experiments and export the model.

    Args:
        out: folder of the exported model.
        jobs: processes for the extraction of features.
        hardware: name of the hardware, for the model card.
        reports: evaluations for the model card.
    """
    corpora = paths.outputs_dir() / "corpora"
    prepare_mini(corpora / "mini", jobs=jobs)
    prepare_generated(corpora / "generated", keypoints=True, jobs=jobs)
    return export_model(
        ensure_experiment(MODEL),
        out,
        vocoder=ensure_experiment(VOCODER),
        refinement=REFINEMENT,
        reports=reports,
        card=CardText(license="mit", limits=LIMITS, hardware=hardware),
    )


def main() -> None:
    """`python -m pn_diffusion_plugin.apps.weights`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=paths.outputs_dir() / "bundle" / "mini")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes for extraction")
    parser.add_argument("--hardware", help="name of the hardware, for the model card")
    parser.add_argument(
        "--report", type=Path, action="append", default=[], help="report.json for the model card"
    )
    args = parser.parse_args()
    print(train_bundled(args.output, jobs=args.jobs, hardware=args.hardware, reports=args.report))


if __name__ == "__main__":
    main()
