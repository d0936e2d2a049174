"""The dip of the voltage when lithium nucleates on copper and on silver.

    python experiments/nucleation_on_copper_and_silver.py

Zhang et al., ACS Appl. Energy Mater. (2023), at 1 mA cm⁻²: on copper the voltage dips
to −427 mV, on copper with silver to −103 mV, and both end on a plateau of −62 mV: they
are nucleation overpotentials of −365 and −41 mV.

What is fitted, and to what:

- i₀ of the plating, to the plateau (symmetric Butler–Volmer, all area covered);
- the effective barrier f of copper, with N₀ = 1e14 sites per m², to its dip: f = 0.605,
  31 k_B T at the bottom. With 1e13 sites the dip is −366, −364 and −378 mV at f = 0,
  0.3 and 0.6: so few nuclei carry the current that the barrier hardly matters;
- of silver the share of its surface that plates as lithium does from the start, to its
  dip. A lower barrier alone does not do it: even without any, nuclei must grow from
  nothing, few and small ones carry all of the current, and the dip stays deep (see the
  table). Lithium dissolves in silver: a surface of the alloy is there at once.

What follows without a further number, at 0.5, 1, 2 and 5 mA cm⁻²:

- dips on copper of −378, −365, −350 and −335 mV, on silver of −34, −41, −44 and −45 mV.
  On copper the dip gets *shallower* with the current, for the plateau falls faster
  (−36 to −140 mV) than the lowest voltage does (−414 to −476 mV);
- copper takes 4.9e9 nuclei per cm² at 0.5 mA cm⁻², 9.4e9 at 1, and all sites from 2 on;
- without a barrier the dips are −319 to −331 mV: most of the depth is that of few small
  nuclei which carry all of the current, not of the barrier.

0.217 of silver has to be alloy at first. A run has 1200 times, for the dip is narrow:
with 1e13 sites and f = 0.634 it is −365 mV by 300 times, −382 by 1200, −387 by 2400.
"""

import argparse
import math
from pathlib import Path

import jax
import jax.numpy as jnp

import depojax as dj
from depojax.units import BOLTZMANN, FARADAY, GAS_CONSTANT, cm, mA, minute, mV, nm

J = 1 * mA / cm**2
PLATEAU, COPPER, SILVER = -62 * mV, -365 * mV, -41 * mV  # published
SITES = 1e14  # of copper [m-2]
CURRENTS = (0.5, 1.0, 2.0, 5.0)  # [mA cm-2]


def kinetics():
    """Butler–Volmer with the i₀ that makes the plateau at J."""
    half = FARADAY * abs(PLATEAU) / (2 * GAS_CONSTANT * 298.15)
    return dj.ButlerVolmer(J / (2 * math.sinh(half)))


def copper(wetting):
    return dj.Nucleation(dj.metals.lithium, wetting_factor=wetting, site_density=SITES)


def silver_start(share):
    """Silver without barrier, and alloy on a share of it as 10 nm caps side by side."""
    X = -jnp.log(1 - share)
    return dj.NucleiState.of_nuclei(
        dj.metals.lithium, X / (math.pi * (10 * nm) ** 2), 10 * nm
    )


def run(law, current=J, steps=1200, start=None):
    # The longer the smaller the current, until the same charge has passed.
    duration = 60 * minute * J / current
    return dj.nucleation_transient(
        law, kinetics(), current, duration=duration, steps=steps, start=start
    )


def fitted(run_of, low, high, target, halvings):
    """The number of a run whose dip is the target: it deepens from low to high."""
    dip = jax.jit(lambda x: run_of(x).nucleation_overpotential)
    ends = [float(dip(jnp.asarray(x))) for x in (low, high)]
    if not ends[1] < target < ends[0]:
        raise ValueError(f"dips of {ends} V do not enclose {target} V")
    for _ in range(halvings):
        middle = (low + high) / 2
        deeper = float(dip(jnp.asarray(middle))) < target
        low, high = (low, middle) if deeper else (middle, high)
    return (low + high) / 2


def main(folder=Path("run/nucleation"), currents=CURRENTS, halvings=16, steps=1200):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    f = fitted(lambda x: run(copper(x), steps=steps), 0.3, 1.0, COPPER, halvings)
    bare_share = fitted(
        lambda x: run(copper(0.0), steps=steps, start=silver_start(1 - x)),
        0.05, 0.95, SILVER, halvings,
    )  # fmt: skip
    cases = {
        "copper": (copper(f), None),
        "silver": (copper(0.0), silver_start(1 - bare_share)),
        "no barrier": (copper(0.0), None),
    }
    runs = {
        name: run(law, steps=steps, start=start) for name, (law, start) in cases.items()
    }
    kT = BOLTZMANN * 298.15
    barrier = float(copper(f).barrier(COPPER + PLATEAU)) / kT
    lines = [
        f"i0 = {float(kinetics().exchange_current_density.value):.3f} A m-2 (plateau)",
        f"copper: f = {f:.4f}, barrier at the dip {barrier:.1f} kT (fitted)",
        f"silver: no barrier, {1 - bare_share:.3f} of it plates at first (fitted)",
    ]
    lines.append("")
    lines.append("substrate   mA/cm2  dip (mV)  plateau (mV)  nuclei (cm-2)  r (nm)")
    table = {}
    for name, (law, start) in cases.items():
        for current in currents:
            found = run(law, current * mA / cm**2, steps, start)
            early = int(jnp.searchsorted(found.coverage, 0.2))
            dip = float(found.nucleation_overpotential) / mV
            table[name, current] = dip
            lines.append(
                f"{name:10s}  {current:6.1f}  {dip:8.1f}  "
                f"{float(found.plateau) / mV:12.1f}  "
                f"{float(found.nuclei_density[-1]) * cm**2:13.2e}  "
                f"{float(found.mean_radius[early]) / nm:6.1f}"
            )
    lines.append("")
    lines.append("Radii are those at a coverage of 0.2. Published at 1 mA/cm2: dips")
    lines.append("-365 and -41 mV, plateau -62 mV: these three are fitted.")
    text = "\n".join(lines)
    (folder / "table.txt").write_text(text + "\n")
    print(text)
    figure = dj.plot.nucleation(runs)
    dj.plot.save_figure(figure, folder / "dips.png")
    for name, found in runs.items():
        dj.save(found, folder / f"{name}.nc")
    return table


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("run/nucleation"))
    main(parser.parse_args().out)
