"""Student-t distributions whose variance is exact at any level."""

from __future__ import annotations

import numpy as np
from skpro.distributions.t import TDistribution as SkproTDistribution

__all__ = ["TDistribution"]


class TDistribution(SkproTDistribution):
    """skpro's t distribution, with its variance in double precision.

    skpro computes it in single precision, where it is infinite for scales from 1e19
    on. Degrees of freedom are above 2 here, where the variance exists.
    """

    def _var(self) -> np.ndarray:
        """Return the variance of each entry."""
        sigma, freedom = self._bc_params["sigma"], self._bc_params["df"]
        return sigma**2 * freedom / (freedom - 2)
