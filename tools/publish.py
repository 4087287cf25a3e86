"""Publish all checkpoints on a hub: `python tools/publish.py [OWNER/NAME]`, after `hf auth login`.

Uploads what checkpoints/manifest.json lists to a Hugging Face repository, as one commit; compares what the hub then
holds with the manifest; and only then writes that commit into the manifest, as published, from which everybody
downloads. `HF_ENDPOINT` names another hub. Whatever goes wrong before the end leaves the manifest as it was.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.zoo.manifest import MANIFEST, Files, damaged, write_manifest

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


def main(arguments: list[str] | None = None) -> int:
    """Uploads, compares, writes the manifest; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", nargs="?", help="on the hub (that of the manifest)")
    options = parser.parse_args(arguments)
    try:
        revision = publish(CHECKPOINTS, options.repository)
    except DdspZooError as error:
        print(f"publish: {error}", file=sys.stderr)
        return 1
    print(f"published as {revision}: commit {CHECKPOINTS / MANIFEST}")
    return 0


def publish(folder: Path, repository: str | None = None) -> str:
    """Publishes the checkpoints in a folder and notes it in the manifest there; returns the commit on the hub.

    Raises `DdspZooError` for files that differ from the manifest, for a hub that refuses or cannot be reached, and
    where it does not hold afterwards what was sent.
    """
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    repository = repository or manifest["hub"]["repository"]
    files = _files(folder, manifest["models"])
    revision, endpoint = _sent(folder, repository, files)
    hub = {"endpoint": endpoint, "repository": repository, "revision": revision, "published": True}
    write_manifest(folder, manifest | {"hub": hub})
    return revision


def _files(folder: Path, models: dict[str, Any]) -> Files:
    """Returns what is to be sent, by path in the folder, all of it as the manifest says."""
    files: Files = {}
    for name, row in models.items():
        if wrong := damaged(folder / name, row.get("files", {})):
            raise DdspZooError(
                f"{folder / name / wrong[0]} is missing or not what the manifest says: run `python -m ddsp_zoo.zoo` "
                "where it was changed on purpose, or restore it."
            )
        files |= {f"{name}/{file}": about for file, about in row.get("files", {}).items()}
    return files


def _sent(folder: Path, repository: str, files: Files) -> tuple[str, str]:
    """Sends files to the hub; returns the commit and the hub's address once they are there."""
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise DdspZooError("Publishing needs huggingface_hub: pip install 'ddsp_zoo[hub]'.") from error
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        message = f"{len({Path(file).parent for file in files})} checkpoints"
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=sorted(files), commit_message=message
        )
        there = api.get_paths_info(repository, sorted(files), revision=commit.oid)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise DdspZooError(
            f"{api.endpoint} did not take {repository} ({reason}): log in by `hf auth login` with a token that may "
            "write there, and try again; nothing is published."
        ) from error
    _compare(files, there, repository)
    return commit.oid, api.endpoint


def _compare(files: Files, there: list[Any], repository: str) -> None:
    """Raises `DdspZooError` where the hub holds what was not sent, by size, and by sha256 where it knows it."""
    held = {file.path: file for file in there}
    for path, about in files.items():
        file = held.get(path)
        digest = file.lfs.sha256 if file is not None and file.lfs else about["sha256"]
        if file is None or (file.size, digest) != (about["size"], about["sha256"]):
            raise DdspZooError(f"{repository} does not hold {path} as it was sent: publish again.")


if __name__ == "__main__":
    sys.exit(main())
