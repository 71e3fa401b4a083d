"""The error of a user's mistake."""


class UserError(ValueError):
    """A mistake of the user's, told in one line.

    The message says what came, what was wanted, and the remedy. Where
    nobody catches it, :class:`~dvfl_mmaction.runner.CheckedRunner` has it
    printed without a traceback.
    """
