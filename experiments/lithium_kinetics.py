"""Which kinetics lithium has: five fits to currents of fresh lithium.

Boyle et al. (ACS Energy Lett. 5 (2020) 701, doi:10.1021/acsenergylett.0c00031) swept
the potential of a lithium microelectrode faster than a film grows, in four electrolytes
with 1 M LiPF₆. Their Fig. 4a, digitised, is a CSV file with two columns for each
electrolyte (overpotential [V], absolute current density [mA cm⁻²]); it is not part of
this package. The file is the argument, or lies in the folder $DEPOJAX_DATA. Without it
the points are made up from Marcus–Hush–Chidsey kinetics with a scatter of 3 %.

What one sees (root mean square of the relative deviation, over both branches):

- Butler–Volmer with α = ½ misses the points by 52 to 57 %: lithium's Tafel lines are
  too flat. With free coefficients it meets them within 4 to 6 %, but α_c + α_a is then
  0.39 to 0.46, where one electron would have 1: a description, no mechanism.
- Marcus (λ = 0.29 to 0.32 eV) and Marcus–Hush–Chidsey (λ = 0.18 to 0.21 eV) need one
  number less and deviate by 5 to 10 %; they bend too much above 0.2 V, stripping most.
  i₀ is 15 mA cm⁻² with FEC, 9.7 in EC:DEC, 2.6 in DEC and 2.2 in PC.
- Tafel's line through the plating branch below −0.08 V has α_c = 0.22 to 0.24 as well.

What it is worth. The curves were not corrected for the resistance of the electrolyte
here, and an ohmic drop bends a Tafel plot the same way; these points alone do not tell
one from the other. Concentrations are taken as 1 M at the metal.

    python experiments/lithium_kinetics.py [FILE]     figure, table in run/kinetics
"""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import depojax as dj
from depojax.plot.parts import new_figure, save_figure
from depojax.units import cm, eV, mA

FILE = "boyle_2020_lithium_current_overpotential.csv"
TAFEL_REGION = -0.08  # where stripping adds less than 5 % [V]
COLOURS = {
    "Tafel": "#009e73",
    "Butler–Volmer, α = ½": "#999999",
    "Butler–Volmer, α free": "#d55e00",
    "Marcus": "#56b4e9",
    "Marcus–Hush–Chidsey": "#1b2f6b",
}

Curves = dict[str, tuple[np.ndarray, np.ndarray]]  # overpotential, current by name
Row = dict[str, Any]


def main(data: str | Path | None = None, out: str | Path = "run/kinetics") -> list[Row]:
    """Fit, draw and write the table; returns its rows.

    Args:
        data: the CSV file; by default that in $DEPOJAX_DATA, else made-up points.
        out: folder for `lithium_kinetics.png` and `.csv`.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    curves = measured(data)
    fits = {name: fit_all(*curve) for name, curve in curves.items()}
    rows = [
        row(name, law, fit) for name, laws in fits.items() for law, fit in laws.items()
    ]
    with (out / "lithium_kinetics.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    save_figure(draw(curves, fits), out / "lithium_kinetics.png")
    return rows


def measured(data: str | Path | None) -> Curves:
    """Overpotential [V] and current density [A m⁻²], plating positive."""
    if data is None and "DEPOJAX_DATA" in os.environ:
        data = Path(os.environ["DEPOJAX_DATA"]) / FILE
    if data is None or not Path(data).exists():
        return made_up()
    with Path(data).open(newline="") as file:
        names, _, *lines = csv.reader(file)
    curves = {}
    for column in range(0, len(names), 2):
        pairs = [line[column : column + 2] for line in lines if line[column]]
        eta, i = np.asarray(pairs, float).T
        curves[names[column]] = eta, -np.sign(eta) * i * mA / cm**2
    return curves


def made_up() -> Curves:
    """Points of Marcus–Hush–Chidsey kinetics with λ = 0.3 eV, scattered by 3 %."""
    eta = np.delete(np.linspace(-0.24, 0.24, 25), 12)
    law = dj.MarcusHushChidsey(100 * mA / cm**2, 0.3 * eV)
    i = np.asarray(law.current_density(jnp.asarray(eta), 1000.0, 298.15))
    scatter = np.random.default_rng(7).normal(0.0, 0.03, eta.size)
    return {"made up": (eta, i * np.exp(scatter))}


def fit_all(eta: np.ndarray, i: np.ndarray) -> dict[str, Any]:
    """The five fits to one curve."""
    i0 = 10 * mA / cm**2
    plates = eta < TAFEL_REGION
    return {
        "Tafel": dj.fit_kinetics(dj.Tafel(i0), eta[plates], i[plates]),
        "Butler–Volmer, α = ½": dj.fit_kinetics(
            dj.ButlerVolmer(i0), eta, i, free=("exchange_current_density",)
        ),
        "Butler–Volmer, α free": dj.fit_kinetics(dj.ButlerVolmer(i0, 0.3, 0.3), eta, i),
        "Marcus": dj.fit_kinetics(dj.Marcus(i0, 0.3 * eV), eta, i),
        "Marcus–Hush–Chidsey": dj.fit_kinetics(
            dj.MarcusHushChidsey(i0, 0.3 * eV), eta, i
        ),
    }


def row(name: str, law: str, fit: Any) -> Row:
    """One row of the table: i₀ in A m⁻², λ in eV."""
    numbers = {
        key: (float(value), float(error))
        for key, value, error in zip(
            fit.free, fit.values, fit.standard_errors, strict=True
        )
    }
    unit = {"reorganisation_energy": eV}
    made = {"electrolyte": name, "law": law, "deviation": float(fit.deviation)}
    for key in (
        "exchange_current_density",
        "cathodic_transfer",
        "anodic_transfer",
        "reorganisation_energy",
    ):
        value, error = numbers.get(key, (float("nan"), float("nan")))
        made[key] = value / unit.get(key, 1.0)
        made[f"{key}_error"] = error / unit.get(key, 1.0)
    return made


def draw(curves: Curves, fits: dict[str, dict[str, Any]]):
    """One panel for each electrolyte: |i| against η, logarithmic."""
    figure = new_figure(3.2, width=max(2.7 * len(curves), 7.0))
    panels = np.atleast_1d(figure.subplots(1, len(curves), sharey=True))
    unit = mA / cm**2
    for axes, (name, (eta, i)) in zip(panels, curves.items(), strict=True):
        axes.plot(eta, np.abs(i) / unit, "ko", ms=3.5, mfc="none", zorder=5)
        fine = np.delete(np.linspace(-0.28, 0.28, 281), 140)
        for law, fit in fits[name].items():
            at = fine[fine < 0] if law == "Tafel" else fine
            drawn = fit.kinetics.current_density(jnp.asarray(at), 1000.0, 298.15)
            axes.plot(
                at, np.abs(drawn) / unit, "--" if law == "Tafel" else "-",
                color=COLOURS[law], lw=1.2, label=law,
            )  # fmt: skip
        axes.set(yscale="log", xlim=(-0.28, 0.28), ylim=(1.0, 600.0))
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_xlabel("overpotential (V)", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(r"|current density| (mA cm$^{-2}$)", fontsize=9)
    lines = panels[0].get_legend_handles_labels()
    figure.legend(
        *lines, frameon=False, fontsize=8, loc="outside lower center", ncols=5
    )
    return figure


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(sys.argv[1] if len(sys.argv) > 1 else None)
