"""What a plating run has seen: after time steps, windows, and steps of its protocol."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import refuse
from depojax._types import Scalar, is_traced
from depojax.problems.plating_solution import Plating, efficiencies
from depojax.problems.plating_window import Window
from depojax.scaffold.scaffold import Scaffold

_HISTORIES = (
    "voltage",
    "current_density",
    "lowest_wall_concentration",
    "charge_imbalance",
)


class StepRecord:
    """What each step of the protocol came to. Derivatives go through it."""

    def __init__(self):
        self.times: list[Scalar] = []  # [s]
        self.charges: list[Scalar] = []  # [C m-2]
        self.lost: list[Scalar] = []  # metal that died [C m-2]
        self.film: list[Scalar] = []  # [C m-2]

    @classmethod
    def of(cls, kept: Plating, done: int) -> "StepRecord":
        """The first steps of a run that was kept."""
        record = cls()
        record.times = list(kept.step_times[:done])
        record.charges = list(kept.step_charges[:done])
        record.lost = list(kept.step_lost_charges[:done])
        record.film = list(kept.step_film_charges[:done])
        return record

    def add(self, time: Scalar, charge: Scalar, lost: Scalar, film: Scalar) -> None:
        """One more step."""
        self.times.append(time)
        self.charges.append(charge)
        self.lost.append(lost)
        self.film.append(film)

    def copy(self) -> "StepRecord":
        """The same, to go on from by itself."""
        twin = StepRecord()
        for name, values in vars(self).items():
            setattr(twin, name, list(values))
        return twin

    @property
    def elapsed(self) -> Any:
        """Time of all steps [s]."""
        return sum(self.times, 0.0)

    @property
    def turned_over(self) -> Scalar:
        """Charge of all steps, whatever its sign [C m⁻²]."""
        return jnp.sum(jnp.abs(_stacked(self.charges)))

    def fields(self) -> dict[str, Any]:
        """As a `Plating` has them."""
        signs = [float(np.sign(known(charge))) for charge in self.charges]
        return {
            "step_times": _stacked(self.times),
            "step_charges": _stacked(self.charges),
            "step_lost_charges": _stacked(self.lost),
            "step_film_charges": _stacked(self.film),
            "coulombic_efficiency": efficiencies(self.charges, signs),
        }


class WindowRecord:
    """What each time step and each window left behind; plain numbers but voltages."""

    def __init__(self):
        self.times: list[np.ndarray] = []  # of the time steps [s]
        self.indices: list[np.ndarray] = []  # of their steps of the protocol
        self.values: list[dict[str, np.ndarray]] = []
        self.ends: list[float] = []  # of the windows [s]
        self.porosities: list[float] = []
        self.profiles: list[np.ndarray] = []  # of the pore fraction
        self.steps: list[int] = []  # of the protocol
        self.voltages: list[Any] = []  # [V]
        self.counts = np.zeros(2)  # Newton steps, iterations
        self.time_steps = 0

    @classmethod
    def of(cls, kept: Plating) -> "WindowRecord":
        """That of a run that was kept."""
        record = cls()
        record.times = [np.asarray(kept.time)]
        record.indices = [np.asarray(kept.step)]
        record.values = [{n: np.asarray(getattr(kept, n)) for n in _HISTORIES}]
        record.ends = list(np.asarray(kept.window_time))
        record.porosities = list(np.asarray(kept.window_porosity))
        record.profiles = list(np.asarray(kept.window_pore_fraction))
        record.voltages = list(kept.window_voltage)
        record.steps = [int(step) for step in kept.window_step]
        record.counts = np.asarray([kept.newton_steps, kept.linear_iterations])
        record.time_steps = int(kept.time_steps)
        return record

    def __len__(self) -> int:
        return len(self.ends)

    def add(
        self,
        window: Window,
        index: int,
        began: float,
        *,
        opens: bool,
        damped: bool,
        voltage: Scalar,
        scaffold: Scaffold,
    ) -> float | None:
        """One more window, of step `index`; a time step for the next to begin with.

        That is its longest one, the first but one where the first was `damped`; None
        where there is none to know.

        Args:
            began: time of the run when the window did [s].
            opens: whether it is the first of its step.
            voltage: at its end [V].
            scaffold: with its metal then.
        """
        length, steps = float(known(window.facts)[0]), int(known(window.facts)[1])
        history = jax.tree.map(known, window.run.history)
        # What stood at the start had not settled, and in later windows was told before.
        part = slice(1 if opens else min(2, steps), steps + 1)
        self.times.append(began + history.time[part])
        self.indices.append(np.full(self.times[-1].shape, index))
        self.values.append({n: v[part] for n, v in history.values.items()})
        self.counts = self.counts + known(window.counts)
        self.time_steps += steps
        self.ends.append(began + length)
        self.steps.append(index)
        self.voltages.append(voltage)
        self.porosities.append(float(known(scaffold.porosity)))
        self.profiles.append(known(layer_means(scaffold)))
        if steps <= 2:
            return None
        taken = np.diff(history.time[1 : steps + 1])
        return float(taken[0] if damped else np.max(taken))

    def fields(self, concentration: Scalar, layers: int) -> dict[str, Any]:
        """As a `Plating` has them; c₀ [mol m⁻³] is the unit of the one at the wall."""
        histories = {
            name: _joined([values[name] for values in self.values])
            for name in _HISTORIES
        }
        histories["lowest_wall_concentration"] *= concentration
        voltages = [float(known(V)) for V in self.voltages]
        profiles = np.reshape(self.profiles, (-1, layers))
        return histories | {
            "time": _joined(self.times),
            "step": jnp.asarray(np.concatenate([np.zeros(0, int), *self.indices])),
            "window_time": jnp.asarray(self.ends, float),
            "window_porosity": jnp.asarray(self.porosities, float),
            "window_pore_fraction": jnp.asarray(profiles, float),
            "window_voltage": jnp.asarray(voltages, float),
            "window_step": jnp.asarray(self.steps, int),
            "windows": jnp.asarray(len(self)),
            "time_steps": jnp.asarray(self.time_steps),
            "newton_steps": jnp.asarray(int(self.counts[0])),
            "linear_iterations": jnp.asarray(int(self.counts[1])),
        }

    def spike(self, charges: list[Scalar]) -> Scalar:
        """The deepest dip of the first step that plates, against the plateau after.

        `charges` of all steps [C m⁻²], that in hand included.
        """
        plating = [n for n, charge in enumerate(charges) if float(known(charge)) > 0]
        pairs = zip(self.steps, self.voltages, strict=True)
        voltages = [V for step, V in pairs if plating and step == plating[0]]
        if not voltages:
            return jnp.asarray(jnp.nan)
        numbers = np.asarray([float(known(V)) for V in voltages])
        dip = int(np.argmin(numbers))
        plateau = dip + int(np.argmax(numbers[dip:]))
        return voltages[dip] - voltages[plateau]


def layer_means(scaffold: Scaffold) -> Array:
    """Pore fraction of every layer of cells, from the collector up [-]."""
    volumes = scaffold.grid.volumes
    pores = jnp.sum(scaffold.pore_fraction * volumes, (0, 1))
    return pores / jnp.sum(volumes, (0, 1))


def known(value: Any) -> np.ndarray:
    """A number as it is, also while derivatives are taken of it.

    Raises `ValueError` inside of jit and vmap, where there is none to know.
    """
    value = jax.lax.stop_gradient(value)
    if is_traced(value):
        raise refuse(
            "plate",
            "to run outside of jit and vmap",
            "a traced number",
            "How many windows there are is decided while it runs; jax.grad works.",
        )
    return np.asarray(value)


def _joined(parts: list[np.ndarray]) -> Array:
    return jnp.asarray(np.concatenate([np.zeros(0), *parts]))


def _stacked(values: list[Scalar]) -> Array:
    return jnp.stack(values) if values else jnp.zeros(0)
