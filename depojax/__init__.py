"""depojax: when and where ions run out in a 3D metal-anode scaffold.

    foam = depojax.foam(shape, voxel_size, porosity=…, pore_diameter=…, key=…)
    cell = depojax.Cell(foam, electrolyte, separator=…)
    depojax.sand_time(cell, current_density).time

The README has the whole of it in ten lines.
"""

from depojax import io, plot, units
from depojax._compile import keep_programs
from depojax.design import objectives
from depojax.design.constraints import AugmentedLagrangian, Constraint
from depojax.design.fields import Profile, VolumeField
from depojax.design.optimisation import Optimisation
from depojax.design.optimise import optimise
from depojax.design.parameters import (
    CurrentSegments,
    DesignedCell,
    DesignedScaffold,
    FreeDensity,
    FreeLevelSet,
    GradedPorosity,
)
from depojax.design.scenarios import robust
from depojax.design.sensitivities import (
    Sensitivities,
    Uncertainty,
    propagate_uncertainty,
    sensitivities,
)
from depojax.design.starts import scattered_starts
from depojax.design.substrate import DesignedNucleation
from depojax.design.sweep import sweep
from depojax.design.topology import FilteredDensity, PorousMedium, helmholtz_filter
from depojax.design.variables import Balanced, Bounded, Monotone, Positive, Unbounded
from depojax.fv.grid import Grid, stretched_widths
from depojax.io import load, save
from depojax.physics import electrolytes, metals, substrates
from depojax.physics.concentrated import ConcentratedElectrolyte, FittedLaw
from depojax.physics.deposit import DeadMetal, SurfaceLoss
from depojax.physics.electrolyte import BinaryElectrolyte, IdealDilute, Properties
from depojax.physics.film import Film
from depojax.physics.ions import Ion, MultiIonElectrolyte
from depojax.physics.kinetics import (
    Blocking,
    ButlerVolmer,
    LinearKinetics,
    Marcus,
    MarcusHushChidsey,
    Reversible,
    Tafel,
)
from depojax.physics.metals import Metal
from depojax.physics.nucleation import Nucleation
from depojax.physics.nuclei import Nuclei, draw_nuclei
from depojax.physics.nuclei_state import NucleiState
from depojax.physics.retention import cycle_life, efficiency_for, retention_after
from depojax.physics.scharifker_hills import (
    Transient,
    hemisphere_radius,
    scharifker_hills,
)
from depojax.physics.stress import curvature_stress
from depojax.problems.cell import Cell, Separator
from depojax.problems.currents import ConstantCurrent, PulsedCurrent
from depojax.problems.distribution import (
    ConcentrationDrop,
    DepthProfile,
    Distribution,
    concentration_drop,
    current_distribution,
    depth_profile,
    top_share,
)
from depojax.problems.fitting import fit_kinetics
from depojax.problems.fitting_transients import TransientFit, fit_scharifker_hills
from depojax.problems.growth import HomogenisedGrowth
from depojax.problems.impedance import Impedance, impedance
from depojax.problems.level_set_growth import LevelSetGrowth
from depojax.problems.nucleation_transient import (
    NucleationTransient,
    nucleation_transient,
)
from depojax.problems.planar import planar_limiting_current, planar_sand_time
from depojax.problems.plating import plate
from depojax.problems.plating_solution import Plating
from depojax.problems.plating_window import Windows
from depojax.problems.polarisation import PolarisationCurve, polarisation_curve
from depojax.problems.protocols import Protocol
from depojax.problems.sand import SandSolution, limiting_current, sand_time
from depojax.problems.similarity import damkohler_number, wagner_number
from depojax.problems.simulate import Simulation, simulate
from depojax.problems.space_charge import space_charge
from depojax.problems.space_charge_curve import SpaceChargeCurve, space_charge_curve
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.problems.steps import (
    CurrentProfile,
    CyclicVoltammetry,
    Galvanostatic,
    Potentiostatic,
    Pulse,
    Rest,
    ReversePulse,
    VoltageProfile,
)
from depojax.problems.tortuosity import (
    Tortuosity,
    effective_diffusivity,
    tortuosity,
)
from depojax.problems.tortuosity_map import TortuosityMap, tortuosity_map
from depojax.problems.until import Until
from depojax.scaffold.averages import averaged_foam
from depojax.scaffold.channels import aligned_channels, stacked_sheets
from depojax.scaffold.fibres import carbon_cloth, fibre_mat
from depojax.scaffold.foams import foam
from depojax.scaffold.foils import foil, grooves, needles, pillars, rough_foil
from depojax.scaffold.gradients import Graded
from depojax.scaffold.measures import (
    connected_fraction,
    percolates,
    pore_size_distribution,
    report,
)
from depojax.scaffold.packings import sphere_array, sphere_pack
from depojax.scaffold.random_fields import gaussian_random_field
from depojax.scaffold.scaffold import Scaffold
from depojax.scaffold.tpms import gyroid, schwarz_d, schwarz_p
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import Steps

__all__ = [
    "RESULTS",
    "AugmentedLagrangian",
    "Balanced",
    "BinaryElectrolyte",
    "Blocking",
    "Bounded",
    "ButlerVolmer",
    "Cell",
    "ConcentratedElectrolyte",
    "ConcentrationDrop",
    "ConstantCurrent",
    "Constraint",
    "CurrentProfile",
    "CurrentSegments",
    "CyclicVoltammetry",
    "DeadMetal",
    "DepthProfile",
    "DesignedCell",
    "DesignedNucleation",
    "DesignedScaffold",
    "Distribution",
    "Film",
    "FilteredDensity",
    "FittedLaw",
    "FreeDensity",
    "FreeLevelSet",
    "Galvanostatic",
    "Graded",
    "GradedPorosity",
    "Grid",
    "HomogenisedGrowth",
    "IdealDilute",
    "Impedance",
    "Ion",
    "LevelSetGrowth",
    "LinearKinetics",
    "Marcus",
    "MarcusHushChidsey",
    "Metal",
    "Monotone",
    "MultiIonElectrolyte",
    "Nucleation",
    "NucleationTransient",
    "Nuclei",
    "NucleiState",
    "Optimisation",
    "Plating",
    "PolarisationCurve",
    "PorousMedium",
    "Positive",
    "Potentiostatic",
    "Profile",
    "Properties",
    "Protocol",
    "Pulse",
    "PulsedCurrent",
    "Rest",
    "ReversePulse",
    "Reversible",
    "SandSolution",
    "Scaffold",
    "Sensitivities",
    "Separator",
    "Simulation",
    "SolveError",
    "SpaceCharge",
    "SpaceChargeCurve",
    "Steps",
    "SurfaceLoss",
    "Tafel",
    "Tortuosity",
    "TortuosityMap",
    "Transient",
    "TransientFit",
    "Unbounded",
    "Uncertainty",
    "Until",
    "VoltageProfile",
    "VolumeField",
    "Windows",
    "aligned_channels",
    "averaged_foam",
    "carbon_cloth",
    "concentration_drop",
    "connected_fraction",
    "current_distribution",
    "curvature_stress",
    "cycle_life",
    "damkohler_number",
    "depth_profile",
    "draw_nuclei",
    "effective_diffusivity",
    "efficiency_for",
    "electrolytes",
    "fibre_mat",
    "fit_kinetics",
    "fit_scharifker_hills",
    "foam",
    "foil",
    "gaussian_random_field",
    "grooves",
    "gyroid",
    "helmholtz_filter",
    "hemisphere_radius",
    "impedance",
    "io",
    "keep_programs",
    "limiting_current",
    "load",
    "metals",
    "needles",
    "nucleation_transient",
    "objectives",
    "optimise",
    "percolates",
    "pillars",
    "planar_limiting_current",
    "planar_sand_time",
    "plate",
    "plot",
    "polarisation_curve",
    "pore_size_distribution",
    "propagate_uncertainty",
    "report",
    "retention_after",
    "robust",
    "rough_foil",
    "sand_time",
    "save",
    "scattered_starts",
    "scharifker_hills",
    "schwarz_d",
    "schwarz_p",
    "sensitivities",
    "simulate",
    "space_charge",
    "space_charge_curve",
    "sphere_array",
    "sphere_pack",
    "stacked_sheets",
    "stretched_widths",
    "substrates",
    "sweep",
    "top_share",
    "tortuosity",
    "tortuosity_map",
    "units",
    "wagner_number",
]

__version__ = "0.1.0"
