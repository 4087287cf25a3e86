"""Makes `import torchaudio` work beside a CPU build of torch.

torchaudio's wheel carries a native extension built for CUDA. Beside a CPU torch that extension does not load
and the whole import fails, although the parts used here (mel filters, resampling) are pure Python. torchcrepe
and the audio models of transformers import torchaudio and fail with it. Where the plain import fails, this
module puts an empty stand-in for `torchaudio._extension` in its place and imports again. Call it before
anything that imports torchaudio. Where the plain import works, nothing is changed.
"""

import sys
from types import ModuleType


def _inert_extension() -> ModuleType:
    stub = ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False
    stub._IS_ALIGN_AVAILABLE = False
    stub._check_cuda_version = lambda: None
    stub.fail_if_no_align = lambda function: function
    return stub


def import_torchaudio() -> ModuleType:
    """Returns the torchaudio module, with its native extension or without."""
    try:
        import torchaudio
    except ModuleNotFoundError:
        raise
    except (ImportError, OSError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _inert_extension()
        import torchaudio
    return torchaudio
