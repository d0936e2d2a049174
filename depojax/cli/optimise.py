"""`depojax optimise design.toml`: a better design, along the exact gradient."""

import argparse
import sys
import tomllib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from depojax.cli.arguments import check_keys, whole_number, word
from depojax.cli.cell_file import CellFile, read_cell_file
from depojax.cli.cell_run import add_output_arguments, keep, tell
from depojax.cli.design_file import (
    constraints_of,
    design_of_file,
    free_parts,
    measures,
    objective_of,
    parts_told,
    written,
)
from depojax.cli.quantities import parse_quantity
from depojax.cli.run_folder import open_run_folder, write_text
from depojax.cli.session import session
from depojax.cli.toml_text import as_toml
from depojax.cli.words import InputError, Stages, aligned
from depojax.design.optimisation import Optimisation
from depojax.design.optimise import optimise
from depojax.design.optimizers import named_optimizer
from depojax.design.starts import scattered_starts

_WHOLE = (
    "steps", "stall_steps", "max_halvings", "save_every", "every", "starts", "key",
)  # fmt: skip
_NUMBERS = (
    "learning_rate", "stall_tolerance", "gradient_tolerance", "spread", "penalty",
    "tolerance",
)  # fmt: skip
_NAMES = ("optimizer", "schedule")
_OF_DRIVER = (
    "steps", "stall_steps", "stall_tolerance", "gradient_tolerance", "max_halvings",
    "save_every",
)  # fmt: skip
_OF_CONSTRAINTS = ("penalty", "every", "tolerance")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax optimise`."""
    parser.add_argument("file", help="a cell and its design, a TOML file (`new`)")
    parser.add_argument("--out", metavar="FOLDER", help="run folder [run/<file>]")
    parser.add_argument("--anew", action="store_true", help="forget an earlier run")
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Optimise the design of a file, going on where an earlier run was ended."""
    file = read_cell_file(arguments.file, "optimise")
    with session("float64"):
        return _run(file, arguments)


def _run(file: CellFile, arguments: argparse.Namespace) -> int:
    stages = Stages(quiet=arguments.quiet)
    settings = _settings(file)
    design = free_parts(file)
    objective = objective_of(file)
    build = design_of_file(file)
    constraints = _constraints(file, build, settings)
    optimizer = _optimizer(file, settings)
    folder = Path(arguments.out or Path("run") / file.path.stem)
    goes_on = not arguments.anew and _same_question(folder, file)
    folder = open_run_folder(folder, file.text)
    with stages.stage("first cell"):
        # Whatever is refused is refused here, with its own words.
        first = jax.block_until_ready(build(design))
        before = parts_told(objective, first)
    starts = settings.get("starts", 1)
    if starts > 1:
        key = settings.get("key", 0)
        spread = settings.get("spread", 1.0)
        design = scattered_starts(design, starts, key=key, spread=spread)
    with stages.stage("optimisation"):
        found = optimise(
            lambda parts: objective.loss(build(parts)),
            design,
            optimizer=optimizer,
            constraints=constraints,
            ensemble=starts > 1,
            folder=folder,
            resume=goes_on,
            progress=not arguments.quiet and sys.stderr.isatty(),
            **{k: settings[k] for k in _OF_DRIVER if k in settings},
        )
    with stages.stage("best cell"):
        best = build(found.design)
        after = parts_told(objective, best)
    text = best_as_file(file, found)
    write_text(folder / "best.toml", text)
    keep(found, folder, {"input": file.text}, _figures, arguments, stages)
    summary = summarise(found, objective_units(objective), before, after)
    summary |= {
        "host_before": measures(first.scaffold),
        "host": measures(best.scaffold),
    }
    tell(summary, table, folder, arguments, stages)
    return 0


def _settings(file: CellFile) -> dict[str, Any]:
    """[optimise], its numbers turned."""
    given = file.tables["optimise"]
    with file.place("optimise"):
        known = (*_NAMES, *_WHOLE, *_NUMBERS)
        check_keys(given, known, (), "[optimise]")
        found: dict[str, Any] = {}
        for key, value in given.items():
            if key in _NAMES:
                found[key] = word(key, value)
            elif key in _WHOLE:
                found[key] = whole_number(key, value)
            else:
                found[key] = parse_quantity(value, key)
        return found


def _constraints(file: CellFile, build: Any, settings: dict[str, Any]) -> Any:
    """What the file wants kept; numbers for that are refused where there is nothing."""
    numbers = {k: settings[k] for k in _OF_CONSTRAINTS if k in settings}
    constraints = constraints_of(file, build, numbers)
    if constraints is None and numbers:
        name = next(iter(numbers))
        raise InputError(
            f"{file.path.name}: [optimise] {name}: it is for constraints, and the file "
            "has none. Leave it out, or add [constraints.NAME]."
        )
    return () if constraints is None else constraints


def _optimizer(file: CellFile, settings: dict[str, Any]) -> Any:
    with file.place("optimise"):
        return named_optimizer(
            settings.get("optimizer", "adam"),
            steps=settings.get("steps", 100),
            learning_rate=settings.get("learning_rate"),
            schedule=settings.get("schedule", "constant"),
        )


def _same_question(folder: Path, file: CellFile) -> bool:
    """Whether the folder holds a run of this file, but for how many steps it takes."""
    try:
        earlier = tomllib.loads((folder / "input.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    now = tomllib.loads(file.text)
    for tables in (earlier, now):
        if isinstance(tables.get("optimise"), dict):
            tables["optimise"].pop("steps", None)
            tables["optimise"].pop("save_every", None)
    return earlier == now


def best_as_file(file: CellFile, found: Optimisation) -> str:
    """The cell file with the best values in their places, and nothing free."""
    values = {name: written(part) for name, part in found.design.items()}
    tables = file.with_values(values).tables
    left = ("design", "objective", "constraints", "optimise")
    kept = {k: v for k, v in tables.items() if v and k not in left}
    words = (
        f"# The best design of {file.path.name}, found at step {found.best_step}.\n\n"
    )
    return words + as_toml(kept)


def objective_units(objective: Any) -> dict[str, str]:
    """The unit of every objective by its name."""
    terms = [term for term, _ in getattr(objective, "terms", ())] or [objective]
    return {term.name: term.unit for term in terms}


def _figures(found: Optimisation) -> dict[str, Any]:
    from depojax import plot
    from depojax.design.fields import Profile

    figures: dict[str, Any] = {"convergence": plot.convergence}
    if any(isinstance(part, Profile) for part in found.design.values()):
        figures["design"] = plot.design_profiles
    return figures


def summarise(
    found: Optimisation,
    units: dict[str, str],
    before: dict[str, float],
    after: dict[str, float],
) -> dict[str, Any]:
    """What came out, in SI."""
    return {
        "message": found.message,
        "ended_by": found.ended_by,
        "steps": found.steps,
        "evaluations": found.evaluations,
        "best_step": found.best_step,
        "best_member": found.best_member,
        "loss": float(found.loss),
        "loss_before": float(np.ravel(found.history["loss"][0])[0]),
        "violation": float(found.violation),
        "multipliers": {
            k: np.asarray(v).tolist() for k, v in found.multipliers.items()
        },
        "objectives": {
            name: {"before": before[name], "after": after[name], "unit": units[name]}
            for name in after
        },
        "design": {name: written(part) for name, part in found.design.items()},
        "device": jax.devices()[0].device_kind,
    }


def table(summary: dict[str, Any]) -> str:
    """The summary for people."""
    rows = []
    for name, told in summary["objectives"].items():
        unit = told["unit"]
        rows.append(
            (name, f"{told['before']:.5g} → {told['after']:.5g} {unit}".strip())
        )
    for name, values in summary["design"].items():
        several = isinstance(values, list)
        shown = ", ".join(f"{v:.4g}" for v in (values if several else [values])[:9])
        rows.append((name, shown + (" …" if several and len(values) > 9 else "")))
    for name, value in summary["multipliers"].items():
        rows.append((f"multiplier of {name}", f"{np.max(np.abs(value)):.4g}"))
    rows += [
        ("porosity", f"{summary['host']['porosity']:.4f}"),
        ("gradients", f"{summary['evaluations']}"),
        ("wall time", f"{sum(summary['wall_time_s'].values()):.1f} s"),
        ("results in", f"{summary['folder']} (the design: best.toml)"),
    ]
    return f"{summary['message']}\n\n{aligned(rows)}"
