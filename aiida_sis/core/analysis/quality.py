"""How good a model is: its energies and forces against those it should have learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Parity:
    """One quantity, predicted and true.

    :param reference: the true values, (n,).
    :param predicted: (n,).
    :param rmse: root of the mean square error, in the unit of the values.
    :param mae: mean absolute error.
    :param largest: largest absolute error.
    :param bias: mean error, predicted minus true.
    :param r2: coefficient of determination; NaN if the true values are all the same.
    """

    reference: FloatArray
    predicted: FloatArray
    rmse: float
    mae: float
    largest: float
    bias: float
    r2: float


def parity(reference: FloatArray, predicted: FloatArray) -> Parity:
    """Compare predicted values with the true ones.

    :param reference: any shape and unit.
    :param predicted: the same shape.
    :raises ValueError: if the shapes differ, or there is no value.
    """
    if np.shape(reference) != np.shape(predicted) or np.size(reference) == 0:
        raise ValueError(
            f'True values of shape {np.shape(reference)} and predicted ones of shape {np.shape(predicted)} '
            'cannot be compared: give as many of both, one at least.'
        )
    true, guess = np.ravel(reference).astype(np.float64), np.ravel(predicted).astype(np.float64)
    error = guess - true
    spread = float(((true - true.mean()) ** 2).sum())
    return Parity(
        reference=true,
        predicted=guess,
        rmse=float(np.sqrt((error**2).mean())),
        mae=float(np.abs(error).mean()),
        largest=float(np.abs(error).max()),
        bias=float(error.mean()),
        r2=1.0 - float((error**2).sum()) / spread if spread > 0.0 else float('nan'),
    )


def force_error_by_element(reference: FloatArray, predicted: FloatArray, symbols: Sequence[str]) -> dict[str, float]:
    """Give the RMSE of the force components of each element.

    :param reference: true forces, (n_frames, n_atoms, 3), eV/Å.
    :param predicted: the same shape.
    :param symbols: element of each atom, (n_atoms,).
    :returns: eV/Å by element, the largest first.
    :raises ValueError: if the shapes do not fit.
    """
    if np.shape(reference) != np.shape(predicted) or np.shape(reference)[1:] != (len(symbols), 3):
        raise ValueError(
            f'Forces of shapes {np.shape(reference)} and {np.shape(predicted)} do not fit {len(symbols)} atoms.'
        )
    squares = ((np.asarray(predicted) - np.asarray(reference)) ** 2).mean(axis=(0, 2))
    labels = np.array(symbols)
    errors = {symbol: float(np.sqrt(squares[labels == symbol].mean())) for symbol in sorted(set(symbols))}
    return dict(sorted(errors.items(), key=lambda item: -item[1]))
