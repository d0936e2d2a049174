"""How a solve ended, in a sentence that says what to do about it."""

import equinox as eqx


class RESULTS(eqx.Enumeration):
    """The outcome of a solve: a value inside of transformations, a sentence outside."""

    successful = ""
    max_steps_reached = (
        "The largest number of time steps was reached before the run ended. "
        "Raise max_steps, or loosen the tolerance."
    )
    event_at_start = (
        "The event has happened before the first step. A wall is depleted at once when "
        "the grid is too coarse for the current: the layer that depletes is thinner "
        "than half a cell. Refine the cells at the wall, or lower the current."
    )
    step_too_small = (
        "The time step fell below what the precision resolves. The problem may be "
        "badly scaled (check units), or the tolerance too tight for float32."
    )
    linear_solve_failed = (
        "A linear solve did not reach its tolerance. Check the scaffold for features "
        "thinner than a cell and for extreme coefficients; in float32, use float64 "
        '(jax.config.update("jax_enable_x64", True)).'
    )
    nonlinear_solve_failed = (
        "Newton's method did not converge. The cell may not be able to carry the "
        "current (beyond its limiting current, or where a surface is depleted); else "
        "lower the current or raise it in steps, and check units."
    )
    beyond_limiting_current = (
        "The neutral solution does not carry this current: it is beyond the limiting "
        "current, at which the ions at a surface run out. Lower it, or solve for the "
        "space charge that carries more (electroneutral=False, or asymptotic=True)."
    )
    ran_out = (
        "The ions at a surface ran out before the run ended, at Sand's time: a neutral "
        "solution does not carry the current any longer. Lower it, or solve for the "
        "space charge that forms then (electroneutral=False, or asymptotic=True)."
    )
    nonfinite = (
        "The solution is not finite (NaN or infinity). An input is not finite or far "
        "outside of its physical range."
    )


class SolveError(RuntimeError):
    """A solve failed; what was computed until then is in `solution`."""

    def __init__(self, message: str, solution: object = None):
        super().__init__(message)
        self.solution = solution
