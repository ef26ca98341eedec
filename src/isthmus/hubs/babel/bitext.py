"""Sentences and their translations."""

from isthmus.hubs.babel.tables import Dataset

DATASETS: tuple[Dataset, ...] = ()
