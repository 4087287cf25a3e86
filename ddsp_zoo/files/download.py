"""Downloads over HTTP that go on where they stopped."""

from pathlib import Path

TIMEOUT_SECONDS = (5, 20)  # to connect, and between two pieces of an answer
MOST_TRIES = 5
CHUNK_BYTES = 1 << 14


def receive(url: str, part: Path, size: int) -> str:
    """Append to `part` what it lacks of `size` bytes; returns in a few words how the transfer ended."""
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
