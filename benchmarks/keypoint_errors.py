"""How far BlazePose's keypoints lie from the true joints of the generated corpus' dancers.

    python benchmarks/keypoint_errors.py --clips 24 --write

Renders training clips of another seed, watches them, and prints the errors' sizes by joint, how well kinematic beats
of true, found and estimated keypoints meet the music's beats, and how fast the three move. `--write` stores the sizes
for `prepare generated --keypoints` (`corpora/generated/errors.json`). 6 s of one core a clip.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from pn_diffusion_plugin.data.corpora.generated import estimate
from pn_diffusion_plugin.data.corpora.generated.estimate import Errors, body_height
from pn_diffusion_plugin.data.corpora.generated.files import write_clip_video
from pn_diffusion_plugin.data.corpora.generated.plan import GeneratedSpec, clip_pictures, clip_plan
from pn_diffusion_plugin.data.features.pose import POSE_SIDE, PoseExtractor
from pn_diffusion_plugin.data.skeleton import JOINT_NAMES
from pn_diffusion_plugin.data.video.read import read_frames
from pn_diffusion_plugin.metrics.dance import dance_music_alignment, joint_speed, kinematic_beats

SEED = 70  # none of the corpus' own


def main() -> None:
    """Measure, print, perhaps store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--write", action="store_true", help="store the sizes in errors.json")
    arguments = parser.parse_args()

    spec, pose = GeneratedSpec(train=arguments.clips, seed=SEED), PoseExtractor()
    clips, beats = [], []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(arguments.clips):
            plan = clip_plan(spec, "train", index)
            video = write_clip_video(spec, plan, Path(folder))
            found, detected = pose.extract(read_frames(video, spec.fps, size=POSE_SIDE), spec.fps)
            scene = clip_pictures(spec, plan)
            height, width = scene.picture_size
            clips.append((scene.keypoints[detected], found[detected], width / height))
            beats.append(plan.score.beats())
            print(f"{plan.id}: nobody found in {1 - detected.mean():.1%} of the frames", flush=True)
    errors = Errors.fit(clips)
    print(f"shared {errors.shared}; 1/1000 body heights: offset, pose, jitter, reach; then 1 - visibility")
    for i, name in enumerate(JOINT_NAMES):
        sizes = [1000 * part[i] for part in (errors.offset, errors.pose, errors.jitter, errors.reach)]
        print(f"{name:18}" + "".join(f"{size:8.1f}" for size in sizes) + f"{errors.unseen[i]:10.4f}")
    rows: dict[str, list[tuple[float, ...]]] = {"true": [], "found": [], "estimated": []}
    for number, ((true, found, aspect), music) in enumerate(zip(clips, beats, strict=True)):
        visible = np.concatenate([true[..., :2], np.ones_like(true[..., :1])], axis=-1)
        made = errors.apply(true, aspect, np.random.default_rng(number))
        for name, points in (("true", visible), ("found", found), ("estimated", made)):
            dance = kinematic_beats(points, spec.fps, aspect=aspect)
            speed = joint_speed(points, spec.fps, aspect=aspect) / body_height(true, aspect)
            rows[name].append((*dance_music_alignment(dance, music), *np.percentile(speed, (10, 50, 90))))
    print("keypoints: dance → music, music → dance; joint speed, body heights a second, 10, 50, 90 %")
    for name, values in rows.items():
        print(f"{name:10}" + "".join(f"{value:8.3f}" for value in np.nanmean(values, axis=0)))
    if arguments.write:
        errors.save(Path(estimate.__file__).with_name("errors.json"))


if __name__ == "__main__":
    main()
