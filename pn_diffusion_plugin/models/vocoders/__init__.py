"""Vocoders: mel spectrogram to waveform."""
