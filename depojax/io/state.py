"""A solution as plain data and back: structure in JSON, arrays beside it.

Every value of depojax is a frozen dataclass of arrays, plain numbers, words, tuples,
lists, dicts and other such values. `encode` writes the structure as JSON, in which
arrays are names; `decode` builds it again without calling any constructor, so that what
comes back is what was there. Only the classes listed here are ever built: a file cannot
make anything else happen.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse
from depojax._types import is_traced
from depojax.design.fields import Profile, VolumeField
from depojax.design.optimisation import Optimisation
from depojax.design.parameters import (
    CurrentSegments,
    DesignedCell,
    DesignedScaffold,
    FreeDensity,
    FreeLevelSet,
    GradedPorosity,
)
from depojax.design.sensitivities import Sensitivities, Uncertainty
from depojax.design.variables import (
    Balanced,
    Bounded,
    Monotone,
    Positive,
    Unbounded,
)
from depojax.fv.grid import Grid
from depojax.physics.concentrated import (
    ConcentratedElectrolyte,
    FittedLaw,
    PropertyTable,
)
from depojax.physics.deposit import DeadMetal
from depojax.physics.electrolyte import BinaryElectrolyte, IdealDilute
from depojax.physics.electrolytes import KnownFit
from depojax.physics.film import Film
from depojax.physics.interface import AtWall
from depojax.physics.ions import Ion, MultiIonElectrolyte
from depojax.physics.kinetics import (
    Blocking,
    ButlerVolmer,
    ExchangeCurrentDensity,
    LinearKinetics,
    Marcus,
    MarcusHushChidsey,
    Reversible,
    Tafel,
)
from depojax.physics.metals import Metal
from depojax.physics.nucleation import Nucleation
from depojax.physics.nuclei import Nuclei
from depojax.physics.nuclei_state import NucleiState
from depojax.physics.scharifker_hills import NucleationKinetics, Transient
from depojax.problems.cell import Cell, Separator
from depojax.problems.cell_model import Fields
from depojax.problems.cell_surfaces import Reactions, Use
from depojax.problems.coupled import CellState
from depojax.problems.currents import ConstantCurrent, PulsedCurrent
from depojax.problems.distribution import DepthProfile
from depojax.problems.fitting_transients import TransientFit
from depojax.problems.growth import Gain, HomogenisedGrowth, MetalInPores
from depojax.problems.impedance import Impedance
from depojax.problems.ion_balance import IonState
from depojax.problems.ion_model import IonFields, Passing
from depojax.problems.level_set_growth import LevelSetGrowth
from depojax.problems.metal_on_grid import MetalOnGrid
from depojax.problems.nucleation_transient import NucleationTransient
from depojax.problems.plating_solution import Plating, Position
from depojax.problems.plating_window import MeanNuclei
from depojax.problems.polarisation import PolarisationCurve
from depojax.problems.protocols import Protocol
from depojax.problems.sand import SandSolution
from depojax.problems.simulate import Simulation
from depojax.problems.space_charge_curve import SpaceChargeCurve
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.problems.steps import (
    CurrentProfile,
    CyclicVoltammetry,
    Galvanostatic,
    Potentiostatic,
    Pulse,
    Rest,
    ReversePulse,
    Step,
    VoltageProfile,
)
from depojax.problems.tortuosity import Tortuosity
from depojax.problems.tortuosity_map import TortuosityMap
from depojax.problems.until import Until
from depojax.problems.waveforms import Constant, PulseTrain, Sweep, Table
from depojax.scaffold.gradients import Graded
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.results import RESULTS
from depojax.solvers.time import History, Steps

CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        AtWall,
        Balanced,
        BinaryElectrolyte,
        Blocking,
        Bounded,
        ButlerVolmer,
        Cell,
        CellState,
        Constant,
        ConstantCurrent,
        CurrentProfile,
        CurrentSegments,
        CyclicVoltammetry,
        DeadMetal,
        DepthProfile,
        Gain,
        DesignedCell,
        DesignedScaffold,
        Galvanostatic,
        ConcentratedElectrolyte,
        ExchangeCurrentDensity,
        Fields,
        Film,
        FittedLaw,
        FreeDensity,
        FreeLevelSet,
        Graded,
        GradedPorosity,
        Grid,
        History,
        HomogenisedGrowth,
        IdealDilute,
        Impedance,
        Ion,
        IonFields,
        IonState,
        KnownFit,
        LevelSetGrowth,
        LinearKinetics,
        Marcus,
        MarcusHushChidsey,
        PropertyTable,
        Metal,
        MetalInPores,
        MetalOnGrid,
        MultiIonElectrolyte,
        Nucleation,
        NucleationKinetics,
        NucleationTransient,
        Nuclei,
        NucleiState,
        MeanNuclei,
        Monotone,
        Optimisation,
        Passing,
        Plating,
        PolarisationCurve,
        Position,
        Positive,
        Potentiostatic,
        Profile,
        Protocol,
        Pulse,
        PulseTrain,
        PulsedCurrent,
        Reactions,
        Rest,
        ReversePulse,
        Reversible,
        SandSolution,
        Scaffold,
        Sensitivities,
        Separator,
        Simulation,
        SpaceCharge,
        SpaceChargeCurve,
        Step,
        Steps,
        Sweep,
        Table,
        Tafel,
        Tortuosity,
        TortuosityMap,
        Transient,
        TransientFit,
        Unbounded,
        Uncertainty,
        Until,
        Use,
        VoltageProfile,
        VolumeField,
    )
}
_ENUMERATIONS: dict[str, Any] = {"RESULTS": RESULTS}

_NO_LAW = (
    "A file holds the laws of depojax.electrolytes, IdealDilute and what from_pybamm "
    "or from_bpx read, but no law of your own: save with electrolyte.at(c)."
)

Arrays = dict[str, np.ndarray]


def encode(tree: Any, name: str = "") -> tuple[Any, Arrays]:
    """`tree` as JSON-able data, and its arrays by paths such as `cell.grid.widths.0`.

    Raises `ValueError` for what no file can hold: functions, traced values, unknown
    classes.
    """
    arrays: Arrays = {}
    return _encode(tree, name, arrays), arrays


def _encode(value: Any, path: str, arrays: Arrays) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, type(RESULTS.successful)):
        kind = value._enumeration
        number = _encode(value._value, path, arrays)
        names = list(kind._name_to_item)
        return {"enumeration": kind.__name__, "names": names, "number": number}
    if is_traced(value):
        raise refuse(
            path, "a known array", "a traced one", "Save outside of jit and grad."
        )
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        arrays[path] = _plain(value, path)
        return {"jax" if isinstance(value, jax.Array) else "numpy": path}

    if callable(value) and value in _generators().values():
        return {"generator": value.__name__}

    def inner(item: Any, key: Any) -> Any:
        return _encode(item, f"{path}.{key}" if path else str(key), arrays)

    if isinstance(value, (tuple, list)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [inner(item, index) for index, item in enumerate(value)]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: inner(item, key) for key, item in value.items()}}
    kind: Any = type(value)
    if CLASSES.get(kind.__name__) is not kind:
        raise refuse(
            path or "solution",
            "a value made of depojax's own classes, arrays and words",
            f"a {kind.__name__}",
            _NO_LAW if path.split(".")[-1] in ("law", "fit") else "",
        )
    fields = [field.name for field in dataclasses.fields(kind)]
    return {
        "class": kind.__name__,
        "fields": {field: inner(getattr(value, field), field) for field in fields},
    }


def _plain(value: Any, path: str) -> np.ndarray:
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        raise refuse(path, "an array of numbers", "a random key", "Save its seed.")
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.dtype == np.float16:
        raise refuse(path, "numbers of 32 or 64 bits, or true and false", array.dtype)
    return array


def decode(data: Any, read: Callable[[str], np.ndarray]) -> Any:
    """What `encode` was given; `read` returns an array by its path.

    Raises `ValueError` for data that names unknown classes or fields.
    """
    if not isinstance(data, dict):
        return data
    if "float" in data:
        return float.fromhex(data["float"])
    if "jax" in data:
        return _on_device(read(data["jax"]), data["jax"])
    if "numpy" in data:
        return read(data["numpy"])
    if "tuple" in data:
        return tuple(decode(item, read) for item in data["tuple"])
    if "list" in data:
        return [decode(item, read) for item in data["list"]]
    if "dict" in data:
        return {key: decode(item, read) for key, item in data["dict"].items()}
    if "generator" in data:
        return _known(_generators(), data["generator"])
    if "enumeration" in data:
        return _member(data, decode(data["number"], read))
    return _instance(data, read)


def _on_device(array: np.ndarray, path: str) -> jax.Array:
    on_device = jnp.asarray(array)
    if on_device.dtype != array.dtype:
        raise refuse(
            path,
            f"JAX to hold {array.dtype}, as the file does",
            str(on_device.dtype),
            'Before: jax.config.update("jax_enable_x64", True).',
        )
    return on_device


def _member(data: dict[str, Any], value: jax.Array | np.ndarray) -> Any:
    """An outcome by its name: the numbers may mean others in another version."""
    kind = _known(_ENUMERATIONS, data["enumeration"])
    members = kind._name_to_item
    for name in data["names"]:
        _known(members, name)
    numbers = [int(members[name]._value) for name in data["names"]]
    known = np.asarray(np.asarray(numbers, value.dtype)[np.asarray(value)])
    if isinstance(value, jax.Array):
        known = jnp.asarray(known)
    like = members[data["names"][0]]
    return eqx.tree_at(lambda item: item._value, like, known)


def _instance(data: dict[str, Any], read: Callable[[str], np.ndarray]) -> Any:
    kind = _known(CLASSES, data.get("class", "nothing"))
    made = object.__new__(kind)
    wanted = {field.name for field in dataclasses.fields(kind)}
    if wanted != set(data["fields"]):
        odd = sorted(wanted ^ set(data["fields"]))
        raise ValueError(f"{kind.__name__} has other fields in this version: {odd}")
    for name, value in data["fields"].items():
        object.__setattr__(made, name, decode(value, read))
    return made


def _generators() -> dict[str, Any]:
    """The functions that a design may hold, by their names."""
    from depojax.cli.generators import GENERATORS

    return {make.__name__: make for make in GENERATORS.values()}


def _known(table: dict[str, Any], name: str) -> Any:
    if name not in table:
        raise ValueError(f"it holds a {name}, which this version does not know")
    return table[name]
