"""Space charge written and read back: nothing is lost, and all is named."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from ionic import SHAPE, made_up_cell, made_up_curve, made_up_solution, steady

import depojax as dj
from depojax import io
from depojax.io.state import CLASSES
from depojax.units import FARADAY


@pytest.fixture(scope="module")
def solution():
    return made_up_solution()


@pytest.fixture(scope="module")
def curve(solution):
    return made_up_curve(solution)


def check_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert type(x) is type(y)
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_round_trip_loses_nothing(solution, curve, tmp_path):
    for number, value in enumerate((solution, curve)):
        io.save(value, tmp_path / f"{number}.nc")
        check_same(value, dj.load(tmp_path / f"{number}.nc"))


@pytest.mark.parametrize("kinetics", [dj.Reversible(20.0), dj.Blocking()])
def test_round_trip_with_kinetics_and_sizes(kinetics, tmp_path):
    cell = made_up_cell(kinetics=kinetics, counter_electrode="reservoir")
    ions = [dataclasses.replace(i, diameter=jnp.asarray(4e-10)) for i in cell.ions.ions]
    electrolyte = dj.MultiIonElectrolyte(ions, cell.ions.concentrations, plated="Cs+")
    failed = dj.RESULTS.where(
        jnp.asarray(True), dj.RESULTS.nonfinite, dj.RESULTS.successful
    )
    awkward = steady(
        made_up_solution(
            cell.replace(electrolyte=electrolyte), electroneutral=True, result=failed
        )
    )
    io.save(awkward, tmp_path / "a.nc")
    back = dj.load(tmp_path / "a.nc")
    check_same(awkward, back)
    assert back.cell.ions.plated == "Cs+"
    assert back.electroneutral


def test_every_part_is_known(solution, curve):
    def parts(value):
        if dataclasses.is_dataclass(value):
            yield type(value)
            for field in dataclasses.fields(value):
                yield from parts(getattr(value, field.name))
        elif isinstance(value, tuple):
            for item in value:
                yield from parts(item)

    found = {*parts(solution), *parts(curve)} - {type(dj.RESULTS.successful)}
    assert dj.Ion in found
    assert found <= set(CLASSES.values())


def test_dataset_has_units_words_and_places(solution):
    data = solution.to_xarray()
    for name, variable in data.variables.items():
        assert "long_name" in variable.attrs, name
        assert "units" in variable.attrs or name in ("axis", "ion"), name
    shape = (*SHAPE[:2], SHAPE[2] + 2)
    assert data.ion_concentration.dims == ("ion", "x", "y", "z")
    assert data.ion_concentration.shape == (3, *shape)
    assert data.ion.values.tolist() == ["Li+", "Cs+", "PF6-"]
    assert data.electric_field.sel(axis="z").dims == ("x", "y", "z")
    assert data.collector_field.dims == ("x", "y")
    assert data.collector_current_density.dims == ("x", "y")
    assert data.voltage_history.dims == ("time",)
    assert data.time.values.tolist() == [0.0, 1e-8, 4e-8]
    assert np.allclose(data.z, (np.arange(8) + 0.5) * 5e-9, rtol=1e-12)
    assert float(data.voltage) == -0.5
    assert float(data.layer_thickness) == 3e-9
    assert data.ion_charge.sel(ion="PF6-") == -1
    assert data.attrs["plated"] == "Li+"


def test_dataset_holds_what_the_solution_holds(solution):
    """Charge is that of the ions by their names; the host has values at its wall."""
    data = solution.to_xarray()
    cs = data.ion_concentration.sel(ion="Cs+").values
    assert np.array_equal(cs, solution.ion_concentration[1])
    ions = (data.ion_charge * data.bulk_concentration).sum("ion")
    assert abs(float(ions)) * FARADAY < 1e-9
    host = data.surface_area.values > 0
    assert 0 < host.sum() < host.size
    for name in ("host_field", "local_current_density"):
        assert np.array_equal(np.isfinite(data[name]), host), name
    dry = data.pore_fraction.values == 0
    assert np.array_equal(np.isnan(data.potential), dry)
    assert dry.any()
    given = json.loads(data.attrs["input"])
    assert given["electrolyte"]["ions"][2]["charge"] == -1


def test_files_are_read_by_xarray(solution, curve, tmp_path):
    for value in (solution, curve):
        io.save(value, tmp_path / "a.nc")
        meant = io.to_xarray(value)
        with xr.open_dataset(tmp_path / "a.nc") as found:
            for name in meant.variables:
                same = np.array_equal(
                    found[name].values, meant[name].values,
                    equal_nan=meant[name].dtype.kind == "f",
                )  # fmt: skip
                assert same, name


def test_curves_run_along_the_voltage(curve):
    data = curve.to_xarray()
    for name, variable in data.variables.items():
        assert variable.dims == ("voltage",)
        assert {"units", "long_name"} <= set(variable.attrs), name
    assert float(data.current_density.sel(voltage=-0.5)) == 300.0
    assert data.found.values.tolist() == [1, 0, 1]


def test_vtk_has_a_field_for_every_ion(solution, tmp_path):
    pyvista = pytest.importorskip("pyvista")
    io.to_vtk(solution, tmp_path / "a.vti")
    mesh = pyvista.read(tmp_path / "a.vti")
    anion = mesh.cell_data["ion_concentration_PF6-"]
    meant = np.asarray(solution.ion_concentration[2])
    assert np.array_equal(anion.reshape(meant.shape, order="F"), meant)
    assert "electric_field_z" in mesh.cell_data
    assert "charge_density" in mesh.cell_data


def test_batches_are_refused(solution, curve):
    for value in (solution, curve):
        batch = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), value)
        with pytest.raises(ValueError, match=r"one solution, got a batch of \(2,\)"):
            io.to_xarray(batch)
    traced = eqx.tree_at(lambda s: s.end_time, solution, jnp.ones(2))
    with pytest.raises(ValueError, match="got a batch"):
        traced.to_xarray()
