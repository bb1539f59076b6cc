"""Error classes of the plugin: each has a code for look-up and one message for the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class TransferLearningError(Exception):
    """Base of all errors that the plugin raises on purpose.

    ``what`` tells what is wrong and where (file, config key, run name), ``advice`` what the user can do about it.
    ``code`` is the stable code of the class, listed in the troubleshooting page.
    """

    code = "TRANSFER_LEARNING_ERROR"

    def __init__(self, what: str, advice: str = "") -> None:
        self.what = what
        self.advice = advice
        super().__init__(what)

    def __str__(self) -> str:
        return f"{self.what} {self.advice}".strip()


class SettingsError(TransferLearningError):
    """A config key is unknown, of the wrong type, or has an impossible value."""

    code = "TL_CONFIG"
    parts: Sequence[TransferLearningError]


class HostError(TransferLearningError):
    """The installed alphaDIA is not one that the plugin can hook."""

    code = "TL_HOST"


class WeightsError(TransferLearningError):
    """A weight file is missing, corrupt, or of another architecture."""

    code = "TL_WEIGHTS"


class QuantificationError(TransferLearningError):
    """The quantification output of a run cannot be read."""

    code = "TL_QUANT"


class DataError(TransferLearningError):
    """Training data is unusable: missing columns, NaN, unknown modifications."""

    code = "TL_DATA"


class BaselineError(DataError):
    """The pretrained model's predictions are unusable or unrelated to the training data."""

    code = "TL_BASELINE"


class LibraryError(TransferLearningError):
    """A spectral library cannot be read or does not fit the models."""

    code = "TL_LIBRARY"


class PredictionError(TransferLearningError):
    """Predictions are not finite, constant, all zero, or unrelated to what they replace.

    ``model`` names the model that made them, where one model alone is to blame.
    """

    code = "TL_PREDICTION"
    model: str | None = None


class OutputError(TransferLearningError):
    """Results cannot be written: no permission or no space left."""

    code = "TL_OUTPUT"


class ResultsError(TransferLearningError):
    """A folder holds no results of transfer learning, or they cannot be read."""

    code = "TL_RESULTS"


Found = list[TransferLearningError]


@contextmanager
def noted(found: Found) -> Iterator[None]:
    """Add an error to those that were found."""
    try:
        yield
    except TransferLearningError as error:
        found.append(error)


def raise_all(found: Found) -> None:
    """Raise errors as one that has a line for each; nothing where there is none."""
    if len(found) == 1:
        raise found[0]
    if found:
        parts = [part for error in found for part in getattr(error, "parts", (error,))]
        together = SettingsError(f"{len(parts)} things are wrong:\n" + "\n".join(f"- {part}" for part in parts))
        together.parts = parts
        raise together
