"""Electrolytes of other people's parameter sets: PyBaMM's, and BPX files.

Their properties are numbers, Python functions of (c, T), expressions or tables. All are
looked at on a table, 257 concentrations by 11 temperatures, and become a `FittedLaw`
around a `PropertyTable` that needs neither PyBaMM nor BPX. For functions as smooth as
published fits it is within 1e-6 of them; kinks of a table of data are rounded by a cell
of ours.
"""

import ast
import json
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import PchipInterpolator

from depojax._checks import nearest, refuse
from depojax.physics.concentrated import (
    BEYOND,
    ConcentratedElectrolyte,
    FittedLaw,
    PropertyTable,
    as_range,
)
from depojax.units import GAS_CONSTANT, ROOM_TEMPERATURE

_DIFFUSIVITY = "Electrolyte diffusivity [m2.s-1]"
_CONDUCTIVITY = "Electrolyte conductivity [S.m-1]"
_TRANSFERENCE = "Cation transference number"
_FACTOR = "Thermodynamic factor"
_CONCENTRATION = "Initial concentration in electrolyte [mol.m-3]"
_TEMPERATURE = "Initial temperature [K]"
_REFERENCE = "Reference temperature [K]"
_PROPERTIES = (_DIFFUSIVITY, _CONDUCTIVITY, _TRANSFERENCE, _FACTOR)

_CONCENTRATIONS, _TEMPERATURES = 257, 11  # of the table
_KELVIN = 20.0  # either side of the temperature, where no range is given

_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "log10": np.log10, "sqrt": np.sqrt, "abs": np.abs,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
}  # fmt: skip


def from_pybamm(
    parameter_values: Any,
    concentration: Any = None,
    temperature: Any = None,
    charge: int | tuple[int, int] = 1,
    *,
    concentration_range: tuple[float, float] | None = None,
    temperature_range: tuple[float, float] | None = None,
    name: str = "",
    reference: str = "",
) -> ConcentratedElectrolyte:
    """The electrolyte of a PyBaMM parameter set.

    Args:
        parameter_values: a `pybamm.ParameterValues`, or a dict with PyBaMM's keys:
            "Electrolyte diffusivity [m2.s-1]", "Electrolyte conductivity [S.m-1]",
            "Cation transference number", "Thermodynamic factor". Values are numbers or
            functions of (c [mol m⁻³], T [K]) written with numpy, math or pybamm. A
            dict of plain numbers and functions does not need PyBaMM.
        concentration: of the salt at rest [mol m⁻³]; by default "Initial concentration
            in electrolyte [mol.m-3]".
        temperature: [K]; by default "Initial temperature [K]", else the reference
            temperature, else 298.15 K.
        charge: z for (z, −z), or (z₊, z₋): PyBaMM does not tell [-].
        concentration_range: where the functions are believed [mol m⁻³]; by default
            c/100 to 3c. Beyond they are continued as `FittedLaw` tells.
        temperature_range: likewise [K]; by default T ± 20 K.
        name: what it is called in results.
        reference: where the numbers come from.

    Raises `ValueError` for a key that is missing, a value that is neither, and
    properties that are not positive somewhere in the ranges.
    """
    try:
        known = dict(parameter_values.items())
    except AttributeError as error:
        raise refuse(
            "parameter_values",
            "a pybamm.ParameterValues or a dict",
            type(parameter_values).__name__,
        ) from error
    if _FACTOR not in known and "1 + dlnf/dlnc" in known:  # until PyBaMM 23.5
        known[_FACTOR] = known["1 + dlnf/dlnc"]
    if concentration is None:
        concentration = _entry(known, _CONCENTRATION, "Or give concentration=1.0 * M.")
    if temperature is None:
        keys = [key for key in (_TEMPERATURE, _REFERENCE) if key in known]
        temperature = known[keys[0]] if keys else ROOM_TEMPERATURE
    c0, T0 = float(concentration), float(temperature)
    ends = concentration_range or (c0 / 100, 3 * c0)
    c_range = as_range("concentration_range", ends, "mol m⁻³")
    ends = temperature_range or (T0 - _KELVIN, T0 + _KELVIN)
    T_range = as_range("temperature_range", ends, "K")
    values = {}
    for key in _PROPERTIES:
        cure = f'Add "{key}": 1.0, the ideal solution.' if key == _FACTOR else ""
        values[key] = _entry(known, key, cure)
    process = getattr(parameter_values, "process_symbol", lambda symbol: symbol)
    table = _tabulate(values, c_range, T_range, process)
    law = FittedLaw(table, c_range, T_range, charge, name=name, reference=reference)
    return ConcentratedElectrolyte(law, c0, T0)


def _entry(known: Mapping[str, Any], key: str, cure: str = "") -> Any:
    if key not in known:
        cure = cure or nearest(key, (word for word in known if "lectrolyte" in word))
        raise refuse("parameter_values", f"the key {key!r}", "none", cure)
    return known[key]


def _tabulate(
    values: Mapping[str, Any],
    c_range: tuple[float, float],
    T_range: tuple[float, float],
    process: Callable[[Any], Any],
) -> PropertyTable:
    """The table of all properties, as far as `FittedLaw` asks for them."""
    (low, high), (cold, warm) = c_range, T_range
    roots = np.linspace(
        math.sqrt(low / 2), math.sqrt((1 + BEYOND) * high), _CONCENTRATIONS
    )
    # Chebyshev's points in 1/T, the outermost at the ends.
    points = np.cos(np.pi * (np.arange(_TEMPERATURES) + 0.5) / _TEMPERATURES)
    middle, half = (1 / cold + 1 / warm) / 2, (1 / cold - 1 / warm) / 2
    inverse = middle + half * points / points[0]
    rows = {
        key: _look(key, value, roots**2, 1 / inverse, process)
        for key, value in values.items()
    }
    rows[_DIFFUSIVITY] = np.log(rows[_DIFFUSIVITY])
    rows[_CONDUCTIVITY] = np.log(rows[_CONDUCTIVITY] / roots**2)
    stacked = np.stack([rows[key] for key in _PROPERTIES])
    return PropertyTable(jnp.asarray(roots), jnp.asarray(inverse), jnp.asarray(stacked))


def _look(
    key: str, value: Any, c: np.ndarray, T: np.ndarray, process: Callable[[Any], Any]
) -> np.ndarray:
    """`value` at every T and c, shape (T, c)."""
    try:
        with np.errstate(all="ignore"):  # infinities are refused below
            looked = np.stack([_along(value, c, float(one), process) for one in T])
    except Exception as error:  # whatever a stranger's function raises
        raise refuse(
            key,
            "a number or a function of (c, T)",
            f"{value!r:.60}",
            f"It says: {error!r:.200}",
        ) from error
    positive = key != _TRANSFERENCE
    bad = ~np.isfinite(looked) | (positive & (looked <= 0))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise refuse(
            key,
            f"{'positive' if positive else 'finite'} numbers in all of the range",
            f"{looked[row, column]:g} at c = {c[column]:g} mol m⁻³, T = {T[row]:g} K",
            "Give a narrower concentration_range or temperature_range.",
        )
    return looked


def _along(
    value: Any, c: np.ndarray, T: float, process: Callable[[Any], Any]
) -> np.ndarray:
    """`value` at all c and one T."""

    def number(result: Any) -> np.ndarray:
        if hasattr(result, "evaluate"):  # a symbol of PyBaMM
            result = process(result).evaluate()
        return np.asarray(result, dtype=float).ravel()

    if not callable(value) or hasattr(value, "evaluate"):
        return np.broadcast_to(number(value), c.shape)
    one_by_one = number(value(float(c[-1]), T))
    try:
        at_once = np.broadcast_to(number(value(c, T)), c.shape)
        if np.allclose(at_once[-1], one_by_one, rtol=1e-12, atol=0):
            return at_once
    except Exception:  # a function for one concentration at a time
        pass
    return np.concatenate([number(value(float(one), T)) for one in c])


def from_bpx(
    source: str | Path | Mapping[str, Any],
    concentration: Any = None,
    temperature: Any = None,
    *,
    thermodynamic_factor: Any = 1.0,
    concentration_range: tuple[float, float] | None = None,
    temperature_range: tuple[float, float] | None = None,
    name: str = "",
) -> ConcentratedElectrolyte:
    """The electrolyte of a BPX file (Battery Parameter eXchange, 0.x and 1.x).

    Properties are numbers, tables {"x": […], "y": […]} (monotone cubics between the
    points) or expressions in x, the concentration [mol m⁻³], such as
    "8.794e-17 * x**2 - 3.972e-13 * x + 4.862e-10". Expressions are read, never run:
    + − * / **, numbers, x, and exp, log, log10, sqrt, abs, sin, cos, tan, atan, sinh,
    cosh, tanh. Activation energies act from the file's reference temperature.

    Args:
        source: a path to the JSON, or what it holds.
        concentration: of the salt at rest [mol m⁻³]; by default the file's.
        temperature: [K]; by default the file's initial temperature, else its reference.
        thermodynamic_factor: χ [-], which BPX does not know; 1 makes the diffusion
            potential about half of what is measured at 1 M in carbonates. A number or a
            function of (c, T).
        concentration_range: where the expressions are believed [mol m⁻³]; by default
            c/100 to 3c, within the tables.
        temperature_range: likewise [K]; by default T ± 20 K.
        name: what it is called in results; by default the file's title.

    Raises `ValueError` for what is no BPX, keys that are missing, and expressions with
    anything else in them. https://bpxstandard.com
    """
    file = _bpx(source)
    header, body = file.get("Header", {}), file["Parameterisation"]
    table, cell = body["Electrolyte"], body.get("Cell", {})
    start = file.get("State", {}).get("Initial conditions", {})
    T_ref = float(cell.get(_REFERENCE, ROOM_TEMPERATURE))
    if temperature is None:
        given = (start.get(_TEMPERATURE), cell.get(_TEMPERATURE), T_ref)
        temperature = next(T for T in given if T is not None)
    if concentration is None:
        old = table.get("Initial concentration [mol.m-3]")
        concentration = start.get("Initial electrolyte concentration [mol.m-3]", old)
        if concentration is None:
            raise refuse(
                "BPX",
                "an initial concentration of the electrolyte",
                "none",
                "Give concentration=1.0 * M.",
            )
    known: dict[str, Any] = {_FACTOR: thermodynamic_factor}
    ends = []
    for key, words in (
        (_DIFFUSIVITY, "Diffusivity"),
        (_CONDUCTIVITY, "Conductivity"),
        (_TRANSFERENCE, _TRANSFERENCE),
    ):
        own = key if key == _TRANSFERENCE else f"{words} {key[key.index('[') :]}"
        value = _entry(table, own, nearest(own, table))
        energy = float(table.get(f"{words} activation energy [J.mol-1]") or 0.0)
        known[key] = _activated(_of_x(own, value), energy, T_ref)
        if isinstance(value, Mapping):
            ends.append((min(value["x"]), max(value["x"])))
    if concentration_range is None:
        c0 = float(concentration)
        low = max([c0 / 100, *(end[0] for end in ends)])
        high = min([3 * c0, *(end[1] / (1 + BEYOND) for end in ends)])
        concentration_range = (low, high)
    return from_pybamm(
        known,
        concentration,
        temperature,
        concentration_range=concentration_range,
        temperature_range=temperature_range,
        name=name or str(header.get("Title") or ""),
        reference=str(header.get("References") or ""),
    )


def _bpx(source: Any) -> Mapping[str, Any]:
    file = source
    if not isinstance(source, Mapping):
        try:
            file = json.loads(Path(source).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise refuse("BPX", "a JSON file", str(source), str(error)) from error
    body = file.get("Parameterisation") if isinstance(file, Mapping) else None
    if not isinstance(body, Mapping) or "Electrolyte" not in body:
        raise refuse("BPX", 'a "Parameterisation" with an "Electrolyte"', "none")
    return file


def _activated(
    fit: Callable[[Any], Any], energy: float, T_ref: float
) -> Callable[[Any, float], Any]:
    return lambda c, T: fit(c) * math.exp(energy / GAS_CONSTANT * (1 / T_ref - 1 / T))


def _of_x(key: str, value: Any) -> Callable[[Any], Any]:
    """A number, an expression or a table as a function of x."""
    if isinstance(value, str):
        return expression(value)
    if isinstance(value, Mapping) and {"x", "y"} <= set(value):
        order = np.argsort(value["x"])
        x, y = (np.asarray(value[axis], float)[order] for axis in "xy")
        return PchipInterpolator(x, y)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return lambda x: value + 0 * x
    raise refuse(key, "a number, an expression in x, or a table", f"{value!r:.60}")


def expression(text: str) -> Callable[[Any], Any]:
    """An arithmetic expression in x as a function, without running any code.

    Raises `ValueError` for all but numbers, x, + − * / ** and known functions.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise refuse("expression", "arithmetic in x", repr(text), str(error)) from error
    for node in _parts(tree):
        if not _is_arithmetic(node):
            words = sorted(("x", *_FUNCTIONS))
            raise refuse(
                "expression",
                "numbers, x, + - * / ** and known functions",
                f"{ast.unparse(node)!r} in {text!r}",
                f"Known: {', '.join(words)}.",
            )
    return lambda x: _value(tree, x)


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """The node and all expressions in it, names of functions left out."""
    yield node
    inner = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    for child in inner:
        if isinstance(child, ast.expr):
            yield from _parts(child)


def _is_arithmetic(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    if isinstance(node, ast.Name):
        return node.id == "x"
    if isinstance(node, ast.Call):
        named = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
        return named and len(node.args) == 1 and not node.keywords
    return isinstance(node, (ast.BinOp, ast.UnaryOp)) and type(node.op) in _OPERATORS


def _value(node: Any, x: Any) -> Any:
    if isinstance(node, ast.Constant):
        number: Any = node.value
        # Of whole numbers 9**9**9 would never end; of these it is infinite.
        return np.float64(number)
    if isinstance(node, ast.Call):
        named: Any = node.func
        return _FUNCTIONS[named.id](_value(node.args[0], x))
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, x), _value(node.right, x))
    if isinstance(node, ast.UnaryOp):
        return _OPERATORS[type(node.op)](_value(node.operand, x))
    return x
