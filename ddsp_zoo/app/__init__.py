"""The page in a browser: upload, separate, listen, change, hear again, take away. It needs the extra `app`."""

from ddsp_zoo.errors import DdspZooError


def check_installed() -> None:
    """Raises `DdspZooError` where gradio is missing, which the page is made with."""
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise DdspZooError("The page needs gradio: pip install ddsp_zoo[app].")
