"""Errors that a user can cause, each with the exit code that schedulers act on.

A message is one paragraph that says what is wrong, where, and how to mend it. Anything else that is raised is
a bug of isthmus and exits with 70.
"""


class IsthmusError(Exception):
    """Base of all errors with a message for the user."""

    exit_code = 70


class UsageError(IsthmusError):
    """The command line, a setting or the study file is wrong."""

    exit_code = 2


class DataError(IsthmusError):
    """A dataset, prediction or label file does not say what it must."""

    exit_code = 65


class HubError(IsthmusError):
    """A dataset or encoder could not be had from the hub."""

    exit_code = 69


class StorageError(IsthmusError):
    """The store could not be read or written: disk full, no permission, damaged artifact."""

    exit_code = 74


class Interrupted(IsthmusError):
    """Stopped by a signal after the state was saved: run the same command again to go on."""

    exit_code = 75


class OutOfMemory(IsthmusError):
    """Memory did not suffice."""

    exit_code = 77


class EnvironmentMismatch(IsthmusError):
    """The code or environment is not the one the plan was made with."""

    exit_code = 78
