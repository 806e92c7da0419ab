"""The generated corpus: many dances with their music, more like people's and like records' than the embedded one's.

No licence is attached to it.

    plan.py ─ score.py ─┬→ choreography.py (moves.py, curves.py) → scene.py → <id>.mp4 and <id>.json   (files.py)
       (genres.py)      └→ music.py (drums.py, voices.py, harmony.py, mixing.py) ───↗
    prepare.py: … → features, splits, manifests; estimate.py: what BlazePose would have found, without pictures

It stands beside the embedded corpus (`corpora/mini`), whose clips, splits and numbers stay as they are.
"""
