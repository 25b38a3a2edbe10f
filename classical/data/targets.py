"""What a network is asked about the items of a data set, and what a Helmholtz machine can model of them."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from qnat.experiment.errors import RefusedError

from .headers import NO_LABELS
from .sets import Data

Kind = Literal["autoencode", "classify", "regress"]


class Pairs(NamedTuple):
    """Inputs and targets in rows, for training and for testing; classes are one-hot."""

    x: Float[np.ndarray, "N D"]
    y: Float[np.ndarray, "N K"]
    test_x: Float[np.ndarray, "M D"]
    test_y: Float[np.ndarray, "M K"]


def pairs(data: Data, kind: Kind) -> Pairs:
    """Inputs and targets.

    Args:
        data: the items.
        kind: "autoencode" asks for the items themselves, values in [0, 1]; "classify" for their labels; "regress" for
            the labels as numbers, or in a set without labels for the last value of an item, which is then no input.

    Raises:
        RefusedError: the data have no such targets.
    """
    if kind == "autoencode":
        if min(data.train.min(), data.test.min()) < 0 or max(data.train.max(), data.test.max()) > 1:
            raise RefusedError(
                "The data have values outside [0, 1], which no autoencoder of bits reproduces; scale them."
            )
        return Pairs(data.train, data.train, data.test, data.test)
    if data.train_labels is None or data.test_labels is None:
        if kind == "classify":
            raise RefusedError(NO_LABELS)
        return Pairs(data.train[:, :-1], data.train[:, -1:], data.test[:, :-1], data.test[:, -1:])
    labels = data.train_labels, data.test_labels
    _check_labels(data)
    if kind == "regress":
        y, test_y = (part[:, None].astype(float) for part in labels)
        return Pairs(data.train, y, data.test, test_y)
    known = np.unique(labels[0])
    if not np.array_equal(known, np.arange(len(known))):
        raise RefusedError(
            f"Labels are out of range: {len(known)} classes go from {known[0]} to {known[-1]}; number them 0, 1, ...."
        )
    if not np.isin(labels[1], known).all():
        raise RefusedError(
            f"Labels are out of range: a test item has {labels[1].max()}, and training items 0 to {known[-1]}."
        )
    y, test_y = (np.eye(len(known))[part] for part in labels)
    return Pairs(data.train, y, data.test, test_y)


def _check_labels(data: Data) -> None:
    for part, items in ((data.train_labels, data.train), (data.test_labels, data.test)):
        known = np.asarray(part)
        if known.shape != (len(items),):
            raise RefusedError(f"Labels of shape {known.shape} do not fit {len(items)} items; give one label an item.")
        if known.dtype.kind not in "biuf":
            raise RefusedError("Labels are not numbers; number the classes 0, 1, ....")


def bits(data: Data, threshold: float | None, instead: str = "give a threshold, such as --threshold 0.5") -> Data:
    """The data as bits: 1 where a value is at least the threshold; `instead` is what to do without one.

    Raises:
        RefusedError: there is no threshold, and the values are grey.
    """
    if threshold is not None:
        return data.binarised(threshold)
    if not data.is_binary:
        raise RefusedError(f"The data have grey values where bits are needed; {instead}.")
    return data
