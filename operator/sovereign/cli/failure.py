"""How a command ends that cannot do what it was asked."""


class CommandFailed(Exception):
    """What was given, or what is reachable, does not allow an answer. Ends the command with exit code 2.

    Args:
        messages: one line each; what is wrong and what to do.
    """

    exit_code = 2

    def __init__(self, *messages: str) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages
