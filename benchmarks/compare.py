"""Several trained models on the same clips with the same seeds, in one table between null and ceiling rows.

    python benchmarks/compare.py aligned=SIG pooled=SIG -o outputs/compare/aligned_pooled
    python benchmarks/compare.py mini=mini --follow -o outputs/bundle/embedded

The first model is the row `model`; experiments of solver=dance_musicgen may be among the others. Default clips: the
test split of the embedded corpus. `--follow` adds rows that show whether the first model follows its dancer, all scored
against the clip's own dance and music:

- reversed: conditioned on the video played backward;
- other_dance: conditioned on another clip's dance, of another song where there is one;
- no_guidance: guidance 1;
- negative: guided away from the reversed dance (w = 0.5). If the model was trained without a negative stream, where
  `generate` refuses this, its positive branch stands in for the negative one.

A model that ignored its dancer would score alike in `model`, `reversed` and `other_dance`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import command_line
from pn_diffusion_plugin import paths
from pn_diffusion_plugin.data.features.feature_file import Features
from pn_diffusion_plugin.metrics.corpus import evaluate_corpus, long_enough, read_split
from pn_diffusion_plugin.metrics.nulls import shuffle_clips
from pn_diffusion_plugin.metrics.report import render_markdown
from pn_diffusion_plugin.models.pn_diffusion import PNDiffusion
from pn_diffusion_plugin.models.pretrained import get_pretrained


class Variant:
    """A model with other dances or other generation parameters than those it is called with."""

    def __init__(
        self,
        model: PNDiffusion,
        dances: Callable[[Sequence[Features]], list[Features]] = list,
        **params: float,
    ) -> None:
        self.model, self.dances, self.params = model, dances, params
        self.sequence, self.sample_rate = model.sequence, model.sample_rate
        self.reconstruct = model.reconstruct

    def generate_from_features(
        self, features: Sequence[Features], *args: Any, **kwargs: Any
    ) -> list[torch.Tensor]:
        """As `PNDiffusion.generate_from_features`."""
        before = self.model.params
        # `set_generation_params` would refuse guidance that the model was not trained for.
        self.model.params = replace(before, **self.params)  # type: ignore[arg-type]
        try:
            return self.model.generate_from_features(self.dances(features), *args, **kwargs)
        finally:
            self.model.params = before


def variants(model: PNDiffusion, songs: Sequence[str | None], seed: int) -> dict[str, Variant]:
    """The rows of `--follow`."""
    order = shuffle_clips(songs, seed)
    return {
        "reversed": Variant(model, lambda features: [one.reversed() for one in features]),
        "other_dance": Variant(model, lambda features: [features[other] for other in order]),
        "no_guidance": Variant(model, guidance=1.0),
        "negative": Variant(model, negative_guidance=0.5),
    }


def main() -> None:
    """Command line."""
    parser = command_line(__doc__)
    parser.add_argument("models", nargs="+", help="LABEL=SIG, LABEL=FOLDER or LABEL=NAME")
    parser.add_argument("--manifest", type=Path, default=paths.outputs_dir() / "corpora/mini/egs/test")
    parser.add_argument("--clips", type=int, help="the first so many only")
    parser.add_argument("--seed", type=int, default=0, help="of generation")
    parser.add_argument("--follow", action="store_true", help="add rows with other dances and guidance")
    parser.add_argument(
        "--training",
        type=Path,
        action="append",
        help="manifest of training clips (default: the corpus's own)",
    )
    parser.add_argument("--vocoder", default="auto", help="of the first model: auto | vocos | griffin_lim")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of report.json and audio")
    args = parser.parse_args()
    models: dict[str, Any] = {
        label: get_pretrained(source) for label, source in (model.split("=", 1) for model in args.models)
    }
    (label, first), *others = models.items()
    if args.vocoder != "auto":
        first.set_generation_params(vocoder=args.vocoder)
    longest = max(model.sequence.seconds for model in models.values())
    clips = long_enough(read_split(args.manifest, args.clips), longest)
    rows = variants(first, [clip.info.song for clip in clips], args.seed) if args.follow else {}
    report = evaluate_corpus(
        first,
        args.manifest,
        args.output,
        seed=args.seed,
        clips=clips,
        label=label,
        others={**rows, **dict(others)},
        training=args.training,
        command=shlex.join(["python", "benchmarks/compare.py", *sys.argv[1:]]),
    )
    print(render_markdown(report))


if __name__ == "__main__":
    main()
