"""Electrode kinetics as a cell file names them: a kind, and what its class takes."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from depojax.cli.arguments import arguments_of, known_word, on_host
from depojax.cli.cell_file import CellFile
from depojax.cli.words import InputError
from depojax.physics.kinetics import (
    AbstractKinetics,
    Blocking,
    ButlerVolmer,
    LinearKinetics,
    Marcus,
    MarcusHushChidsey,
    Reversible,
    Tafel,
)
from depojax.scaffold.gradients import is_profile
from depojax.scaffold.scaffold import Scaffold

KINETICS: Mapping[str, type[AbstractKinetics]] = {
    "butler_volmer": ButlerVolmer,
    "linear": LinearKinetics,
    "marcus": Marcus,
    "marcus_hush_chidsey": MarcusHushChidsey,
    "tafel": Tafel,
}
# Those that only mean something where ions are told one by one.
OF_IONS: Mapping[str, type[AbstractKinetics]] = {
    "blocking": Blocking,
    "reversible": Reversible,
}


def build_kinetics(
    file: CellFile, name: str, scaffold: Scaffold | None = None
) -> AbstractKinetics | None:
    """The kinetics in the table `name`, None where the file has no such table.

    A list is a profile along z, which becomes a field over the host; as long as there
    is no `scaffold` it is only checked.
    """
    if name not in file.given:
        return None
    table = dict(file.tables[name])
    kind = table.pop("kind", None)
    with file.place(name):
        known = KINETICS
        if "ions" in file.tables["electrolyte"]:
            known = {**KINETICS, **OF_IONS}
        if kind is None:
            raise InputError(f"kind: missing. Known: {', '.join(known)}.")
        make = known[known_word("kind", kind, known, "kind of kinetics")]
        arguments = arguments_of(make, table, file.path.parent, kind)
        for key, value in arguments.items():
            if not is_profile(value):
                continue
            if name != "kinetics":
                got = np.asarray(value.values).tolist()
                raise InputError(f"{key}: expected one number, got {got}.")
            arguments[key] = (
                value.on_heights(jnp.linspace(0.0, 1.0, 5))
                if scaffold is None
                else on_host(value, scaffold)
            )
        return make(**arguments)
