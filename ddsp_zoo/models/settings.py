"""Settings that several models have."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Masks:
    """Sets the soft masks that cut the sources out of the mixture.

    Args:
        power: their exponent: 1 as the papers have it, 2 for the Wiener form.
        fft: window of their STFT in samples, an even number of hops; None: eight hops.
    """

    power: float = 1.0
    fft: int | None = None
