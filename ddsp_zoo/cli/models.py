"""`ddsp-zoo list` and `ddsp-zoo info`."""

import json

from ddsp_zoo.cli.parser import Parser


def list_models(arguments: list[str]) -> int:
    """Runs `ddsp-zoo list`."""
    Parser("ddsp-zoo list", description="The models there are.").parse_args(arguments)
    from ddsp_zoo import zoo

    names = zoo.list_models()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {zoo.info(name)['summary']}")
    return 0


def info(arguments: list[str]) -> int:
    """Runs `ddsp-zoo info NAME`."""
    parser = Parser("ddsp-zoo info", description="What a model is and reaches.")
    parser.add_argument("model", metavar="NAME")
    from ddsp_zoo import zoo

    row = zoo.info(parser.parse_args(arguments).model)
    shown = {key: row[key] for key in ("name", "summary", "paper", "sources", "sample_rate", "licences")}
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    print("\n" + (row["card"] or "There is no card yet."))
    return 0
