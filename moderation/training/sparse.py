"""Sparse matrices of the few shapes that training needs, in numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sparse:
    """A matrix as its entries: row, column and value, in any order."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    shape: tuple[int, int]

    def times(self, vector: Floats) -> Floats:
        """Return this matrix times a vector over its columns."""
        return np.bincount(
            self.rows, weights=self.values * vector[self.columns], minlength=self.shape[0]
        ).astype(np.float64, copy=False)

    def transposed_times(self, vector: Floats) -> Floats:
        """Return this matrix, turned, times a vector over its rows."""
        return np.bincount(
            self.columns, weights=self.values * vector[self.rows], minlength=self.shape[1]
        ).astype(np.float64, copy=False)

    def only(self, rows: Ints) -> Sparse:
        """Return the matrix of these rows alone, in this order."""
        place = np.full(self.shape[0], -1, dtype=np.int32)
        place[rows] = np.arange(len(rows), dtype=np.int32)
        kept = place[self.rows] >= 0
        return Sparse(
            place[self.rows[kept]],
            self.columns[kept],
            self.values[kept],
            (len(rows), self.shape[1]),
        )
