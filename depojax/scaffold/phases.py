"""Which voxels of an image are pore: by a threshold, by labels, or as they stand.

What the image does not say (on which side of a grey value the solid is, which label is
pore) is asked for; a refusal lists what the image holds.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool

from depojax._checks import check_finite, refuse
from depojax.scaffold.image_files import check_dimensions

Phase = Bool[np.ndarray, "x y z"]


def phase_of(
    image: Any, *, threshold: float | None = None, pore: Any = None, solid: Any = None
) -> Phase:
    """Which voxels are pore (True), from a boolean, labelled or grey image.

        boolean image                                  True is pore, no more words
        labels   pore=0,  solid=1,  pore=[0, 3]        the other labels are the rest
        grey     threshold=90, solid="above"           value ≥ 90 is solid, < 90 pore
                 threshold=90, solid="below"           value < 90 is solid, ≥ 90 pore

    X-ray tomography shows the denser phase brighter: `solid="above"`. Neither side is
    assumed, nor that 1 is pore in an image of 0 and 1: tools differ.

    Raises `ValueError` when the words are missing, too many or contradict each other,
    for labels that do not occur, NaN, values that are no numbers, or no 3D image.
    """
    image = np.asarray(image)
    check_dimensions(image)
    if image.dtype == bool:
        if not (threshold is None and pore is None and solid is None):
            raise refuse(
                "threshold, pore, solid",
                "nothing for a boolean image (True is pore)",
                "one of them",
                "Give ~image where True is solid.",
            )
        return image
    if not (
        np.issubdtype(image.dtype, np.integer)
        or np.issubdtype(image.dtype, np.floating)
    ):
        raise refuse("image", "booleans, integers or floats", f"dtype {image.dtype}")
    check_finite("image", image)
    if threshold is not None:
        return _split(image, threshold, pore, solid)
    if pore is None and solid is None:
        raise refuse(
            "threshold, pore, solid",
            "which voxels are pore",
            "none of them",
            _cure(image),
        )
    if isinstance(pore, str) or isinstance(solid, str):
        raise refuse("threshold", 'a grey value to go with "above" or "below"', "none")
    return _labelled(image, pore, solid)


def _cure(image: np.ndarray) -> str:
    values = np.unique(image)
    if len(values) <= 8:
        return (
            f"Its labels are {_listed(values)}: say pore={values[0]:g} or "
            f"solid={values[0]:g}, or give a boolean image (True is pore)."
        )
    return (
        f"It is grey, from {values[0]:g} to {values[-1]:g}: give "
        'threshold=... with solid="above" or solid="below".'
    )


def _listed(values: np.ndarray) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:8])
    return shown if len(values) <= 8 else f"{shown}, … ({len(values)} values)"


def _split(image: np.ndarray, threshold: float, pore: Any, solid: Any) -> Phase:
    check_finite("threshold", threshold)
    given = [
        (name, side)
        for name, side in (("pore", pore), ("solid", solid))
        if side is not None
    ]
    if len(given) != 1 or given[0][1] not in ("above", "below"):
        got = ", ".join(f"{name}={side!r}" for name, side in given) or "neither"
        raise refuse(
            "solid",
            '"above" or "below" to say on which side of the threshold the solid is',
            got,
            'X-ray images show the denser phase brighter: solid="above" (≥ threshold).',
        )
    low, high = image.min(), image.max()
    if not low < threshold <= high:
        raise refuse(
            "threshold",
            f"a grey value within ({low:g}, {high:g}], to split the image",
            f"{threshold:g}",
        )
    name, side = given[0]
    above = image >= threshold
    return above if (name == "pore") == (side == "above") else ~above


def _labelled(image: np.ndarray, pore: Any, solid: Any) -> Phase:
    found = np.unique(image)
    parts = {}
    for name, labels in (("pore", pore), ("solid", solid)):
        if labels is None:
            continue
        check_finite(name, labels)
        labels = np.atleast_1d(np.asarray(labels))
        absent = [label for label in labels if label not in found]
        if absent:
            raise refuse(
                name,
                f"labels of the image ({_listed(found)})",
                f"{_listed(np.asarray(absent))}, which does not occur",
            )
        parts[name] = np.isin(image, labels)
    if len(parts) == 2 and not np.array_equal(parts["pore"], ~parts["solid"]):
        raise refuse(
            "pore, solid",
            f"each label ({_listed(found)}) in exactly one of them",
            "labels in both or in neither",
            "Give one of the two: the rest is the other.",
        )
    return parts["pore"] if "pore" in parts else ~parts["solid"]
