"""Tagged words."""

from isthmus.hubs.babel.tables import Dataset

DATASETS: tuple[Dataset, ...] = ()
