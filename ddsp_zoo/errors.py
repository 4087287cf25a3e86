"""The one exception that users are meant to read."""


class DdspZooError(Exception):
    """Reports something that the user can mend: its message is one sentence that says what to do next."""
