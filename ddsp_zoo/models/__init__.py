"""The separators: one base class, and one small class a model."""

from ddsp_zoo.models.ast_ddsp import AstDdsp
from ddsp_zoo.models.ddsp_autoencoder import DdspAutoencoder
from ddsp_zoo.models.inverse_synthesis import InverseSynthesis
from ddsp_zoo.models.karplus_strong import KarplusStrongStrings
from ddsp_zoo.models.modal_strings import ModalStrings
from ddsp_zoo.models.prelim import StringResynthesis
from ddsp_zoo.models.published_ast_ddsp import PublishedAstDdsp
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.models.umss import Umss
from ddsp_zoo.models.unet_choir import UNetChoir

MODELS = (  # what a checkpoint may name, unless the user names other classes
    AstDdsp,
    DdspAutoencoder,
    InverseSynthesis,
    KarplusStrongStrings,
    ModalStrings,
    PublishedAstDdsp,
    StringResynthesis,
    UNetChoir,
    Umss,
)

__all__ = [
    "MODELS",
    "AstDdsp",
    "DdspAutoencoder",
    "InverseSynthesis",
    "KarplusStrongStrings",
    "ModalStrings",
    "PublishedAstDdsp",
    "Rendered",
    "Separator",
    "StringResynthesis",
    "UNetChoir",
    "Umss",
]
