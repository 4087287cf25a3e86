"""`ddsp-zoo app`."""

from ddsp_zoo.cli.parser import Parser
from ddsp_zoo.errors import DdspZooError

HIGHEST_PORT = 65535


def app(arguments: list[str]) -> int:
    """Runs `ddsp-zoo app`: the page, until it is ended."""
    parser = Parser(
        "ddsp-zoo app",
        description="A page in the browser: separate a recording, hear its parts, change them, hear it again. It runs "
        "on this machine and needs no network.",
    )
    parser.add_argument(
        "--port", type=int, default=7860, help="of the page, 0 for any that is free (%(default)s)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; others than the usual one let other machines in (%(default)s)",
    )
    parser.add_argument(
        "--megabytes", type=float, default=200.0, help="how large a recording may be (%(default)g)"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it may be (%(default)g)")
    options = parser.parse_args(arguments)
    if not 0 <= options.port <= HIGHEST_PORT:
        raise DdspZooError(f"--port is {options.port}: give a number from 0 to {HIGHEST_PORT}.")
    for name in ("megabytes", "minutes"):
        if not 0 < getattr(options, name) <= 1e6:
            raise DdspZooError(
                f"--{name} is {getattr(options, name):g}: give a number above 0, up to a million."
            )

    from ddsp_zoo.app import check_installed

    check_installed()  # before anything big is loaded
    from ddsp_zoo.app.server import serve
    from ddsp_zoo.app.session import Limits

    serve(options.host, options.port, Limits(options.megabytes, options.minutes), _tell)
    return 0


def _tell(address: str) -> None:
    print(f"{address} is the page; ctrl-C ends it", flush=True)
