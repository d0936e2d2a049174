"""What an experiment leaves behind: figures that show something, tables that agree."""

import csv

import numpy as np
from matplotlib.image import imread


def check_figure(path, least=0.01, most=0.9, size=0):
    """Ink covers between `least` and `most` of it; its shorter side is over `size`."""
    picture = imread(path)[..., :3]
    assert min(picture.shape[:2]) > size
    assert least < np.mean(picture.min(axis=-1) < 0.9) < most


def check_table(path, rows, key):
    """The table holds the rows that `main` returned, told by one column; as text."""
    with path.open() as file:
        table = list(csv.DictReader(file))
    read = str if isinstance(rows[0][key], str) else float
    assert [read(row[key]) for row in table] == [row[key] for row in rows]
    return table


def column(rows, name):
    """One column of the rows."""
    return np.asarray([row[name] for row in rows])
