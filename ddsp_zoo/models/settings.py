"""Settings that several models have."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Masks:
    """Sets the soft masks that cut the sources out of the mixture.

    Args:
        power: their exponent: 1 as the papers have it, 2 for the Wiener form.
        fft: window of their STFT in samples, an even number of hops; None: eight hops.
        expected: from the expected spectra of all noise. False: from the spectra of plucks as one draw of their noise
            has it, as in the thesis.
    """

    power: float = 1.0
    fft: int | None = None
    expected: bool = True
