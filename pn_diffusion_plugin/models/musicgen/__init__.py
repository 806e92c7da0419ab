"""The MusicGen-style baseline: audiocraft's language model conditioned on dance."""
