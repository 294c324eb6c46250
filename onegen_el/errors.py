"""The errors a user can meet; each message says what happened, why, and the command that mends it."""


class OnegenError(Exception):
    """Base of every error this package raises on purpose."""


class ModelError(OnegenError):
    """A model folder cannot be found, read, or does not fit what is asked of it."""


class KBError(OnegenError):
    """A knowledge base cannot be found, read, or does not fit the model."""


class InputError(OnegenError):
    """A text, file or corpus handed in by the user cannot be used."""


class RecipeError(OnegenError):
    """A training recipe has an unknown field or an impossible combination of options."""
