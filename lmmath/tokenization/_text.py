"""What counts as a text."""


def require_text(**texts):
    """Raise unless every keyword argument is a string that UTF-8 can write."""
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a string, got {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{name} must hold no lone surrogates, which UTF-8 cannot write, "
                f"got {text[error.start]!a} at position {error.start}"
            ) from None
