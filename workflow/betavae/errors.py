"""What a person is told in one line."""


class UserError(Exception):
    """Something that the user can mend: what was found, what was expected, what to do."""
