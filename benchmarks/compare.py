"""Several trained models on the same clips with the same seeds, in one table between null and ceiling rows.

    python benchmarks/compare.py aligned=SIG pooled=SIG -o outputs/compare/aligned_pooled

The first is the row `model`; experiments of solver=dance_musicgen may stand among them. Default clips: the test split
of the embedded corpus.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from pn_diffusion_plugin import paths
from pn_diffusion_plugin.metrics.corpus import evaluate_corpus
from pn_diffusion_plugin.metrics.report import render_markdown
from pn_diffusion_plugin.models.pretrained import get_pretrained


def main() -> None:
    """Load, generate, score."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="LABEL=SIG or LABEL=FOLDER")
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/test")
    parser.add_argument("--seed", type=int, default=0, help="of generation")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="folder of report.json and the waves"
    )
    args = parser.parse_args()
    named = dict(model.split("=", 1) for model in args.models)
    models = {label: get_pretrained(source) for label, source in named.items()}
    (label, first), *others = models.items()
    report = evaluate_corpus(
        first,
        args.manifest,
        args.output,
        seed=args.seed,
        label=label,
        others=dict(others),
        command=shlex.join(["python", "benchmarks/compare.py", *sys.argv[1:]]),
    )
    print(render_markdown(report))


if __name__ == "__main__":
    main()
