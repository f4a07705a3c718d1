"""Writing foreign text into the engine's configuration files; called by conf's modules."""


def value(text: object) -> str:
    """`text` as the right side of a line; `;` starts a comment there unless escaped. ValueError for line breaks."""
    plain = str(text)
    if any(ord(character) < 32 for character in plain):
        raise ValueError("a configuration value cannot hold control characters")
    return plain.replace(";", "\\;")
