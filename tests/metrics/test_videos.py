"""From a real mp4 to kinematic beats and alignment, through decoding and pose estimation."""

from __future__ import annotations

import shutil
from pathlib import Path

import soundfile

from pn_diffusion_plugin.data.corpora.synthetic.files import write_clip_video
from pn_diffusion_plugin.data.corpora.synthetic.mini import MiniSpec
from pn_diffusion_plugin.data.video.sound import read_audio
from pn_diffusion_plugin.metrics.beats import beat_f_measure
from pn_diffusion_plugin.metrics.dance import dance_music_alignment
from pn_diffusion_plugin.metrics.folders import read_clips, read_systems
from pn_diffusion_plugin.metrics.scoring import score_systems


def test_beats_of_a_dance_are_seen_in_its_video(tmp_path: Path) -> None:
    video = write_clip_video(MiniSpec(seconds=4.0).plan("valid", 0), tmp_path / "videos")
    music = tmp_path / "music"
    music.mkdir()
    soundfile.write(music / f"{video.stem}.wav", read_audio(video, 22050), 22050, subtype="PCM_16")
    shutil.copy(video.with_suffix(".json"), music)

    (clip,) = read_clips(music, {"model": music}, videos=video.parent)
    assert beat_f_measure(clip.beats, clip.kinematic_beats) > 0.7

    assert min(dance_music_alignment(clip.kinematic_beats, clip.beats)) > 0.5  # chance: about 0.2
    scores = score_systems([clip], read_systems([clip], {"model": music}))
    assert scores["model"]["onset_f50"] == 1  # its own music
