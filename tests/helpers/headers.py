"""Headers of feature files that tests make themselves."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pn_diffusion_plugin.data.features.feature_file import FeatureHeader, FeatureSpec


def make_header(seconds: float, spec: FeatureSpec | None = None, **changes: Any) -> FeatureHeader:
    """A header of features as `spec` wants them (None: the defaults), of no real video."""
    values = {
        **asdict(spec or FeatureSpec()),
        "seconds": seconds,
        "pose_extractor": "none",
        "pose_weights_sha256": "0" * 64,
        "visual_dim": 1024,
        "visual_weights_sha256": "0" * 64,
        "video_sha256": "0" * 64,
        "detected_share": 1.0,
    }
    return FeatureHeader(**values | changes)
