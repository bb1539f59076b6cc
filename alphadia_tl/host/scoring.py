"""alphaDIA's classifier of targets and decoys, guarded against a start from which it does not learn."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alphadia_tl.host.command import replaced

logger = logging.getLogger(__name__)

MAX_NEW_STARTS = 3
_Q_VALUE, _LENIENT_Q_VALUE = 0.01, 0.05
_TIED_FRACTION = 0.01
_MANY = 200


def separates(scored: Any) -> bool:
    """Whether a classifier put targets before decoys, as far as its result shows that it could have.

    From some random starts the units of its last, narrow layer die: hundreds of targets share one best probability
    with a few decoys, no order is left among them, and not one reaches a q-value of 1 %, though hundreds reach 5 %.

    Parameters
    ----------
    scored : DataFrame
        Result of alphaDIA's ``perform_fdr``: ``proba`` (low is good), ``qval``, ``decoy`` per precursor.
    """
    targets = scored["qval"][scored["decoy"] == 0]
    if len(targets) == 0 or (targets < _Q_VALUE).any():
        return True
    tied = (scored["proba"] == scored["proba"].min()).mean()
    return bool(tied <= _TIED_FRACTION and (targets < _LENIENT_Q_VALUE).sum() < _MANY)


@contextmanager
def classifiers_that_fail_start_again() -> Iterator[None]:
    """Let searches fit a classifier that does not separate again, from new random weights.

    alphaDIA 2.3 does so only where all probabilities are nearly equal; one whose best probabilities are alike would
    leave a run of thousands of precursors with none.
    """
    import alphadia.fdr.fdr

    perform = alphadia.fdr.fdr.perform_fdr

    def perform_until_it_separates(classifier: Any, *arguments: Any, **more: Any) -> Any:
        scored = perform(classifier, *arguments, **more)
        for start in range(1, MAX_NEW_STARTS + 1):
            if separates(scored):
                break
            logger.warning(
                f"The FDR classifier did not learn to separate: its best probability is shared by "
                f"{int((scored['proba'] == scored['proba'].min()).sum()):,} of {len(scored):,} precursors, and no "
                f"target reaches 1 % FDR. It is fitted again from new weights ({start}/{MAX_NEW_STARTS})."
            )
            classifier.reset()
            scored = perform(classifier, *arguments, **more)
        return scored

    with replaced(alphadia.fdr.fdr, "perform_fdr", perform_until_it_separates):
        yield
