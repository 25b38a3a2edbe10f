"""Daily variances of a price from its open, high, low and close, and what they are regressed on."""

import numpy as np
from jaxtyping import Float

from qnat.experiment.errors import RefusedError

from .headers import table_source
from .responses import Responses
from .table_files import read
from .tables import table

PRICES = ("open", "high", "low", "close")
LAGS = DAY, WEEK, MONTH = 1, 5, 22
"""Trading days."""


def garman_klass(prices: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """½(ln H/L)² − (2 ln 2 − 1)(ln C/O)² of rows O, H, L, C: estimates of the variances of log prices in a day.

    Reference: M. Garman, M. Klass, J. Business 53, 67 (1980).
    """
    log_open, log_high, log_low, log_close = np.log(prices).T
    return (log_high - log_low) ** 2 / 2 - (2 * np.log(2) - 1) * (log_close - log_open) ** 2


def har(name: str, columns: str | None = None) -> Responses:
    """Logarithms of daily variances by those of the day, the week and the month before: a table by name or path.

    The inputs of a day are the logarithms of the mean variance of the last 1, 5 and 22 days before it.

    Args:
        name: as of `classical.data.tables.table`, its rows in the order of time. columns: of open, high, low and close,
            with commas; None takes those that are called so, in capitals or not.

    Raises:
        RefusedError: there are no such columns, fewer than 24 rows, or prices of no day.

    Reference: F. Corsi, J. Financial Econometrics 7, 174 (2009).
    """
    if columns is None:
        found = table_source(name)
        called = {each.lower(): each for each in read(found, found.stamps()).names}
        if lacking := [each for each in PRICES if each not in called]:
            raise RefusedError(
                f"The data have no column {lacking[0]}; name those of open, high, low, close with columns."
            )
        columns = ",".join(called[each] for each in PRICES)
    prices = table(name, columns=columns, ordered=True).values
    if prices.shape[1] != len(PRICES):
        raise RefusedError(f"Model har takes columns of open, high, low and close; got {prices.shape[1]} of them.")
    if len(prices) < MONTH + 2:
        raise RefusedError(f"Model har takes {MONTH + 2} days or more; the data have {len(prices)}.")
    opened, high, low, closed = prices.T
    # false where a price is missing, too
    fine = (low > 0) & (high > low) & (low <= np.minimum(opened, closed)) & (high >= np.maximum(opened, closed))
    if not fine.all():
        row = int(np.argmin(fine))
        raise RefusedError(
            f"Row {row + 1} has open, high, low, close {', '.join(f'{each:g}' for each in prices[row])}; a day has a "
            "low above 0, below its high, and the others between; leave the row out."
        )
    return lagged(garman_klass(prices))


def lagged(variances: Float[np.ndarray, " N"]) -> Responses:
    """The response and the inputs of HAR, of N − 22 days."""
    means = [np.lib.stride_tricks.sliding_window_view(variances, lag).mean(axis=1) for lag in LAGS]
    x = np.stack([np.log(mean[MONTH - lag : -1]) for mean, lag in zip(means, LAGS, strict=True)], axis=1)
    return Responses(x, ("day", "week", "month"), np.log(variances[MONTH:]), "log_variance")
