"""Synthetic dances with synthetic music: any number of clips, each a function of (seed, split, index).

    plan.py ─ timing.py ─┬→ choreography.py (moves, curves, body) → scene.py (camera, look, render) → frames
              (genres)   └→ music.py (drums, voices, harmony) → score.py (notes) → mixing.py → audio
    files.py: a clip as a video, or as features without one;  prepare.py: a corpus of clips

Two presets: `generated.GeneratedSpec` (2 180 clips) and `mini.MiniSpec` (248 clips), which has its own timing, moves
and sounds. The clips of `mini` never change: the bundled features and the stored results depend on them.

No licence is attached to the clips.
"""
