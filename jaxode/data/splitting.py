"""The split of a data set that has no predefined one: stratified by class, drawn by a seed."""

from __future__ import annotations

import numpy as np

from jaxode.data.specs import Arrays


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which images are held out for testing, bool [N].

    There are round(share · N) in all, and of every class as near its share as can be.

    What is lacking after every class's share is rounded down goes to the classes with the largest
    remainders, of equal ones to those drawn first; at least one image of each class stays on either
    side if it has two.
    """
    rng = np.random.default_rng(seed)
    classes, counts = np.unique(labels, return_counts=True)
    wanted = share * counts
    taken = np.floor(wanted).astype(int)
    order = rng.permutation(len(classes))
    order = order[np.argsort(taken[order] - wanted[order], kind="stable")]
    taken[order[: max(0, round(share * len(labels)) - taken.sum())]] += 1
    taken = np.clip(taken, np.minimum(1, counts - 1), np.maximum(counts - 1, 0))
    in_test = np.zeros(len(labels), bool)
    for label, count in zip(classes, taken, strict=True):
        in_test[rng.choice(np.flatnonzero(labels == label), count, replace=False)] = True
    return in_test


def split(arrays: Arrays, share: float, seed: int) -> tuple[Arrays, Arrays]:
    """Training and test arrays, shuffled by the seed.

    Their first N examples are then of all classes.
    """
    images, labels = arrays
    in_test = held_out(labels, share, seed)
    rng = np.random.default_rng([seed, 1])
    train, test = (rng.permutation(np.flatnonzero(mask)) for mask in (~in_test, in_test))
    return (images[train], labels[train]), (images[test], labels[test])
