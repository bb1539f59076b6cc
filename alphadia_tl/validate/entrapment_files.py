"""How a search's entrapment is marked: by its config, or by what ``alphadia-tl entrapment`` wrote beside its FASTA."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alphadia_tl.errors import DataError, SettingsError
from alphadia_tl.settings import EntrapmentSettings
from alphadia_tl.validate.digest import DigestSettings
from alphadia_tl.validate.levels import FACTS, TWINS, Entrapment, beside, read_facts
from alphadia_tl.validate.marked import read_left_out, read_twins

logger = logging.getLogger(__name__)

__all__ = ["announced", "digest_note", "entrapment_of", "made_fasta", "with_files"]


def made_fasta(fastas: Iterable[str | Path]) -> Path | None:
    """Return the first FASTA file that ``alphadia-tl entrapment`` wrote, None where there is none."""
    return next((f for f in map(Path, fastas) if beside(f, FACTS).is_file()), None)


def with_files(settings: EntrapmentSettings, fastas: Iterable[str | Path]) -> EntrapmentSettings:
    """Complete settings by what was written beside a FASTA file.

    Parameters
    ----------
    settings : EntrapmentSettings
        What the user wrote goes first. With another prefix than the file's nothing is taken from it.
    fastas : iterable of path
        FASTA files of the search.

    Raises
    ------
    DataError
        If a file that is there cannot be read.
    """
    fasta = made_fasta(fastas)
    if fasta is None:
        return settings
    facts, default = read_facts(fasta), EntrapmentSettings()
    if settings.prefix not in (None, facts["prefix"]):
        return settings
    shuffled = facts["design"] == "shuffled"
    return dataclasses.replace(
        settings,
        prefix=facts["prefix"],
        design=facts["design"],
        ratio=facts["r"] if settings.ratio == default.ratio else settings.ratio,
        twins=str(beside(fasta, TWINS)) if shuffled and settings.twins is None else settings.twins,
    )


def announced(settings: EntrapmentSettings, config: Mapping[str, Any]) -> EntrapmentSettings:
    """Return the settings that count for a search, and log what was taken from a file.

    Parameters
    ----------
    settings : EntrapmentSettings
        What the user wrote.
    config : mapping
        The search's config: ``fasta_paths`` and ``library_prediction`` are read.

    Raises
    ------
    DataError
        If a file that is there cannot be read.
    """
    found = with_files(settings, config.get("fasta_paths") or ())
    if found != settings:
        logger.info(
            f"Entrapment as alphadia-tl entrapment wrote it: accessions {found.prefix}..., {found.design}, "
            f"r {found.ratio:.4f}."
        )
    if note := digest_note(config):
        logger.warning(note)
    return found


def entrapment_of(settings: EntrapmentSettings, fastas: Iterable[str | Path]) -> Entrapment | None:
    """Read the tables that settings name, and those beside FASTA files.

    Returns
    -------
    Entrapment or None
        None without a prefix. Without a table of twins there are no pairs: it has the design "foreign" then.

    Raises
    ------
    QuantificationError
        If a table cannot be read.
    """
    if settings.prefix is None:
        return None
    twins = Path(settings.twins) if settings.twins else None
    target_of, k = read_twins(twins) if twins else ({}, 1)
    return Entrapment(
        settings.prefix,
        target_of,
        left_out=read_left_out(twins, map(Path, fastas)),
        design="shuffled" if target_of and settings.design == "shuffled" else "foreign",
        k=k,
        r=settings.ratio,
    )


def digest_note(config: Mapping[str, Any]) -> str:
    """Tell where a search digests otherwise than its entrapment was made for; empty where it does not.

    Peptides of another digest have no twin, and r is not theirs.
    """
    fasta = made_fasta(config.get("fasta_paths") or ())
    made = read_facts(fasta).get("digest") if fasta else None
    if not made or not (config.get("library_prediction") or {}).get("enabled", True):
        return ""
    try:
        searched = dataclasses.asdict(DigestSettings.from_config(config))
    except (SettingsError, DataError):  # the search itself tells
        return ""
    differ = [f"{name} {made[name]} for {value}" for name, value in searched.items() if made.get(name, value) != value]
    if not differ:
        return ""
    return (
        f"The entrapment of {fasta} was made for another digest ({', '.join(differ)}): estimates are wrong for the "
        "peptides that have no twin. Make it again with the --config of the search."
    )
