"""Transfer learning between the two search passes of alphaDIA."""

__version__ = "0.1.0"
