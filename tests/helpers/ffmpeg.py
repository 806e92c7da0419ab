"""Videos of every kind, made with the ffmpeg executable of imageio-ffmpeg, and what it finds in a file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg

BARS = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=1")
TONE = ("-f", "lavfi", "-i", "sine=sample_rate=22050:duration=1")


def ffmpeg(*arguments: object) -> str:
    """Run ffmpeg; what it says on stderr."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-y", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stderr


def video_lines(path: Path) -> list[str]:
    """What ffmpeg says of the first video stream it would take: its line, and those of its side data."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-i", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, errors="replace").stderr
    streams = re.split(r"(?=  Stream #0:\d+)", said)[1:]
    lines = next(part for part in streams if " Video: " in part).splitlines()
    side = [line.strip() for line in lines[1:] if re.search(r"rotation of|metadata: |Dolby|DOVI", line)]
    return [lines[0].split(" Video: ")[1], *sorted(side)]
