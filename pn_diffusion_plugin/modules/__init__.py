"""Parts of the method: mel, skeleton, ST-GCN, conditioners, diffusion, sampling."""
