"""Corpora: where clips come from and how they are prepared."""
