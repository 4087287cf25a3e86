"""The synthesisers of this package, which saved controls may name."""

from ddsp_zoo.synths.banded import BandedSinusoids
from ddsp_zoo.synths.harmonic import HarmonicPlusNoise
from ddsp_zoo.synths.karplus_strong import KarplusStrong
from ddsp_zoo.synths.modal_string import ModalString
from ddsp_zoo.synths.one_parameter_string import OneParameterString
from ddsp_zoo.synths.sinusoids import SinusoidsPlusNoise
from ddsp_zoo.synths.source_filter import SourceFilter

SYNTHS = (
    BandedSinusoids,
    HarmonicPlusNoise,
    KarplusStrong,
    ModalString,
    OneParameterString,
    SinusoidsPlusNoise,
    SourceFilter,
)
