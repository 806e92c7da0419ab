"""Models made of the modules; none of them sees a Hydra config."""
