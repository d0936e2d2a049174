"""Writing results and reading them back: xarray, netCDF, VTK."""

from depojax.io.dataset import to_xarray
from depojax.io.files import whole_file
from depojax.io.netcdf import load, save
from depojax.io.provenance import git_revision, provenance
from depojax.io.vtk import to_vtk

__all__ = [
    "git_revision",
    "load",
    "provenance",
    "save",
    "to_vtk",
    "to_xarray",
    "whole_file",
]
