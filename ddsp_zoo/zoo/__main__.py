"""Brings a manifest up to date with the files beside it: `python -m ddsp_zoo.zoo [FOLDER]`."""

import sys

from ddsp_zoo.zoo.manifest import bundle, refresh_manifest

refresh_manifest(sys.argv[1] if len(sys.argv) > 1 else bundle())
