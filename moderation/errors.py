"""What may be wrong with what the classifier is given."""

from __future__ import annotations


class ArtefactRefused(Exception):
    """The classifier's file is missing, cut, altered or of another format."""


class BadCorpus(Exception):
    """The labelled texts are not there, or not in the documented form."""


class BadLine(Exception):
    """A line to be scored is not a JSON object with a text."""


class BadPolicy(ValueError):
    """A policy that cannot be followed; the sentence says why and may be shown to moderators."""
