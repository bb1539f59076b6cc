"""Modifications that the user defines: known to alphabase, and encoded by the models, here and in worker processes."""

from __future__ import annotations

from collections.abc import Mapping

from peptdeep.settings import add_user_defined_modifications, global_settings

__all__ = ["add_modifications"]


def add_modifications(compositions: Mapping[str, str]) -> None:
    """Make modifications known.

    alphaDIA registers them with alphabase only: PeptDeep then fails on a peptide that carries one. Its settings hand
    them on to its worker processes.

    Parameters
    ----------
    compositions : mapping of str to str
        Chemical composition, such as ``H(4)C(2)``, by name, such as ``Label@K``.
    """
    if compositions:
        known = global_settings["common"]["user_defined_modifications"]
        known.update({name: {"composition": composition} for name, composition in compositions.items()})
        add_user_defined_modifications()
