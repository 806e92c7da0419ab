"""Checkpoints, exported models and their cards."""
