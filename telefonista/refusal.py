"""What every command of the operator raises when it cannot do its work."""


class Refusal(Exception):
    """Understood and cannot be done; the text says why and what to do, in Portuguese, and is shown as it is."""
