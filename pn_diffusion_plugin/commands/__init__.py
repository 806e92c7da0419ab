"""The commands of `pn-diffusion`, one a file; `cli.py` puts them together. They import what they need when they run."""
