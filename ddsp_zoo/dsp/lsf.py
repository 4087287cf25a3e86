"""Conversions between the descriptions of an all-pole filter 1/A(z), A(z) = 1 + a_1 z^-1 + ... + a_P z^-P.

Line spectral frequencies (LSF), direct coefficients, reflection coefficients: the last axis has one of each for
every order. All work is done in float64, over all frames at once; results have the dtype of what was given.
"""

import math

import torch
from torch import Tensor

from ddsp_zoo.dsp.checks import check, check_floating
from ddsp_zoo.dsp.precision import exact
from ddsp_zoo.dsp.scale import exp_sigmoid
from ddsp_zoo.errors import DdspZooError

MIN_RESIDUAL = 1e-12  # 120 dB of prediction gain: below it float64 holds no digit of the lower orders


def lsf_from_logits(logits: Tensor) -> Tensor:
    """Maps logits (..., P + 1) without bounds to ordered LSF (..., P) in radians within (0, pi).

    The P + 1 distances from 0 over all LSF to pi are positive and sum to pi. float32 cannot hold distances
    below 2e-7: give float64 where logits may be extreme. NaN stays in its own filter. Raises `DdspZooError` for fewer
    than two logits.
    Source: UMSS (Schulze-Forster et al. 2022), algorithm 1.
    """
    check_floating("Line spectral frequencies", logits)
    check(
        logits.ndim > 0 and logits.shape[-1] > 1,
        f"Line spectral frequencies are made of two logits or more (..., P + 1); got {tuple(logits.shape)}.",
    )
    distance = exp_sigmoid(exact(logits))
    distance = math.pi * distance / distance.sum(-1, keepdim=True)
    return distance.cumsum(-1)[..., :-1].to(logits)


def lsf_to_coefficients(lsf: Tensor) -> Tensor:
    """Converts LSF (..., P) in radians to coefficients a_1 ... a_P (..., P); equally spaced LSF give A(z) = 1.

    A = (P + Q) / 2, where the zeros of P lie at the odd LSF and those of Q at the even ones. Raises
    `DdspZooError` for LSF that are not ordered within (0, pi); neighbours that float32 cannot distinguish may
    be equal.
    Source: Itakura 1975; UMSS (Schulze-Forster et al. 2022), algorithm 1.
    """
    return _coefficients(_checked(lsf)).movedim(0, -1).to(lsf)


def lsf_to_reflection(lsf: Tensor) -> Tensor:
    """Converts LSF (..., P) in radians to reflection k_1 ... k_P (..., P), always inside (-1, 1).

    It equals `coefficients_to_reflection` of `lsf_to_coefficients`, in float64 throughout. Frequencies close
    together make filters of enormous gain (logits spread by 3 easily reach 90 dB). Where the gain of the
    highest orders alone reaches 120 dB, float64 has no digits left for the lower ones, whose k are then zero.
    """
    return _step_down(_coefficients(_checked(lsf))).movedim(0, -1).to(lsf)


def reflection_to_coefficients(reflection: Tensor) -> Tensor:
    """Converts reflection k_1 ... k_P (..., P) to coefficients a_1 ... a_P (..., P).

    It computes a_i <- a_i + k_m a_(m-i) and a_m = k_m, for m = 1 ... P.
    Source: Markel & Gray 1976, Linear Prediction of Speech (step-up).
    """
    k = _orders_first(reflection)
    a = k[:1]
    for m in range(1, len(k)):
        a = torch.cat([a + k[m] * a.flip(0), k[m : m + 1]])
    return a.movedim(0, -1).to(reflection)


def coefficients_to_reflection(coefficients: Tensor) -> Tensor:
    """Converts coefficients a_1 ... a_P (..., P) to reflection k_1 ... k_P (..., P).

    It is the inverse of `reflection_to_coefficients`. Raises `DdspZooError` where A(z) has a zero on or outside
    the unit circle, so that 1/A(z) is not stable.
    Source: Markel & Gray 1976, Linear Prediction of Speech (step-down).
    """
    k = _step_down(_orders_first(coefficients), strict=True)
    return k.movedim(0, -1).to(coefficients)


def _orders_first(values: Tensor) -> Tensor:
    """(..., P) -> (P, ...) in float64: one long row per order, which is the fast way round."""
    if not values.is_floating_point() or values.ndim < 1 or values.shape[-1] < 1:
        raise DdspZooError(
            "A filter's description is a floating-point tensor with one value per order on the last axis; "
            f"got {tuple(values.shape)} of {values.dtype}."
        )
    return exact(values).movedim(-1, 0).contiguous()


def _checked(lsf: Tensor) -> Tensor:
    lsf = _orders_first(lsf)
    gaps = lsf.diff(dim=0, prepend=torch.zeros_like(lsf[:1]), append=torch.full_like(lsf[:1], math.pi))
    if not bool((gaps > -1e-6).all()):  # float32 has pi 9e-8 too high
        raise DdspZooError(
            "Line spectral frequencies must increase within (0, pi): check what predicts them."
        )
    return lsf


def _coefficients(lsf: Tensor) -> Tensor:
    """LSF (P, ...) -> a_1 ... a_P (P, ...)."""
    even = len(lsf) % 2 == 0
    p, q = _product(lsf[0::2], lsf[0]), _product(lsf[1::2], lsf[0])
    p = _add_delayed(p, 1, 1) if even else p
    q = _add_delayed(q, -1, 1 if even else 2)
    return 0.5 * (p + q)[1:-1]


def _product(omega: Tensor, like: Tensor) -> Tensor:
    """prod (1 - 2 cos(omega) z^-1 + z^-2): omega (K, ...) -> coefficients (2K + 1, ...).

    The same from both ends, so only the first half is worked out.
    """
    half = torch.ones_like(like)[None]
    for middle in -2 * omega.cos():
        mirrored = half[-2:-1] if len(half) > 1 else torch.zeros_like(half)
        delayed = _shift(half, 1, 0)
        half = torch.cat([half, mirrored]) + middle * delayed + _shift(delayed[:-1], 1, 0)
    return torch.cat([half, half[:-1].flip(0)])


def _shift(c: Tensor, before: int, after: int) -> Tensor:
    zero = torch.zeros_like(c[:1])
    return torch.cat([zero] * before + [c] + [zero] * after)


def _add_delayed(c: Tensor, weight: int, delay: int) -> Tensor:
    """c (1 + weight z^-delay)."""
    return _shift(c, 0, delay) + weight * _shift(c, delay, 0)


def _step_down(a: Tensor, strict: bool = False) -> Tensor:
    """a_1 ... a_P (P, ...) -> k_1 ... k_P; strict refuses an unstable filter, else what has no digits left is 0."""
    k, residual = [], torch.ones_like(a[0])
    while len(a):
        last = a[-1]
        if strict and not bool((last.abs() < 1).all()):
            raise DdspZooError(
                "This 1/A(z) is not stable: A(z) must have all its zeros inside the unit circle."
            )
        left = residual * (1 - last * last)
        residual = torch.where(left > MIN_RESIDUAL, left, 0)  # and so 0 from here on down
        last = torch.where(residual > 0, last, 0)
        k.append(last)
        a = torch.addcmul(a[:-1], last, a[:-1].flip(0), value=-1) / (1 - last * last)
    return torch.stack(k[::-1])
