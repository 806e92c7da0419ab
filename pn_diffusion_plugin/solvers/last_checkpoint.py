"""The checkpoint that an experiment goes on from is whole, or nothing is read from it.

audiocraft writes `checkpoint.th.tmp`, puts `checkpoint.th.tmp.done` beside it and renames the first; where it finds
both at the next start, it renames then. But the mark is there before the last bytes are: a full disk or a kill at
that moment would put a torn file in the place of the good one before it.
"""

from __future__ import annotations

from pathlib import Path

import flashy

from ..errors import CheckpointError
from ..models.io.checkpoint import check_whole
from .distributed import wait_for_all


def check_last_checkpoint(file: Path) -> None:
    """Remove a torn `file`.tmp, then look at `file` itself, if there is one.

    Raises:
        CheckpointError: `file` is damaged.
    """
    if flashy.distrib.is_rank_zero():
        temporary, mark = Path(f"{file}.tmp"), Path(f"{file}.tmp.done")
        try:
            if temporary.exists():
                check_whole(temporary)
        except CheckpointError:
            mark.unlink(missing_ok=True)
            temporary.unlink()
    wait_for_all()
    if file.exists():
        check_whole(file)
