"""The tortuosity factor of voxel images, beside the programs that others use for it.

    python benchmarks/tortuosity.py              everything; half an hour on two cores
    python benchmarks/tortuosity.py --quick      64³ only
    python benchmarks/tortuosity.py --iterations iterations from 64³ to 256³ instead

The peers (`pip install pyamg porespy taufactor`) are left out where they are missing.
Every case runs in a process of its own: first calls and memory are its own. A second
process, which finds the compiled programs on disk, tells what that saves.

All see the same image. The error is that of the flux against depojax's own solve to a
residual of 1e-12. porespy holds its two values in the centres of the first and last
voxels, half a voxel from where the others hold them: what is printed for it as an error
is mostly that, of the order of 1/n.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from shared.machine import peak_memory, print_machine, timed

PEERS = ("taufactor", "porespy", "pyamg")
CASES = {  # program: what is varied, as (label, argument)
    "depojax": [
        ("float32, residual 1e-2", {"precision": "float32", "tolerance": 1e-2}),
        ("float32, residual 1e-5", {"precision": "float32", "tolerance": 1e-5}),
        ("mixed, residual 1e-3", {"precision": "mixed", "tolerance": 1e-3}),
        ("mixed, residual 1e-8", {"precision": "mixed", "tolerance": 1e-8}),
        ("float64, residual 1e-8", {"precision": "float64", "tolerance": 1e-8}),
    ],
    "taufactor": [("conv 1e-2", {"conv": 1e-2}), ("conv 1e-4", {"conv": 1e-4})],
    "pyamg": [
        ("Ruge-Stüben, 1e-8", {"kind": "ruge_stuben"}),
        ("smoothed aggregation, 1e-8", {"kind": "smoothed_aggregation"}),
    ],
    "porespy": [("tortuosity_fd", {})],
}


def main() -> None:
    """Run every case and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="64³ only")
    parser.add_argument("--iterations", action="store_true", help="iterations only")
    parser.add_argument("--sizes", type=int, nargs="*", help="voxels per side")
    parser.add_argument("--media", nargs="*", help="only those that begin so")
    parser.add_argument("--cases", nargs="*", help="only those that contain a word")
    parser.add_argument("--once", action="store_true", help="no second process")
    parser.add_argument("--note", default="", help="words for the header")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--image", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_case(**json.loads(options.child))))
        return
    if options.image:
        medium, n, path = options.image
        np.save(path, image_of(medium, int(n)))
        return
    print_machine(options.note, PEERS)
    if options.iterations:
        print_iterations(options.sizes or [64, 128, 256], options.media)
        return
    sizes = options.sizes or ([64] if options.quick else [128, 256])
    with tempfile.TemporaryDirectory() as folder:
        for n in sizes:
            for medium in ("blobs 0.5", "fibre mat 0.85", "foam 0.9"):
                if wanted(medium, options.media):
                    compare(medium, n, Path(folder), options.cases, options.once)


def compare(medium: str, n: int, folder: Path, only, once: bool) -> None:
    """One image by all programs."""
    path = folder / f"{medium.replace(' ', '_')}_{n}.npy"
    # In another process too: what this one has used, its children would report.
    command = [sys.executable, __file__, "--image", medium, str(n), str(path)]
    subprocess.run(command, check=True)
    print(f"\n{medium}, {n}³: porosity {np.load(path).mean():.4f}")
    print(
        f"{'program':36} {'first s':>8} {'again s':>8} {'warm s':>8} "
        f"{'iterations':>10} {'D_eff/D':>12} {'error':>9} {'GB':>6}"
    )
    exact = None
    for program, cases in CASES.items():
        if program != "depojax" and find_spec(program) is None:
            print(f"{program:36} not installed")
            continue
        if program in ("pyamg", "porespy") and n > 128:
            continue  # minutes, and more memory than most machines have
        if exact is None:
            exact = in_own_process(
                program, path, folder, precision="float64", tolerance=1e-12
            )["value"]
        for label, settings in cases:
            if only and not any(word in f"{program}: {label}" for word in only):
                continue
            found = in_own_process(program, path, folder, **settings)
            if "failed" in found:
                print(f"{program + ': ' + label:36} failed: {found['failed']}")
                continue
            again = (
                in_own_process(program, path, folder, **settings)["first"]
                if program == "depojax" and not once
                else float("nan")
            )
            print(
                f"{program + ': ' + label:36} {found['first']:8.2f} {again:8.2f} "
                f"{found['warm']:8.3f} {found['iterations'] or '':>10} "
                f"{found['value']:12.9f} {found['value'] / exact - 1:9.1e} "
                f"{found['memory']:6.2f}",
                flush=True,
            )


def in_own_process(program: str, path: Path, folder: Path, **settings) -> dict:
    """The numbers of one case, measured in a fresh interpreter."""
    case = {"program": program, "path": str(path), "cache": str(folder)} | settings
    command = [sys.executable, __file__, "--child", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no word"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def run_case(program: str, path: str, cache: str, **settings) -> dict:
    """One case, in this process."""
    image = np.load(path)
    programs = {
        "depojax": by_depojax,
        "taufactor": by_taufactor,
        "pyamg": by_pyamg,
        "porespy": by_porespy,
    }
    if program == "depojax":
        settings["cache"] = cache
    found = programs[program](image, **settings)
    return found if "memory" in found else found | {"memory": peak_memory()}


def by_depojax(image, precision: str, tolerance: float, cache: str) -> dict:
    """First and warm; the programs are kept in `cache`."""
    import jax

    jax.config.update("jax_enable_x64", precision != "float32")
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    import depojax as dj

    def solve():
        found = dj.tortuosity(image, linear_tolerance=tolerance, precision=precision)
        return float(found.effective_diffusivity), int(found.iterations)

    first, _ = timed(solve)
    runs = [timed(solve) for _ in range(3)]
    value, iterations = runs[0][1]
    warm = min(seconds for seconds, _ in runs)
    return {"first": first, "warm": warm, "value": value, "iterations": iterations}


def by_taufactor(image, conv: float) -> dict:
    """Red-black relaxation in torch; z is its first axis here."""
    import taufactor
    import torch

    on_device = torch.cuda.is_available()

    turned = np.ascontiguousarray(np.moveaxis(image, 2, 0)).astype(np.uint8)
    times, value = [], float("nan")
    for _ in range(1 if image.shape[0] > 128 else 2):
        start = time.perf_counter()
        solver = taufactor.Solver(turned, device="cuda" if on_device else "cpu")
        solver.solve(verbose=False, conv_crit=conv)
        times.append(time.perf_counter() - start)
        value = float(np.squeeze(np.asarray(solver.D_eff)))
    found = {"first": times[0], "warm": times[-1], "value": value, "iterations": None}
    if on_device:
        found["memory"] = torch.cuda.max_memory_allocated() / 1e9
    return found


def by_porespy(image) -> dict:
    """Its finite differences, with its own choice of solver."""
    import porespy

    times, value = [], float("nan")
    for _ in range(2):
        start = time.perf_counter()
        found = porespy.simulations.tortuosity_fd(image, axis=2)
        times.append(time.perf_counter() - start)
        value = found.effective_porosity / found.tortuosity
    return {"first": times[0], "warm": times[-1], "value": value, "iterations": None}


def by_pyamg(image, kind: str) -> dict:
    """scipy's conjugate gradients on the assembled matrix; assembly is not counted."""
    import pyamg
    from scipy.sparse.linalg import cg

    A, b, top = assembled(image)
    setup = {
        "ruge_stuben": pyamg.ruge_stuben_solver,
        "smoothed_aggregation": pyamg.smoothed_aggregation_solver,
    }[kind]
    times, value, count = [], float("nan"), 0
    for _ in range(2):
        start = time.perf_counter()
        M = setup(A).aspreconditioner()
        steps = []
        u, info = cg(A, b, rtol=1e-8, atol=0.0, M=M, callback=steps.append)
        times.append(time.perf_counter() - start)
        if info:
            raise RuntimeError(f"conjugate gradients did not converge: {info}")
        n = image.shape[2]
        value = float(2 * (u[top] @ np.ones(top.size)) * n / image[..., 0].size)
        count = len(steps)
    return {
        "first": times[0],
        "warm": times[-1],
        "value": value,
        "iterations": count,
    }


def assembled(image):
    """Matrix over the voxels with a path to an end, right-hand side, the last voxels.

    u = 1 at the low end of z, 0 at the high end.
    """
    from scipy import sparse
    from scipy.ndimage import label

    parts, _ = label(image)
    ends = np.union1d(np.unique(parts[..., 0]), np.unique(parts[..., -1]))
    joined = np.isin(parts, ends[ends > 0])
    index = np.full(image.shape, -1)
    index[joined] = np.arange(joined.sum())
    links = []
    for axis in range(3):
        n = image.shape[axis]
        below = np.take(index, range(n - 1), axis)
        above = np.take(index, range(1, n), axis)
        both = (below >= 0) & (above >= 0)
        links.append((below[both], above[both]))
    i, j = (np.concatenate(side) for side in zip(*links, strict=True))
    size = int(joined.sum())
    off = sparse.coo_matrix((np.ones(i.size), (i, j)), (size, size)).tocsr()
    off = off + off.T
    first = index[..., 0][joined[..., 0]]
    last = index[..., -1][joined[..., -1]]
    held = np.zeros(size)
    held[first] += 2
    held[last] += 2
    b = np.zeros(size)
    b[first] = 2
    diagonal = np.asarray(off.sum(1)).ravel() + held
    return (sparse.diags(diagonal) - off).tocsr(), b, last


def image_of(medium: str, n: int) -> np.ndarray:
    """A voxel image: True is pore. Features grow with n."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import depojax as dj
    from depojax.units import um

    name, _, porosity = medium.rpartition(" ")
    porosity = float(porosity)
    if name == "blobs":
        return blobs(n, porosity, n / 40)
    if name == "foam":
        return struts(n, porosity, cells=4)
    if name == "gyroid":
        host = dj.gyroid((n,) * 3, 1 * um, porosity=porosity, period=n / 2 * um)
    else:
        host = dj.fibre_mat(
            (n,) * 3, 1 * um, porosity=porosity, fibre_diameter=n / 16 * um, key=1
        )
    return np.asarray(host.pore_fraction) > 0.5


def struts(n: int, porosity: float, cells: int) -> np.ndarray:
    """An open foam: the edges of a Voronoi tessellation, some `cells` per side."""
    from scipy.spatial import cKDTree

    seeds = np.random.default_rng(1).random(((cells + 2) ** 3, 3)) * (cells + 2) - 1
    place = (np.arange(n) + 0.5) * cells / n
    mesh = np.stack(np.meshgrid(place, place, place, indexing="ij"), -1)
    near, _ = cKDTree(seeds).query(mesh.reshape(-1, 3), k=3, workers=-1)
    # An edge is where three seeds are equally near.
    excess = (near[:, 2] - near[:, 0]).astype(np.float32).reshape((n,) * 3)
    return excess > np.quantile(excess, 1 - porosity)


def refined_scan(path: Path, n: int) -> np.ndarray:
    """The first 64³ voxels of a scan, each as (n/64)³ of them."""
    import depojax as dj

    host = dj.Scaffold.from_image(
        path, 1.3e-6, threshold=90, solid="above", cut=False, trim=False
    )
    image = np.asarray(host.pore_fraction)[:64, :64, :64] > 0.5
    for axis in range(3):
        image = np.repeat(image, n // 64, axis=axis)
    return image


def blobs(n: int, porosity: float, width: float) -> np.ndarray:
    """Smoothed noise, cut at the porosity."""
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(0).normal(size=(n, n, n)).astype(np.float32)
    smooth = gaussian_filter(noise, width, mode="wrap")
    return smooth < np.quantile(smooth, porosity)


def wanted(medium: str, media: list[str] | None) -> bool:
    """Whether a medium was asked for."""
    return not media or any(medium.startswith(name) for name in media)


def print_iterations(sizes, only) -> None:
    """Iterations to 1e-8 (mixed) as the same medium is resolved more finely."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import depojax as dj

    print("\nIterations to a residual of 1e-8 (and 1e-3), float32 cycle")
    print(
        f"{'medium':28}" + "".join(f"{f'{n}³':>12}" for n in sizes) + f"{'growth':>9}"
    )
    media = [
        "blobs 0.5",
        "blobs 0.7",
        "fibre mat 0.85",
        "foam 0.9",
        "gyroid 0.6",
        "grains of 2 voxels 0.5",
        "two phases, contrast 1e6",
    ]
    scan = Path(os.environ.get("DEPOJAX_DATA", "")) / "fiberform_100.tif"
    if scan.is_file():
        media.append("fiberform, 64³ voxels refined")
    for medium in media:
        if not wanted(medium, only):
            continue
        row = []
        for n in sizes:
            if medium.startswith("two"):
                image = np.where(blobs(n, 0.5, n / 40), 1.0, 1e-6)
            elif medium.startswith("grains"):
                image = blobs(n, 0.5, 1.6)
            elif medium.startswith("fiberform"):
                image = refined_scan(scan, n)
            else:
                image = image_of(medium, n)
            row.append(
                [
                    int(dj.tortuosity(image, linear_tolerance=tol).iterations)
                    for tol in (1e-8, 1e-3)
                ]
            )
            jax.clear_caches()
        cells = "".join(f"{f'{fine} ({loose})':>12}" for fine, loose in row)
        print(f"{medium:28}{cells}{row[-1][0] / row[0][0]:9.2f}", flush=True)


if __name__ == "__main__":
    main()
