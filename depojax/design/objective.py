"""What an objective is: a number of a cell, and whether more or less of it is better.

    loss = Σ w_k s_k q_k,     s = −1 where more is better, +1 where less is

Objectives that ask the same *question* (one run, one solve) share its answer.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from depojax._checks import check_choice, check_finite, refuse
from depojax._types import Scalar, as_float, is_traced, static
from depojax.problems.cell import Cell
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.results import RESULTS

SENSES = ("maximise", "minimise")


class AbstractQuestion(eqx.Module):
    """What is computed once for all objectives that ask it."""

    @abc.abstractmethod
    def answer(self, cell: Any) -> Any:
        """The solution, of a cell or of a scaffold."""

    @abc.abstractmethod
    def is_answer(self, thing: Any) -> bool:
        """Whether a thing is a solution of this kind."""


class AbstractObjective(eqx.Module):
    """A number of a cell that is to be large, or to be small.

    Called with a `Cell` (or, where nothing but the shape counts, a `Scaffold`) it gives
    the number in `unit`; with the solution of its own question it takes that instead of
    solving. `loss` is the number to be minimised.

        total = 2.0 * SandTime(J) / (100 * s) + HostMass(density) / (0.1 * kg / m**2)

    adds and weights them, each in its own sense: `total(cell)` is to be minimised.
    Divide by what counts as much, for the units differ.

    A run that failed inside of a transformation, where nothing can be raised, counts as
    infinitely bad.
    """

    name: eqx.AbstractVar[str]
    unit: eqx.AbstractVar[str]
    sense: eqx.AbstractVar[str]

    # numpy's numbers must leave the multiplication to us
    __array_ufunc__ = None

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        """What has to be answered first; nothing by default."""
        return ()

    @abc.abstractmethod
    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        """The number, of a cell and the answers to `questions`."""

    def __call__(self, cell: Any) -> Scalar:
        questions = self.questions
        if len(questions) == 1 and questions[0].is_answer(cell):
            return self.measured(getattr(cell, "cell", None), (cell,))
        _check_world(self, cell)
        return self.measured(cell, tuple(q.answer(cell) for q in questions))

    @property
    def sign(self) -> float:
        """−1 where more is better, 1 where less is."""
        check_choice("sense", self.sense, SENSES)
        return -1.0 if self.sense == "maximise" else 1.0

    def loss(self, cell: Any) -> Scalar:
        """The number to be minimised."""
        return self.sign * self(cell)

    def __mul__(self, weight: Any) -> "WeightedSum":
        return WeightedSum(((self, _weight(weight)),))

    def __rmul__(self, weight: Any) -> "WeightedSum":
        return self * weight

    def __truediv__(self, size: Any) -> "WeightedSum":
        return self * (1 / _weight(size))

    def __neg__(self) -> "WeightedSum":
        return self * -1.0

    def __add__(self, other: Any) -> "WeightedSum":
        if isinstance(other, (int, float)) and other == 0:  # what sum() begins with
            return self * 1.0
        if not isinstance(other, AbstractObjective):
            raise refuse(
                "an objective",
                "another to add",
                repr(other),
                "Make an `Own` of a function of your own.",
            )
        return WeightedSum((self * 1.0).terms + (other * 1.0).terms)

    def __radd__(self, other: Any) -> "WeightedSum":
        return self + other

    def __sub__(self, other: Any) -> "WeightedSum":
        return self + (-other)


class WeightedSum(AbstractObjective):
    """Objectives with weights: Σ w s q, to be minimised.

    A negative weight turns the sense of its objective.
    """

    terms: tuple[tuple[AbstractObjective, Scalar], ...]
    name = "sum"
    unit = ""
    sense = "minimise"

    def __init__(self, terms: tuple[tuple[AbstractObjective, Scalar], ...]):
        self.terms = terms

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        return self(cell)  # its terms ask their own questions

    def __call__(self, cell: Any) -> Scalar:
        values = self._values(cell)
        total = jnp.zeros((), jnp.result_type(float))
        for (objective, weight), value in zip(self.terms, values, strict=True):
            total = total + weight * objective.sign * value
        return total

    def parts(self, cell: Any) -> dict[str, Scalar]:
        """Every number by its name, in its own unit, without weight and sense.

        Names that occur twice are numbered.
        """
        named: dict[str, Scalar] = {}
        for (objective, _), value in zip(self.terms, self._values(cell), strict=True):
            name, count = objective.name, 2
            while name in named:
                name, count = f"{objective.name} {count}", count + 1
            named[name] = value
        return named

    def __mul__(self, weight: Any) -> "WeightedSum":
        factor = _weight(weight)
        return WeightedSum(tuple((each, w * factor) for each, w in self.terms))

    def _values(self, cell: Any) -> list[Scalar]:
        known: list[tuple[AbstractQuestion, Any]] = []

        def answer(question: AbstractQuestion) -> Any:
            for asked, found in known:
                if _alike(asked, question):
                    return found
            known.append((question, question.answer(cell)))
            return known[-1][1]

        values = []
        for objective, _ in self.terms:
            _check_world(objective, cell)
            answers = tuple(answer(question) for question in objective.questions)
            values.append(objective.measured(cell, answers))
        return values


class Own(AbstractObjective):
    """A number of your own: any function of a cell.

    Args:
        function: of a `Cell` (or of what the sum is called with), to a scalar.
        name: in words.
        sense: "maximise" or "minimise".
        unit: as text.

    Raises `ValueError` for what is no function, and for another sense.
    """

    function: Callable[[Any], Any]
    name: str = static()
    sense: str = static()
    unit: str = static(default="")

    def __check_init__(self):
        check_choice("sense", self.sense, SENSES)
        if not callable(self.function):
            raise refuse("function", "a function of a cell", repr(self.function))

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        return as_float(self.function(cell))


def cell_of(objective: AbstractObjective, cell: Any) -> Cell:
    """`cell`, refused where it is a scaffold alone."""
    if isinstance(cell, Cell):
        return cell
    raise refuse(
        objective.name,
        "a depojax.Cell",
        type(cell).__name__,
        "It depends on the electrolyte: Cell(scaffold, electrolyte).",
    )


def scaffold_of(cell: Any) -> Scaffold:
    """The scaffold of a cell, or a scaffold as it is."""
    return cell.scaffold if isinstance(cell, Cell) else cell


def or_worst(objective: AbstractObjective, result: RESULTS, value: Any) -> Scalar:
    """The value; infinitely bad where the solve failed."""
    good = result == RESULTS.successful
    # Chosen before the weight: a gradient must not meet 0 × inf.
    return jnp.where(good, value, objective.sign * jnp.inf)


def _check_world(objective: AbstractObjective, cell: Any) -> None:
    if not isinstance(cell, (Cell, Scaffold)) and not isinstance(objective, Own):
        raise refuse(
            objective.name,
            "a depojax.Cell, a Scaffold, or the solution that it reads",
            type(cell).__name__,
        )


def _weight(weight: Any) -> Scalar:
    if isinstance(weight, (AbstractObjective, str)) or np.ndim(weight) != 0:
        raise refuse("weight", "one number", repr(weight))
    check_finite("weight", weight)
    return as_float(weight)


def _alike(first: AbstractQuestion, second: AbstractQuestion) -> bool:
    """Whether two questions are one: the same numbers, as far as they are known."""
    leaves, structure = jax.tree.flatten(first)
    others, other_structure = jax.tree.flatten(second)
    if structure != other_structure:
        return False
    return all(a is b or _equal(a, b) for a, b in zip(leaves, others, strict=True))


def _equal(first: Any, second: Any) -> bool:
    if is_traced(first) or is_traced(second):
        return False
    return bool(np.array_equal(first, second))
