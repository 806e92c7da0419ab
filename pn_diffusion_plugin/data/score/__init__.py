"""Scores: the notes of a piece of music, their image for the networks, and their files."""
