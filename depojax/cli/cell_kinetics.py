"""Electrode kinetics as a cell file names them: a kind, and what its class takes."""

from collections.abc import Mapping

import numpy as np

from depojax.cli.arguments import arguments_of, known_word, on_host
from depojax.cli.cell_file import CellFile
from depojax.cli.words import InputError
from depojax.physics.kinetics import (
    AbstractKinetics,
    ButlerVolmer,
    LinearKinetics,
    Marcus,
    MarcusHushChidsey,
    Tafel,
)
from depojax.scaffold.gradients import Graded
from depojax.scaffold.scaffold import Scaffold

KINETICS: Mapping[str, type[AbstractKinetics]] = {
    "butler_volmer": ButlerVolmer,
    "linear": LinearKinetics,
    "marcus": Marcus,
    "marcus_hush_chidsey": MarcusHushChidsey,
    "tafel": Tafel,
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
        if kind is None:
            raise InputError(f"kind: missing. Known: {', '.join(KINETICS)}.")
        make = KINETICS[known_word("kind", kind, KINETICS, "kind of kinetics")]
        arguments = arguments_of(make, table, file.path.parent, kind)
        for key, value in arguments.items():
            if not isinstance(value, Graded):
                continue
            if name != "kinetics":
                got = np.asarray(value.values).tolist()
                raise InputError(f"{key}: expected one number, got {got}.")
            arguments[key] = (
                value.values if scaffold is None else on_host(value, scaffold)
            )
        return make(**arguments)
