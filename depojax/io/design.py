"""Optimisations, sensitivities and uncertainties as an `xarray.Dataset`."""

from typing import Any

import numpy as np
import xarray as xr

from depojax.design.optimisation import Optimisation
from depojax.design.sensitivities import Sensitivities, Uncertainty
from depojax.io.parts import named

_HISTORY = {
    "loss": "what is minimised",
    "merit": "loss and what the constraints add to it",
    "gradient_norm": "of the merit, in the free numbers",
    "violation": "of the constraints, at worst, in units of their scales",
    "step_share": "of the optimiser's step that was taken",
}


def of_optimisation(found: Optimisation) -> xr.Dataset:
    """Along `iteration`, and `member` for an ensemble; free numbers as `free_…`."""
    lead = ("iteration", "member")[: np.ndim(found.history["loss"])]
    variables: dict[str, Any] = {}
    for name, values in found.history.items():
        words = _HISTORY.get(name, f"told by the loss: {name}")
        variables[_safe(name)] = named(lead, values, "1", words)
    for name, values in found.designs.items():
        own = f"free_{_safe(name)}"
        rest = [f"{own}_{k}" for k in range(np.ndim(values) - len(lead))]
        variables[own] = named((*lead, *rest), values, "1", f"free numbers of {name}")
    for name, value in found.multipliers.items():
        own = f"multiplier_{_safe(name)}"
        dims = tuple(f"{own}_{k}" for k in range(np.ndim(value)))
        words = f"loss per unit by which the bound of {name} is loosened, negative"
        variables[own] = named(dims, value, "1", words)
    variables["best_loss"] = named((), found.loss, "1", "loss of the best design")
    variables["best_violation"] = named((), found.violation, "1", "of the best design")
    count = next(iter(found.history.values())).shape[0]
    iteration = named(("iteration",), np.arange(count), "1", "steps of the optimiser")
    dataset = xr.Dataset(variables, {"iteration": iteration})
    dataset.attrs |= {
        "title": "Optimisation of a design",
        "message": found.message,
        "ended_by": found.ended_by,
        "best_step": found.best_step,
        "best_member": found.best_member,
        "evaluations": found.evaluations,
    }
    return dataset


def _safe(name: str) -> str:
    return name.replace(".", "_").replace("/", "_").replace(" ", "_")


def of_sensitivities(told: Sensitivities) -> xr.Dataset:
    """Along `output` and `number`."""
    both = ("output", "number")
    dataset = xr.Dataset(
        {
            "value": named(("number",), told.values, "1", "of each number, in SI"),
            "result": named(("output",), told.results, "1", "of each output, in SI"),
            "gradient": named(both, told.gradient, "1", "output per number, in SI"),
            "logarithmic": named(both, told.logarithmic, "1", "dln output/dln number"),
        },
        _names(told),
    )
    dataset.attrs["title"] = "Sensitivities"
    return dataset


def of_uncertainty(told: Uncertainty) -> xr.Dataset:
    """Along `output` and `number`."""
    deviations = told.standard_deviations
    dataset = xr.Dataset(
        {
            "result": named(("output",), told.results, "1", "of each output, in SI"),
            "standard_deviation": named(("output",), deviations, "1", "of the output"),
            "covariance": named(
                ("output", "other_output"), told.covariance, "1", "of the outputs"
            ),
            "contribution": named(
                ("output", "number"),
                told.contributions,
                "1",
                "standard deviation that each number alone would make",
            ),
        },
        _names(told) | {"other_output": list(told.outputs)},
    )
    dataset.attrs["title"] = "Uncertainty of outputs, to first order"
    return dataset


def _names(told: Sensitivities | Uncertainty) -> dict[str, list[str]]:
    return {"output": list(told.outputs), "number": list(told.inputs)}
