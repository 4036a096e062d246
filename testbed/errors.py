"""The one error of the test bed that is meant to be read by its user."""


class TestbedError(RuntimeError):
    """Something the user can act on; its text says what to do. The command line shows no traceback of it."""

    __test__ = False  # the name starts like a test class; pytest must not collect it
