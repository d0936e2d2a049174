"""Hosts that conduct electrons badly, and a wall that is metal in part: case r09.

PE4  porous electrode, σ of the host and salt in the electrolyte both matter
PE5  fibre:  λ² η'' = η,  λ² = σ r RT/(2 i₀ F)
PE6  strip:  the same, λ² = R_ct/R_s
PE7  primary resistance of a wall that is covered in part, by elliptic integrals
"""

import numpy as np
import pytest
from helpers import observed_orders
from scipy.interpolate import CubicSpline

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.simulate import simulate
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

pytestmark = pytest.mark.slow  # every program of these takes its time to compile

THERMAL = GAS_CONSTANT * 298.15 / FARADAY
SIDE = np.full(1, 1e-5)


def at_heights(values, heights):
    """A profile over equal cells of 0 … 1, at some heights."""
    n = len(values)
    return CubicSpline((np.arange(n) + 0.5) / n, values)(heights)


def test_tertiary_distribution_with_electrons_in_series():
    # PE4 with σ = 1 S m⁻¹; ideal dilute, so D and t₊ give κ.
    D, share, length, J = 3e-10, 0.38, 2e-4, 60.0
    law = dj.IdealDilute(D / (2 * (1 - share)), D / (2 * share))
    rates = [0.935704498782775, 0.5580769455961163, 0.6336099173640255]
    rates += [1.208649450101982, 2.7711982767587195]
    errors = []
    for n in (32, 64, 128):
        grid = Grid((SIDE, SIDE, np.full(n, length / n)))
        cell = dj.Cell(
            Scaffold.homogenised(grid, 0.8, 2.0, 2e5),
            dj.ConcentratedElectrolyte(law, 1000.0),
            kinetics=dj.ButlerVolmer(10.0),
            counter_electrode="reservoir",
            plated_collector=False,
            solid_conductivity=1.0,
        )
        run = simulate(cell, dj.Galvanostatic(J, time=1e5))
        c = at_heights(np.asarray(run.concentration[0, 0]), 0.0)
        local = np.asarray(run.local_current_density[0, 0])
        found = at_heights(local / (J / (2e5 * length)), np.linspace(0, 1, 5))
        drop = 1 - c / 1000
        errors.append([drop / 0.2387468697352636 - 1, *(found / rates - 1)])
        print(errors[-1])
    print(observed_orders(np.transpose(errors)[0]))


def thin(sigma, area_per_volume, i0, length, n):
    """A column of host that conducts badly, in an electrolyte that does not matter.

    Potential and salt are the bath's everywhere: half of the column is host, a current
    of some A m⁻² meets D/L and κ/L of 1e-4 m s⁻¹ and 1e6 S m⁻² and more.
    """
    grid = Grid((SIDE, SIDE, np.full(n, length / n)))
    return dj.Cell(
        Scaffold.homogenised(grid, 0.5, 1.0, area_per_volume),
        dj.BinaryElectrolyte(3e4, 1e-7, 0.99, conductivity=1e3),
        kinetics=dj.LinearKinetics(i0, exponent=0.0),
        counter_electrode="reservoir",
        plated_collector=False,
        solid_conductivity=sigma,
    )


@pytest.mark.parametrize("case", ["fibre", "strip"])
def test_fin(case):
    # Both are linear, so conductivities are scaled down together with i₀.
    small, share, n = 1e-4, 0.5, 64
    if case == "fibre":  # PE5
        r, length, sigma, i0 = 5e-6, 5e-4, 100.0, 50.0
        cell = thin(small * sigma * share, 2 / r * share, small * i0, length, n)
        rates = [1.0, 0.7467498981216968, 0.5852516802602172, 0.4956623363375936]
        rates += [0.466974176746626]
        per_footprint = np.pi * r * r / share  # of one fibre
        total = 9.688496607278462e-08
    else:  # PE6: L = 40 mm, here 0.4 mm; R_s = 10 Ω, R_ct = 5 mΩ m²
        length, Rs, Rct = 0.04, 10.0, 0.005
        ratio = length / np.sqrt(Rct / Rs)
        sigma, height = 1e-2, 4e-4
        a = 1e5
        i0 = sigma * (ratio / height) ** 2 / a * THERMAL
        cell = thin(sigma, a, i0, height, n)
        rates = [1.8916873990979224, np.nan, 0.878140919427507, np.nan, 0.6152082703]
    run = simulate(cell, dj.Potentiostatic(-0.005, time=1e-3))
    local = np.asarray(run.local_current_density[0, 0])
    found = at_heights(local, np.linspace(0, 1, 5))
    if case == "fibre":
        print(found / (small * i0 * 0.005 / THERMAL) / rates - 1)
        print(float(run.current_density[-1]) * per_footprint / total / small - 1)
    else:
        print(found / local.mean() / rates - 1)


def covered(n, width, height, metal):
    """Conductance over κ per length of a wall of which `metal` plates; foil on top."""
    shape = (n, 1, round(n * height / width))
    grid = Grid.uniform(shape, width * 1e-4 / n)
    host = Scaffold.open(grid)
    x = (np.arange(n) + 0.5) / n * width
    bottom = host.face_transmission[2].at[..., 0].set((x < metal)[:, None] * 1.0)
    faces = (*host.face_transmission[:2], bottom)
    host = Scaffold(
        grid,
        host.pore_fraction,
        faces,
        host.surface_area,
        host.wall_distance,
        host.closed_pore_fraction,
    )
    salt = dj.BinaryElectrolyte(3e4, 1e-7, 0.99, conductivity=0.5)
    run = simulate(dj.Cell(host, salt), dj.Potentiostatic(-1e-3, time=1e-9))
    J = float(run.current_density[-1])
    return J * width * 1e-4 / (1e-3 * 0.5)


@pytest.mark.parametrize(
    ("width", "height", "metal", "known"),
    [(1.0, 1.0, 0.5, 0.819644188480507), (1.0, 0.4, 0.25, 1.0629497101117305)],
)
def test_partly_covered_wall(width, height, metal, known):
    values = np.array([covered(n, width, height, metal) for n in (20, 40, 80)])
    errors = values / known - 1
    print(errors, observed_orders(errors), (2 * values[-1] - values[-2]) / known - 1)
