"""alphaDIA's classifier of targets and decoys, guarded against a start from which it does not learn."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alphadia_tl.host.command import replaced

logger = logging.getLogger(__name__)

MAX_NEW_STARTS = 3
_Q_VALUE = 0.01
_TIED_FRACTION = 0.01


def is_saturated(scored: Any) -> bool:
    """Whether nothing passes because the classifier gives its best probability to many precursors alike.

    From some random starts the units of its last, narrow layer die: about a thousand targets share one best
    probability with a few decoys, no order is left among them, and not one reaches a q-value of 1 %.

    Parameters
    ----------
    scored : DataFrame
        Result of alphaDIA's ``perform_fdr``: ``proba`` (low is good), ``qval``, ``decoy`` per precursor.
    """
    if len(scored) == 0 or (scored["qval"] < _Q_VALUE).any():
        return False
    return bool((scored["proba"] == scored["proba"].min()).mean() > _TIED_FRACTION)


@contextmanager
def saturated_classifiers_start_again() -> Iterator[None]:
    """Let searches fit a saturated classifier again from new random weights.

    alphaDIA 2.3 does so only where all probabilities are nearly equal; a saturated classifier would leave a run
    of thousands of precursors with none.
    """
    import alphadia.fdr.fdr

    perform = alphadia.fdr.fdr.perform_fdr

    def perform_until_it_separates(classifier: Any, *arguments: Any, **more: Any) -> Any:
        scored = perform(classifier, *arguments, **more)
        for start in range(1, MAX_NEW_STARTS + 1):
            if not is_saturated(scored):
                break
            logger.warning(
                f"The FDR classifier is saturated: its best probability is shared by "
                f"{int((scored['proba'] == scored['proba'].min()).sum()):,} of {len(scored):,} precursors and none "
                f"passes. It is fitted again from new weights ({start}/{MAX_NEW_STARTS})."
            )
            classifier.reset()
            scored = perform(classifier, *arguments, **more)
        return scored

    with replaced(alphadia.fdr.fdr, "perform_fdr", perform_until_it_separates):
        yield
