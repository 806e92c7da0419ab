"""Grids for a laptop: `pn-diffusion grid mini.baselines`."""
