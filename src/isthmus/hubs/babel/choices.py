"""Several endings or answers, one of them right."""

from isthmus.hubs.babel.tables import Dataset

DATASETS: tuple[Dataset, ...] = ()
