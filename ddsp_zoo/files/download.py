"""Downloads files over HTTP, going on where an earlier download stopped."""

import os
from pathlib import Path

TIMEOUT_SECONDS = (5, 20)  # to connect, and between two pieces of an answer
MOST_TRIES = 5
CHUNK_BYTES = 1 << 14


def forbidden_by() -> str | None:
    """Returns the environment variable that forbids downloads, DDSP_ZOO_OFFLINE or HF_HUB_OFFLINE; else None."""
    for variable in ("DDSP_ZOO_OFFLINE", "HF_HUB_OFFLINE"):
        if os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}:
            return variable
    return None


def receive(url: str, part: Path, size: int) -> str:
    """Appends to `part` what it lacks of `size` bytes; returns in a few words how the transfer ended.

    A broken connection is taken up again, until a try brings nothing new.
    """
    problem = ""
    for _ in range(MOST_TRIES):
        before = size_of(part)
        problem = _receive_once(url, part, size)
        if size_of(part) >= size or size_of(part) <= before:
            break
    return problem


def size_of(path: Path) -> int:
    """Returns the size of a file in bytes, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _receive_once(url: str, part: Path, size: int) -> str:
    import requests
    from tqdm import tqdm

    with part.open("ab") as file:
        if file.tell() >= size:
            return "complete"
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={file.tell()}-"}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
                answer.raise_for_status()
                if answer.status_code != requests.codes.partial_content:  # ranges are ignored: start anew
                    file.seek(0)
                    file.truncate()
                bar = tqdm(desc=url, total=size, initial=file.tell(), unit="B", unit_scale=True, disable=None)
                with bar:
                    for chunk in answer.iter_content(CHUNK_BYTES):
                        bar.update(file.write(chunk))
                        if file.tell() > size:  # never fill the disk with what cannot be right
                            break
        except requests.RequestException as error:
            status = getattr(error.response, "status_code", None)
            return f"status {status}" if status else type(error).__name__
    return "the server sent no more"
