"""How good is it: beats, alignment, null rows, reports."""
