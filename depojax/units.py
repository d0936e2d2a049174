"""Units as plain multipliers to SI, and the physical constants.

A quantity is written as a number times its unit and is in SI from then on:

    20 * mA / cm**2  ==  200.0  [A m-2]

Constants: CODATA 2018 (exact since the 2019 SI), doi:10.1103/RevModPhys.93.025010.
"""

# length [m]
m = 1.0
cm = 1e-2
mm = 1e-3
um = 1e-6
nm = 1e-9

# time [s]
s = 1.0
ms = 1e-3
minute = 60.0
hour = 3600.0

# current [A], charge [C], potential [V], resistance [Ω], conductance [S],
# capacitance [F]
A = 1.0
mA = 1e-3
uA = 1e-6
C = 1.0
Ah = 3600.0
mAh = 3.6
V = 1.0
mV = 1e-3
ohm = 1.0
S = 1.0
mS = 1e-3
F = 1.0
uF = 1e-6

# amount [mol], concentration [mol m-3]
mol = 1.0
M = 1e3
mM = 1.0

# mass [kg], energy [J], temperature [K]
kg = 1.0
g = 1e-3
mg = 1e-6
J = 1.0
kJ = 1e3
eV = 1.602176634e-19
K = 1.0

# angle [rad]
degree = 0.017453292519943295

FARADAY = 96485.33212  # F [C mol-1]
GAS_CONSTANT = 8.314462618  # R [J mol-1 K-1]
BOLTZMANN = 1.380649e-23  # k_B [J K-1]
AVOGADRO = 6.02214076e23  # N_A [mol-1]
VACUUM_PERMITTIVITY = 8.8541878128e-12  # ε₀ [F m-1]
ZERO_CELSIUS = 273.15  # [K]
ROOM_TEMPERATURE = 298.15  # [K]


def celsius(temperature: float) -> float:
    """Temperature in kelvin [K] from degrees Celsius [°C]."""
    return temperature + ZERO_CELSIUS
