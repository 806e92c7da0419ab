"""The web page: drop a dance video, get music (`pn-diffusion serve`)."""
