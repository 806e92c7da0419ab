"""A band: what plays a score.

score → ending.py (an ending instead of a cut) → voicing.py (registers, voice leading)
      → render.py (instruments.py or soundfont.py, then space.py: width, reverberation, dynamics) → stems
"""
