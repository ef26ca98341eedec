"""Answers that are spans of a text."""

from isthmus.hubs.babel.tables import Dataset

DATASETS: tuple[Dataset, ...] = ()
