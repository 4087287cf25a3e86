"""Write a corpus to shards for `ShardedStems`: `python tools/write_shards.py recipes/data/slakh2100.yaml FOLDER`."""

import argparse

from ddsp_zoo.corpora import make
from ddsp_zoo.corpora.shard_files import write_shards
from ddsp_zoo.sources import SPLITS


def main(arguments: list[str] | None = None) -> int:
    """Writes the shards that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "corpus", help="a recipe with a data: section, a corpus of the package, or a class path"
    )
    parser.add_argument("folder", help="of the shards; it must not be there yet")
    parser.add_argument("--root", help="of the corpus, where the recipe names another or none")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--megabytes", type=float, default=500.0, help="of a shard, about (%(default)g)")
    options = parser.parse_args(arguments)
    corpus = make(options.corpus, **({"root": options.root} if options.root else {}))
    print(write_shards(corpus, options.folder, tuple(options.splits), options.megabytes))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
