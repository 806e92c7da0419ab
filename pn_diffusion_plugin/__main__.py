"""`python -m pn_diffusion_plugin`: the command `pn-diffusion`."""

from .cli import main

main()
