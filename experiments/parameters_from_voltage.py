"""Which numbers of a cell its voltage gives away: D, t₊, i₀ and the film.

A host of fibres (averaged) is plated, rested and stripped for some minutes. The voltage
is read off at the end of every piece, with a noise of 0.2 mV (synthetic: the numbers
behind it are known). Least squares over the logarithms of four numbers, with exact
slopes by forward mode, from a start that is off by a factor of 1.5 to 2:

    min Σ (V_k(p) − v_k)²/s²,    standard errors √diag (JᵀJ)⁻¹ s

How well the numbers come back is said in units of these errors, for several seeds of
the noise; a χ² of the deviations tells whether errors and deviations agree. The
correlations say which numbers the voltage cannot tell apart.

Seen at its default size, three seeds: standard errors of 6 % (D), 10 % (t₊), 8 to 11 %
(i₀) and 10 % (film); all twelve numbers come back within 1.2 of them. D and t₊ are
correlated by 0.99, i₀ and the film by 0.98: the voltage knows what they do together.

    python experiments/parameters_from_voltage.py [--resolution 8]     run/parameters
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import Row, from_the_shell, write_table
from scipy.optimize import least_squares

import depojax as dj
from depojax.plot.parts import new_figure, save_figure
from depojax.units import M, cm, mA, mV, um

NAME = "parameters_from_voltage"
HEIGHT = 100 * um
NOISE = 0.2 * mV
# name, truth, where the fit begins over the truth
NUMBERS = {
    "diffusivity": (3e-10, 0.6),
    "transference_number": (0.3, 1.5),
    "exchange_current_density": (10.0, 2.0),
    "film_resistance": (2e-3, 0.5),
}
UNITS = ("m² s⁻¹", "-", "A m⁻²", "Ω m²")
CURRENTS = (2 * mA / cm**2, 10 * mA / cm**2)
PIECES = (2.0, 10.0, 50.0)  # [s]


def main(
    resolution: int = 8, seeds: int = 3, out: str | Path = "run/parameters"
) -> list[Row]:
    """Fit, draw and write the table; returns its rows, one for each seed and number.

    Args:
        resolution: cells through the host.
        seeds: of the noise.
        out: folder for figure and table.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    truth = np.log([value for value, _ in NUMBERS.values()])
    model, slopes = functions(resolution)
    voltage = model(truth)
    rows, fits = [], []
    for seed in range(seeds):
        noise = np.random.default_rng(seed).normal(0.0, NOISE, voltage.size)
        fit = fitted(model, slopes, voltage + noise)
        fits.append((voltage + noise, fit))
        rows += rows_of(seed, fit, truth)
    write_table(rows, out / f"{NAME}.csv")
    save_figure(draw(rows, model, fits[0]), out / f"{NAME}.png")
    return rows


def protocol() -> list[Any]:
    """Plating at two currents, rest, stripping; each in pieces."""
    steps = [dj.Galvanostatic(J, time=t) for J in CURRENTS for t in PIECES]
    steps += [dj.Rest(t) for t in PIECES]
    return steps + [dj.Galvanostatic(-CURRENTS[1], time=t) for t in PIECES]


def functions(resolution: int) -> tuple[Any, Any]:
    """Voltages at the ends of the pieces [V], and their slopes, of ln p."""
    grid = dj.Grid.uniform((1, 1, resolution), HEIGHT / resolution)
    host = dj.Scaffold.homogenised(grid, 0.85, 0.85**-0.5, 6e4)

    def voltages(logs):
        D, t_plus, exchange, film = jnp.exp(logs)
        # κ is known from elsewhere, as it mostly is.
        salt = dj.BinaryElectrolyte(1 * M, D, t_plus, conductivity=0.9)
        cell = dj.Cell(
            host,
            salt,
            separator=dj.Separator(25 * um, 0.45, 2.5, cells=3),
            kinetics=dj.ButlerVolmer(exchange),
            counter_kinetics=dj.ButlerVolmer(200.0),
            film_resistance=film,
        )
        run = dj.simulate(cell, protocol(), steps=dj.Steps(tolerance=1e-3))
        # At rest there are no losses but those of the salt that is still uneven.
        return jnp.sum(jnp.stack(list(run.step_voltage_parts.values())), axis=0)

    # Not compiled as a whole: all steps of the protocol share one program.
    def slopes(x):
        x = jnp.asarray(x)
        columns = [jax.jvp(voltages, (x,), (v,))[1] for v in jnp.eye(x.size)]
        return np.asarray(jnp.stack(columns, axis=1))

    return lambda x: np.asarray(voltages(jnp.asarray(x))), slopes


def fitted(model: Any, slopes: Any, measured: Any) -> Any:
    """Least squares in units of the noise."""
    begin = np.log([value * off for value, off in NUMBERS.values()])
    return least_squares(
        lambda x: (model(x) - measured) / NOISE,
        begin,
        jac=lambda x: slopes(x) / NOISE,
        method="lm",
        xtol=1e-6,
    )


def rows_of(seed: int, fit: Any, truth: Any) -> list[Row]:
    """Value, standard error and deviation of every number; errors are relative."""
    covariance = np.linalg.inv(fit.jac.T @ fit.jac)
    errors = np.sqrt(np.diag(covariance))
    worst = covariance / np.outer(errors, errors) - np.eye(errors.size)
    return [
        {
            "seed": seed,
            "name": name,
            "unit": unit,
            "truth": float(np.exp(truth[k])),
            "value": float(np.exp(fit.x[k])),
            "relative_error": float(errors[k]),
            "deviation": float((fit.x[k] - truth[k]) / errors[k]),
            "largest_correlation": float(np.max(np.abs(worst[k]))),
            "residual": float(np.sqrt(2 * fit.cost / fit.fun.size)),
            "evaluations": int(fit.nfev),
        }
        for k, (name, unit) in enumerate(zip(NUMBERS, UNITS, strict=True))
    ]


def draw(rows: list[Row], model: Any, first: tuple[Any, Any]) -> Any:
    """The voltages of the first seed, and all deviations in standard errors."""
    measured, fit = first
    figure = new_figure(2.9, width=8.5)
    voltages, deviations = figure.subplots(1, 2)
    piece = np.arange(1, measured.size + 1)
    begin = np.log([value * off for value, off in NUMBERS.values()])
    voltages.plot(piece, measured / mV, "ko", ms=4, mfc="none", label="measured")
    voltages.plot(piece, model(begin) / mV, "--", color="#999999", label="start")
    voltages.plot(piece, model(fit.x) / mV, "-", color="#d55e00", label="fit")
    voltages.set_xlabel("piece of the protocol", fontsize=9)
    voltages.set_ylabel("voltage at its end (mV)", fontsize=9)
    voltages.legend(frameon=False, fontsize=8)
    for k, name in enumerate(NUMBERS):
        z = [row["deviation"] for row in rows if row["name"] == name]
        deviations.plot(z, np.full(len(z), k), "o", color="#1b2f6b", ms=5, mfc="none")
    deviations.set_yticks(range(len(NUMBERS)), list(NUMBERS))
    deviations.axvspan(-1, 1, color="#dddddd", zorder=0)
    deviations.set_xlabel("(found − true)/standard error", fontsize=9)
    for axes in (voltages, deviations):
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    from_the_shell(main, __doc__, 8)
