"""Mistakes a user can make, each told in one sentence that names the thing and the remedy."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user gave cannot be used; the message says what and how to mend it."""


class VideoError(UserError):
    """A video file that cannot be used."""


class AudioError(UserError):
    """A sound track that is missing or cannot be read."""


class FeatureFileError(UserError):
    """A feature file that is damaged or does not hold what was asked for."""


class CheckpointError(UserError):
    """A checkpoint or weight file that is missing, damaged or made for another model."""


class CorpusError(UserError):
    """A prepared corpus, manifest or split that cannot be used."""
