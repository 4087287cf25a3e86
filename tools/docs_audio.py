"""Make the audio of the documentation: `make demo`, then `python tools/docs_audio.py [out/demo]`.

Some seconds of the bundled examples, of what was separated from them and of the edits, as small MP3 in docs/audio.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile as sf

ROOT = Path(__file__).parent.parent
SECONDS = 6.0
EXAMPLES = ("band", "guitar", "choir")
RESULTS = {  # name: file in the folder of the demo, without its ending
    "band_bass": "band/bass",
    "band_bass_synthesised": "band/synthesised/bass",
    "band_drums": "band/drums",
    "band_guitar": "band/guitar",
    "band_bass_octave": "band_octave/bass",
    "band_octave": "band_octave/mixture",
    "guitar_string": "guitar/D3",
    "guitar_string_damped": "guitar_damped/D3",
    "guitar_damped": "guitar_damped/mixture",
    "choir_alto": "choir/alto",
    "choir_louder": "choir_alto/mixture",
}


def main() -> None:
    """Writes all of them."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "out/demo")
    files = {name: ROOT / f"examples/{name}.flac" for name in EXAMPLES}
    files |= {name: demo / f"{file}.wav" for name, file in RESULTS.items()}
    (ROOT / "docs/audio").mkdir(exist_ok=True)
    for name, path in files.items():
        with sf.SoundFile(path) as file:
            audio = file.read(round(SECONDS * file.samplerate), dtype="float32", always_2d=True).mean(1)
            fade = np.clip(np.arange(len(audio))[::-1] / (0.05 * file.samplerate), 0, 1)
            target = ROOT / f"docs/audio/{name}.mp3"
            sf.write(target, np.clip(audio * fade, -1, 1), file.samplerate, compression_level=0.4)


if __name__ == "__main__":
    main()
