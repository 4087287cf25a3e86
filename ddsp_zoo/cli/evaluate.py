"""`ddsp-zoo evaluate`."""

from pathlib import Path

from ddsp_zoo.cli.parser import (
    Parser,
    add_checkpoint,
    add_data,
    add_wandb,
    check_wandb,
    count,
    device,
    load,
    read_data,
    send_to_wandb,
)


def evaluate(arguments: list[str]) -> int:
    """Runs `ddsp-zoo evaluate --model NAME --data NAME`."""
    parser = Parser("ddsp-zoo evaluate", description="Measure a model against baselines.")
    parser.add_argument("--model", help="a name of `ddsp-zoo list`")
    add_checkpoint(parser)
    add_data(parser)
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--out", default="evaluation", help="folder for tables and plots (%(default)s)")
    parser.add_argument(
        "--pitch",
        choices=(
            "given",
            "mixture",
            "found_on_true_strings",
            "given_on_found_strings",
            "next_string",
            "jittered",
        ),
        default="given",
        help="that of the data; what the model finds in the mixture; either on the strings of the other; or that of "
        "the data, one string too high, or wrong by 25 cents in each frame (%(default)s)",
    )
    parser.add_argument(
        "--no-baselines", action="store_true", help="measure the model alone, which takes a third of the time"
    )
    parser.add_argument("--tracks", type=count, help="stop after so many tracks")
    parser.add_argument("--seeds", type=count, default=5, help="noise seeds averaged over (%(default)s)")
    parser.add_argument("--device", default="cpu", help="where the model runs (%(default)s)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the evaluation of something else in --out"
    )
    add_wandb(parser)
    parser.add_argument("--artifact", action="store_true", help="with --wandb: keep the weights there too")
    options = parser.parse_args(arguments)
    if not (options.model or options.checkpoint):
        parser.error("name a model with --model, or weights with --checkpoint")
    if options.artifact and not options.wandb:
        parser.error("--artifact keeps weights in W&B: add --wandb")

    check_wandb(options)
    from ddsp_zoo import zoo
    from ddsp_zoo.files.owned import made_from
    from ddsp_zoo.measuring.protocol import PARTS
    from ddsp_zoo.reports import evaluation
    from ddsp_zoo.reports.tables import by_metric, by_source, pitch_table, render_text

    if options.model:
        zoo.info(options.model)  # an unknown name is told before any data is rendered
    data = read_data(options)
    model = load(options, "own", options.checkpoint) if options.checkpoint else options.model
    summary = evaluation.run(
        model,
        data,
        options.out,
        options.split,
        device=device(options.device),
        limit_tracks=options.tracks,
        seeds=range(options.seeds),
        pitch=options.pitch,
        parts=("model",) if options.no_baselines else PARTS,
        overwrite=options.overwrite,
    )
    send_to_wandb(
        options,
        made_from(options.out)["files"],
        options.model or Path(options.checkpoint).stem,
        config=summary["protocol"],
        results=summary["results"],
        checkpoint=(options.checkpoint or zoo.find(options.model)) if options.artifact else None,
    )
    print(render_text(by_metric(summary["results"])))
    print("\nSI-SDR (dB) by source")
    print(render_text(by_source(summary["results"], order=summary["protocol"]["sources"])))
    if "pitch" in summary:
        print("\nPitch found in the mixture")
        print(render_text(pitch_table(summary["pitch"])))
    print(f"\n{options.out}: rows.csv, summary.csv, summary.json and a box plot per metric")
    return 0
