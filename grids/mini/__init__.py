"""Grids that a laptop can run: `pn-diffusion grid mini.baselines`."""
