"""The temperature at which a classifier's probabilities fit its answers.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section
4.2: the logits z become z / T, where T has the least negative log-likelihood
on labelled clips. The order of the classes in a view does not change.
"""

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp

from ..errors import UserError

LIMIT = 50.0  # temperatures are sought from 1 / LIMIT to LIMIT


def log_probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Logarithms of the probabilities, averaged over the views.

    Args:
        logits: (N, V, K), of V views per clip.
        temperature: T, > 0.

    Returns:
        (N, K).
    """
    views = log_softmax(np.asarray(logits, np.float64) / temperature, axis=2)
    return logsumexp(views, axis=1) - math.log(views.shape[1])


def negative_log_likelihood(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> float:
    """Mean over the clips, in nats, >= 0.

    Args:
        logits: (N, V, K).
        labels: (N,), each in [0, K).
        temperature: T, > 0.
    """
    found = log_probabilities(logits, temperature)
    return float(-np.take_along_axis(found, labels[:, None], axis=1).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature of the least negative log-likelihood.

    Args:
        logits: (N, V, K).
        labels: (N,), each in [0, K).

    Returns:
        T in (1 / 50, 50).

    Raises:
        UserError: If logits are not finite, or no such T has a least value:
            if all clips are classified correctly, or none is better than
            chance.
    """
    if not np.isfinite(logits).all():
        raise UserError(
            f'{int((~np.isfinite(logits).all((1, 2))).sum())} of '
            f'{len(logits)} clips have logits that are not finite; give the '
            'checkpoint of a training whose loss stayed finite'
        )
    limit = math.log(LIMIT)

    def loss(logarithm: float) -> float:
        return negative_log_likelihood(logits, labels, math.exp(logarithm))

    found = minimize_scalar(
        loss,
        bounds=(-limit, limit),
        method='bounded',
        options=dict(xatol=1e-5),
    )
    for end, reason in (
        (-limit, 'all are classified correctly, or almost so'),
        (limit, 'the answers are no better than chance'),
    ):
        if loss(end) <= found.fun:
            raise UserError(
                f'{len(labels)} clips determine no temperature from '
                f'1/{LIMIT:g} to {LIMIT:g}: {reason}; give a longer list of '
                'clips that the training has not seen'
            )
    return math.exp(found.x)


def cross_fitted(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-probabilities of clips at a temperature found without them.

    Each half of the clips, every other one, has the temperature of the other
    half.

    Args:
        logits: (N, V, K).
        labels: (N,), each in [0, K).

    Returns:
        (N, K).

    Raises:
        UserError: As for :func:`fit_temperature`.
    """
    result = np.empty((len(logits), logits.shape[2]))
    for here, other in ((0, 1), (1, 0)):
        try:
            temperature = fit_temperature(logits[other::2], labels[other::2])
        except UserError as error:
            raise UserError(
                f'each half of {len(labels)} clips is measured at the '
                f'temperature of the other half, but {error}'
            ) from None
        result[here::2] = log_probabilities(logits[here::2], temperature)
    return result
