"""Slices through scaffolds and solutions."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from depojax._checks import refuse
from depojax.fv.grid import AXES
from depojax.plot.metal import OnMetal, on_metal
from depojax.plot.parts import (
    COLOURS,
    CONCENTRATION,
    ORANGE,
    POTENTIAL,
    SOLID,
    WIDTH,
    check_kind,
    headline,
    layers,
    length_unit,
    mark,
    new_figure,
    quantile,
    shown_layers,
)
from depojax.plot.plating import shut_in
from depojax.problems.cell import Cell
from depojax.problems.plating_solution import Plating
from depojax.problems.sand import SandSolution
from depojax.problems.simulate import Simulation
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.scaffold.scaffold import Scaffold
from depojax.units import M, cm, mV, um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# (horizontal, vertical) axis of each slice, and the axis that is cut.
_PLANES = ((0, 2, 1), (1, 2, 0), (0, 1, 2))
CHARGE = r"charge density (C cm$^{-3}$)"
FIELD = r"electric field (MV m$^{-1}$)"
_SLIVER = 0.05  # of the largest area in a cell, below which it is not shown
_SHUT = (0.62, 0.79, 0.88)  # electrolyte behind closed pores: a pale blue


def slices(solution: SandSolution | Simulation | SpaceCharge | Plating) -> "Figure":
    """Three slices through a solution.

    Of a `SandSolution` the concentration, through the place that is depleted first,
    which a circle marks. Of a `Simulation`, through the middle of the host, the
    concentration, the potential of the electrolyte and the local current density on the
    metal (the plated charge, where no current flows at the end). Of a `SpaceCharge`,
    concentration of the plated ion, charge density and field. Of a `Plating` the
    concentration, with metal in orange, dead metal in black and what closed pores shut
    in in pale blue where pores are on the grid, else the share of the volume that is
    metal.

    The solid is grey; a cut cell is grey by its share of solid. Dashes mark the top of
    the scaffold and of the separator, a line the plated collector.

    Raises `ValueError` for a cell that is one cell wide along two axes.
    """
    check_kind(solution, SandSolution, Simulation, SpaceCharge, Plating)
    if not isinstance(solution, SandSolution):
        return _slices_of_run(solution)
    cell, domain = solution.cell, solution.cell.domain()
    top = shown_layers(solution)
    c = np.asarray(solution.concentration)[..., :top] / M
    eps = np.asarray(domain.pore_fraction)[..., :top]
    solid = np.zeros_like(eps)
    if cell.scaffold.resolved:
        nz = cell.scaffold.shape[2]
        solid[..., :nz] = 1 - eps[..., :nz]
    c = np.ma.masked_where(eps <= 0, c)
    place = [float(x) for x in solution.location]
    nodes = [np.asarray(n) / um for n in cell.grid.nodes]
    nodes[2] = nodes[2][: top + 1]
    low, high = float(c.min()), float(c.max())
    if low < 0.5 * high or high <= low:
        low = 0.0
    figure, (panels,), (bar,) = _panels(nodes, "slices")
    for axes, plane in panels:
        index = _index(cell, plane[2], place)
        _fill(axes, nodes, plane, c, index, cmap=COLOURS, vmin=low, vmax=high)
        _cover(axes, nodes, plane, [(solid, SOLID)], index)
        _mark_layers(axes, cell, plane, nodes[2][-1])
        spot = [place[plane[0]] / um, place[plane[1]] / um]
        mark(axes, spot)
        axes.set_title(f"{AXES[plane[2]]} = {place[plane[2]] / um:.4g} µm", fontsize=9)
    _colour_bar(figure, bar, panels[0][0].collections[0], CONCENTRATION)
    figure.suptitle(headline(solution), fontsize=10)
    return figure


def scaffold(scaffold: Scaffold) -> "Figure":
    """The solid of a scaffold in three slices through its middle.

    Raises `ValueError` for a scaffold that is one cell wide along two axes.
    """
    check_kind(scaffold, Scaffold)
    nodes = [np.asarray(n) / um for n in scaffold.grid.nodes]
    eps = np.asarray(scaffold.pore_fraction)
    figure, (panels,), (bar,) = _panels(nodes, "scaffold")
    for axes, plane in panels:
        index = scaffold.shape[plane[2]] // 2
        _fill(axes, nodes, plane, eps, index, cmap="gray", vmin=0.0, vmax=1.0)
        middle = float(scaffold.grid.centers[plane[2]][index]) / um
        axes.set_title(f"{AXES[plane[2]]} = {middle:.4g} µm", fontsize=9)
    _colour_bar(figure, bar, panels[0][0].collections[0], "pore fraction of the cell")
    area = float(scaffold.area_factor)
    words = f"porosity {float(scaffold.porosity):.3f}, area factor {area:.3g}"
    figure.suptitle(words, fontsize=10)
    return figure


class _Layer(NamedTuple):
    """A field as a row of slices: values, colours, and what they mean."""

    values: np.ma.MaskedArray
    label: str
    colours: str
    low: float
    high: float
    over_solid: bool = False

    @property
    def beyond(self) -> str:
        """At which ends of the colours there is more than they show."""
        less, more = self.values.min() < self.low, self.values.max() > self.high
        words = {(True, True): "both", (True, False): "min", (False, True): "max"}
        return words.get((bool(less), bool(more)), "neither")


def _slices_of_run(run: Simulation | SpaceCharge | Plating) -> "Figure":
    cell = run.cell
    top = shown_layers(run)
    domain = run if isinstance(run, Plating) else cell.domain()
    eps = np.asarray(domain.pore_fraction)[..., :top]
    nodes = [np.asarray(n) for n in cell.grid.nodes]
    nodes[2] = nodes[2][: top + 1]
    unit, name = length_unit(max(float(n[-1]) for n in nodes))
    nodes = [n / unit for n in nodes]
    solid = np.zeros_like(eps)
    if cell.scaffold.resolved:
        nz = cell.scaffold.shape[2]
        solid[..., :nz] = 1 - eps[..., :nz]
    covers = [(solid, SOLID)]
    if isinstance(run, Plating):
        covers, fields = _covers_of_metal(run, eps), _of_plating(run, eps)
    elif isinstance(run, SpaceCharge):
        fields = _of_ions(run, eps)
    else:
        fields = _of_cell(run, eps)
    middle = [n // 2 for n in cell.scaffold.shape]
    figure, rows, bars = _panels(nodes, "slices", len(fields), name)
    for panels, bar, field in zip(rows, bars, fields, strict=True):
        for axes, plane in panels:
            index = middle[plane[2]]
            if field.over_solid:
                _cover(axes, nodes, plane, covers, index)
            style = {"cmap": field.colours, "vmin": field.low, "vmax": field.high}
            mesh = _fill(axes, nodes, plane, field.values, index, **style)
            if not field.over_solid:
                _cover(axes, nodes, plane, covers, index)
            _mark_layers(axes, cell, plane, nodes[2][-1], unit)
            if panels is rows[0]:
                where = float(cell.grid.centers[plane[2]][index]) / unit
                axes.set_title(f"{AXES[plane[2]]} = {where:.4g} {name}", fontsize=9)
        _colour_bar(figure, bar, mesh, field.label, field.beyond)
    figure.align_ylabels()
    figure.suptitle(headline(run), fontsize=10)
    return figure


def _of_cell(run: Simulation, eps: np.ndarray) -> list[_Layer]:
    metal = on_metal(run)
    return [
        _in_pore(run.concentration, eps, (M, CONCENTRATION, COLOURS, 0.01)),
        _in_pore(run.liquid_potential, eps, (mV, POTENTIAL, "cividis", 0.1)),
        *([_on_surface(metal, eps.shape)] if metal.area.any() else []),
    ]


def _of_ions(run: SpaceCharge, eps: np.ndarray) -> list[_Layer]:
    """Of the thin layers at the metal the colours show where they are, not how much."""
    plated = run.ion_concentration[run.cell.ions.plated_index]
    field = np.sqrt(np.sum(np.asarray(run.electric_field) ** 2, 0))
    words = f"{run.cell.ions.plated} (mol L$^{{-1}}$)"
    c = _in_pore(plated, eps, (M, words, COLOURS, 0.0))
    rho = _in_pore(run.charge_density, eps, (1 / cm**3, CHARGE, "PuOr_r", 0.0))
    E = _in_pore(field, eps, (1e6, FIELD, "magma", 0.0))
    bulk = float(run.cell.ions.concentration) / M
    most = max(_widely(np.abs(rho.values), eps), 1e-6 * bulk)
    return [
        c._replace(low=0.0, high=max(bulk, _widely(c.values, eps))),
        rho._replace(low=-most, high=most),
        E._replace(low=0.0, high=max(_widely(E.values, eps), 1e-12)),
    ]


def _widely(values: Any, eps: np.ndarray) -> float:
    """What 98 % of the pore stay below."""
    return quantile(values.filled(0.0), eps, 0.98)


def _in_pore(field: Any, eps: np.ndarray, style: tuple[float, str, str, float]):
    """A field in the electrolyte; `style` is unit, label, colours, smallest range."""
    unit, label, colours, smallest = style
    values = np.ma.masked_where(eps <= 0, np.asarray(field)[..., : eps.shape[2]] / unit)
    seen = values.compressed() if values.count() else np.zeros(1)  # all is shut in
    low, high = float(seen.min()), float(seen.max())
    # What a solve leaves at rest is not to be shown in all colours.
    room = max(smallest - (high - low), 0) / 2
    return _Layer(values, label, colours, low - room, high + room)


def _on_surface(metal: OnMetal, shape: tuple[int, ...]) -> _Layer:
    """The metal's quantity where there is surface, but for slivers and extremes."""
    values = np.ma.masked_all(shape)
    seen = metal.area > _SLIVER * metal.area.max()
    values[..., : seen.shape[2]] = np.ma.masked_where(~seen, metal.values)
    low, high = (quantile(metal.values, metal.area, q) for q in (0.01, 0.99))
    if low < 0 < high:  # it plates here and strips there
        high = max(-low, high)
        return _Layer(values, metal.label, "PuOr", -high, high, over_solid=True)
    return _Layer(values, metal.label, COLOURS, low, high, over_solid=True)


def _panels(nodes: list[np.ndarray], what: str, rows: int = 1, unit: str = "µm"):
    """A figure with one panel per plane that is wider than one cell, to one scale.

    Besides the figure the rows, each a list of (axes, plane), and for each row the axes
    of its colour bar.
    """
    planes = [p for p in _PLANES if nodes[p[0]].size > 2 and nodes[p[1]].size > 2]
    if not planes:
        raise refuse(
            what, "at least two cells along two axes", "a line",
            "Draw depth_profile instead.",
        )  # fmt: skip
    widths = [float(nodes[p[0]][-1]) for p in planes]
    heights = [float(nodes[p[1]][-1]) for p in planes]
    # Inches: 0.65 for labels beside each panel, 0.85 for the colour bar, 1.25 for
    # headings and axes; rows below share them.
    beside = 0.85 + 0.65 * len(planes)
    scale = (WIDTH - beside) / sum(widths)
    # Several rows have to go on a page.
    scale = min(scale, (7.0 if rows == 1 else 2.6) / max(heights))
    height = max(scale * max(heights), 1.2)
    width = max(scale * sum(widths) + beside, 0.65 * WIDTH)
    figure = new_figure(rows * (height + 0.2) + 1.05, width)
    ratios = [*widths, 0.11 / scale]
    grid = figure.add_gridspec(rows, len(ratios), width_ratios=ratios)
    panels = [
        [(figure.add_subplot(grid[row, k]), plane) for k, plane in enumerate(planes)]
        for row in range(rows)
    ]
    bars = [figure.add_subplot(grid[row, -1]) for row in range(rows)]
    for row in panels:
        for axes, plane in row:
            axes.set_aspect("equal", anchor="S")
            axes.locator_params(nbins=5)
            axes.set_ylabel(f"{AXES[plane[1]]} ({unit})")
            axes.tick_params(labelsize=8)
            if row is panels[-1]:
                axes.set_xlabel(f"{AXES[plane[0]]} ({unit})")
            else:
                axes.tick_params(labelbottom=False)
    return figure, panels, bars


def _cut(field: np.ndarray, plane: tuple[int, int, int], index: int) -> np.ndarray:
    """The values in a plane, rows along its vertical axis."""
    if isinstance(field, np.ma.MaskedArray):
        return np.ma.take(field, index, axis=plane[2]).T
    return np.take(field, index, axis=plane[2]).T


def _fill(axes: "Axes", nodes, plane, field, index: int, **style: Any):
    sides = nodes[plane[0]], nodes[plane[1]]
    return axes.pcolormesh(*sides, _cut(field, plane, index), rasterized=True, **style)


def _cover(axes: "Axes", nodes, plane, covers: list, index: int) -> None:
    """A colour over the cells by their share of each phase, such as grey of solid."""
    for phase, shade in covers:
        share = _cut(phase, plane, index)
        colour = np.empty((*share.shape, 4))
        colour[..., :3] = shade
        colour[..., 3] = np.clip(share, 0, 1)
        axes.pcolormesh(nodes[plane[0]], nodes[plane[1]], colour, rasterized=True)


def _covers_of_metal(run: Plating, eps: np.ndarray) -> list:
    """Solid in the colour of metal, over it what is shut in, dead, and the host."""
    from matplotlib.colors import to_rgb

    nz = run.cell.scaffold.shape[2]
    if not run.cell.scaffold.resolved:
        return []
    host, solid, dead, shut = (np.zeros_like(eps) for _ in range(4))
    solid[..., :nz] = 1 - eps[..., :nz]
    shut[..., :nz] = shut_in(run)[..., :nz]
    host[..., :nz] = 1 - np.asarray(run.cell.scaffold.pore_fraction)
    dead[..., :nz] = np.asarray(run.dead_metal)[..., :nz]
    return [
        (solid, to_rgb(ORANGE)),
        (shut, _SHUT),
        (dead, (0.0, 0.0, 0.0)),
        (host, SOLID),
    ]


def _of_plating(run: Plating, eps: np.ndarray) -> list[_Layer]:
    c = _in_pore(run.concentration, eps, (M, CONCENTRATION, COLOURS, 0.01))
    if run.cell.scaffold.resolved:
        # Slivers of pore that fill keep their salt: a few cells of tens of mol L⁻¹.
        high = max(min(_widely(c.values, eps), c.high), c.low + 0.02)
        return [c._replace(high=high)]
    first = np.asarray(run.cell.domain().pore_fraction)[..., : eps.shape[2]]
    gone = np.ma.masked_invalid(first - eps)
    words = "metal, share of the volume"
    return [c, _Layer(gone, words, "cividis", min(0.0, float(gone.min())), 1.0)]


def _colour_bar(
    figure: "Figure", axes: "Axes", mesh: Any, label: str, extend: Any = "neither"
) -> None:
    """One colour bar for all panels of a row: they share their colours."""
    bar = figure.colorbar(mesh, cax=axes, extend=extend)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _mark_layers(axes: "Axes", cell: Cell, plane, top: float, unit: float = um) -> None:
    if plane[1] != 2:
        return
    for height in layers(cell, unit):
        if height < 0.999 * top:
            axes.axhline(height, color="white", lw=2.0)
            axes.axhline(height, color="black", lw=1.0, ls="--")
    if cell.plated_collector:
        axes.axhline(0.0, color="black", lw=3.0)
    if cell.separator is not None:
        bottom, roof = (
            float(cell.grid.nodes[2][cell.scaffold.shape[2]]) / unit,
            layers(cell, unit)[-1],
        )
        from matplotlib.patheffects import withStroke

        axes.text(
            0.03,
            (bottom + roof) / 2,
            "separator",
            color="black",
            fontsize=7,
            transform=axes.get_yaxis_transform(),
            va="center",
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )


def _index(cell: Cell, axis: int, place: list[float]) -> int:
    centers = np.asarray(cell.grid.centers[axis])
    return int(np.argmin(np.abs(centers - place[axis])))
