"""What pyarrow and the modules of its formats raise, turned into the errors of ``l2cli``."""

from l2cli.reading import copying as as_format_error

__all__ = ["as_format_error"]
