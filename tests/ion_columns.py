"""Columns of ions, as the cases of the space charge have them.

Lengths are told in L, concentrations in C0, potentials in RT/F, times in L²/D and
currents in F D C0/L.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from depojax.fv.grid import Grid
from depojax.physics.ions import Ion, MultiIonElectrolyte
from depojax.problems.cell import Cell
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

L, D, C0 = 1e-5, 1e-9, 1.0
SIDE = 1e-6  # of a column's footprint [m]
CELLS = 200  # of nearly all columns: one program for many of them
VT = GAS_CONSTANT * 298.15 / FARADAY  # RT/F [V]
UNIT = FARADAY * D * C0 / L  # of currents [A m-2]


def growing_widths(first, cells=CELLS, length=1.0, parts=1):
    """Widths that grow from `first` by one factor and add up to `length`.

    `parts` splits every cell, as smoothly as they grow.
    """
    whole = length / first
    q = brentq(lambda q: np.expm1(cells * q) / np.expm1(q) - whole, 1e-9, 1.0)
    edges = np.expm1(q * np.arange(cells * parts + 1) / parts)
    return np.diff(edges) * (length / edges[-1])


def widths_to_both_ends(first, cells=CELLS, length=1.0, parts=1):
    """The same from both ends to the middle."""
    half = growing_widths(first, cells // 2, length / 2, parts)
    return np.concatenate([half, half[::-1]])


def column_grid(widths):
    """A column of cells [m].

    How cells are paired on coarser grids, which is part of a program, is left as it is
    for equal ones: one program for all widths.
    """
    side = np.full(1, SIDE)
    equal = Grid((side, side, np.full(len(widths), SIDE)))
    return eqx.tree_at(lambda g: g.widths[2], equal, jnp.asarray(widths))


def ion_column(widths, electrolyte, counter_electrode="reservoir", **options):
    """A flat gap of cells of these widths [m]."""
    grid = column_grid(widths)
    options = {"counter_electrode": counter_electrode} | options
    return Cell(Scaffold.open(grid), electrolyte, **options)


def salt(eps=None, diffusivities=(D, D), concentration=C0):
    """A 1:1 salt whose Debye length is `eps` L."""
    plus, minus = diffusivities
    ions = [Ion("Li+", 1, plus), Ion("X-", -1, minus)]
    electrolyte = MultiIonElectrolyte(ions, [concentration, concentration])
    return electrolyte if eps is None else electrolyte.with_debye_length(eps * L)


def centers(cell):
    """Of the cells along z [m]."""
    return np.asarray(cell.grid.centers[2])


def line(field):
    """Of a column: the last axis alone."""
    return np.asarray(field)[..., 0, 0, :]
