from __future__ import annotations

import pytest

from pn_diffusion_plugin.errors import CheckpointError
from pn_diffusion_plugin.solvers.prerequisites import ensure_experiment


def test_a_configuration_that_cannot_be_composed_is_told_in_a_sentence() -> None:
    with pytest.raises(CheckpointError, match="solver=nothing cannot be composed: .*nothing") as caught:
        ensure_experiment(["solver=nothing"])
    assert "\n" not in str(caught.value)
