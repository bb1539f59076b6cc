"""Libraries as tables and text: DIA-NN's parquet, the long table of many programs, and mzSpecLib."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from alphadia_tl.exchange.chunks import Chunk, IonType

LINES_AT_ONCE = 100_000  # those of proteins in long lists are long
PROTON = 1.00727646688
NO_LOSS = "noloss"
#: Columns and types of a library of DIA-NN 1.9.1 and later; ``Signature`` is DIA-NN's own.
DIANN_SCHEMA = pa.schema(
    [
        *((n, pa.string()) for n in ("Precursor.Id", "Modified.Sequence", "Stripped.Sequence")),
        *((n, pa.int64()) for n in ("Precursor.Charge", "Proteotypic", "Decoy", "N.Term", "C.Term")),
        *((n, pa.float32()) for n in ("RT", "IM", "Q.Value", "Peptidoform.Q.Value", "PTM.Site.Confidence")),
        *((n, pa.float32()) for n in ("PG.Q.Value", "Precursor.Mz", "Product.Mz", "Relative.Intensity")),
        ("Fragment.Type", pa.string()),
        *((n, pa.int64()) for n in ("Fragment.Charge", "Fragment.Series.Number")),
        ("Fragment.Loss.Type", pa.string()),
        ("Fragment.Score", pa.float32()),
        ("Exclude.From.Quant", pa.int64()),
        *((n, pa.string()) for n in ("Protein.Ids", "Protein.Group", "Protein.Names", "Genes")),
        ("Flags", pa.int64()),
        ("Source.Id", pa.string()),
    ]
)
_FRAGMENT, _BASE_PEAK = 1, 16  # bits of DIA-NN's Flags


def unimod(name: str, number: int, _: float) -> str:
    """Return a modification as DIA-NN and OpenSWATH name it; one without a number of UniMod by its own name."""
    return f"(UniMod:{number})" if number > 0 else f"({name})"


def proforma(_: str, number: int, mass: float) -> str:
    """Return a modification as ProForma writes it; one without a number of UniMod by its mass."""
    return f"[UNIMOD:{number}]" if number > 0 else f"[{mass:+.6f}]"


def _loss(change: str) -> str:
    return change.removeprefix("-") or NO_LOSS


def _spread(values: pa.Array, owner: pa.Array) -> pa.Array:
    """Repeat values of precursors for each of their fragments; texts as numbers of a dictionary."""
    return pa.DictionaryArray.from_arrays(owner, values) if pa.types.is_string(values.type) else values.take(owner)


def write_diann(path: Path, chunks: Iterable[Chunk], _: str) -> None:
    """Write a library as DIA-NN 1.9.1 and later reads it; intensities relative to a precursor's highest."""
    text = pa.dictionary(pa.int32(), pa.string())  # what a file holds once for many rows; it is read as text
    types = [text if pa.types.is_string(f.type) else f.type for f in DIANN_SCHEMA]
    schema = pa.schema(list(zip(DIANN_SCHEMA.names, types, strict=True)))
    repeated = [name for name in schema.names if name not in ("Product.Mz", "Relative.Intensity")]
    options = {"compression": "zstd", "use_dictionary": repeated, "store_schema": False}
    with pq.ParquetWriter(path, schema, **options) as writer:
        for chunk in chunks:
            df, begin, n = chunk.precursors, chunk.bounds[:-1], len(chunk.owner)
            relative = chunk.intensity / np.maximum.reduceat(chunk.intensity, begin)[chunk.owner]
            flags = np.full(n, _FRAGMENT)
            highest = np.flatnonzero(relative == 1)
            flags[highest[np.searchsorted(highest, begin)]] |= _BASE_PEAK
            sequence, proteins = chunk.sequences(unimod), df["proteins"]
            alone = (~proteins.str.contains(";", regex=False)).astype(float).where(proteins != "")
            of_precursor = {
                "Precursor.Id": sequence + df["charge"].astype(str),
                "Modified.Sequence": sequence,
                "Stripped.Sequence": df["sequence"],
                "Precursor.Charge": df["charge"],
                "Proteotypic": alone,
                "Decoy": df["decoy"],
                "N.Term": df["is_prot_nterm"],
                "C.Term": df["is_prot_cterm"],
                "RT": df["time"],
                "IM": df["mobility"],
                "Precursor.Mz": df["precursor_mz"],
                "Protein.Ids": proteins,
                "Protein.Group": proteins,
                "Genes": df["genes"],
            }
            fragments = {
                "Product.Mz": pa.array(chunk.mz),
                "Relative.Intensity": pa.array(relative),
                "Fragment.Type": chunk.labels(lambda ion, _, __: ion.series),
                "Fragment.Charge": pa.array(np.array([ion.charge for ion in chunk.ions])[chunk.kind]),
                "Fragment.Series.Number": pa.array(chunk.number),
                "Fragment.Loss.Type": chunk.labels(lambda _, change, __: _loss(change)),
                "Flags": pa.array(flags),
            }
            # What a predicted library of DIA-NN has where it knows nothing.
            same = {"PTM.Site.Confidence": 1.0, "Protein.Names": "", "Source.Id": ""}
            owner, arrays = pa.array(chunk.owner, pa.int32()), []
            for field, kind in zip(DIANN_SCHEMA, types, strict=True):
                if field.name in fragments:
                    array = fragments[field.name]
                else:
                    values = of_precursor.get(field.name, [same.get(field.name, 0)] * len(df))
                    array = _spread(pa.array(values, from_pandas=True).cast(field.type), owner)
                arrays.append(array.cast(kind))
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def write_tsv(path: Path, chunks: Iterable[Chunk], _: str) -> None:
    """Write the long table that Spectronaut, OpenSWATH, FragPipe and DIA-NN read; what is missing is empty."""
    of_fragment = ["ProductMz", "LibraryIntensity", "Annotation", "FragmentType", "FragmentCharge"]
    of_fragment += ["FragmentSeriesNumber", "FragmentLossType"]

    def label(ion: IonType, change: str, n: int) -> str:
        mark = f"{ion.series}{n}{change}^{ion.charge}"
        return f"{mark}\t{ion.series}\t{ion.charge}\t{n}\t{_loss(change)}\n"

    with path.open("wb") as file:
        for number, chunk in enumerate(chunks):
            df = chunk.precursors
            columns = {
                "PrecursorMz": df["precursor_mz"],
                "ProteinId": df["proteins"],
                "GeneName": df["genes"],
                "PeptideSequence": df["sequence"],
                "ModifiedPeptideSequence": chunk.sequences(unimod),
                "PrecursorCharge": df["charge"],
                "NormalizedRetentionTime": df["time"].astype(np.float32),
                "PrecursorIonMobility": df["mobility"].astype(np.float32),
                "Decoy": df["decoy"].astype(np.int64),
            }
            if not chunk.has_mobility:  # OpenSWATH takes an empty field for no number
                del columns["PrecursorIonMobility"]
            if number == 0:
                file.write(("\t".join([*columns, *of_fragment]) + "\n").encode())
            texts = (pa.array(v, from_pandas=True).cast(pa.string()).fill_null("") for v in columns.values())
            rows = pc.binary_join_element_wise(*texts, "\t")
            fragments = [pa.array(chunk.owner), pa.array(chunk.mz), pa.array(chunk.intensity), chunk.labels(label)]
            for begin in range(0, len(chunk.owner), LINES_AT_ONCE):
                owner, *numbers, ends = (array.slice(begin, LINES_AT_ONCE) for array in fragments)
                texts = (array.cast(pa.string()) for array in numbers)
                lines = pc.binary_join_element_wise(rows.take(owner), *texts, ends, "\t")
                size = np.frombuffer(lines.buffers()[1], np.int32)[len(lines)]
                file.write(memoryview(lines.buffers()[2])[:size])


def _joined(values: pa.Array, bounds: Any, between: str) -> list[str]:
    """Join the texts of each precursor."""
    lists = pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), values)
    texts: list[str] = pc.binary_join(lists, between).to_pylist()
    return texts


def _text(values: pd.Series, form: Callable[[Any], str]) -> list[str]:
    """Return the lines of values, none where one is missing."""
    return ["" if value != value or value == "" else form(value) for value in values]


def _accessions(texts: str) -> str:
    found = enumerate(texts.split(";"), 2)
    return "".join(f"[{group}]MS:1000885|protein accession={text}\n" for group, text in found)


def write_mzspeclib(path: Path, chunks: Iterable[Chunk], name: str) -> None:
    """Write a library in the text format of HUPO-PSI's mzSpecLib 1.0, peaks annotated in mzPAF."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f"<mzSpecLib>\nMS:1003186|library format version=1.0\nMS:1003188|library name={name}\n")
        file.write("<AttributeSet Spectrum=all>\nMS:1003065|spectrum aggregation type=MS:1003074|predicted spectrum\n")
        file.write("<AttributeSet Analyte=all>\n<AttributeSet Interpretation=all>\n")
        key = 0
        for chunk in chunks:
            df = chunk.precursors
            ions = chunk.sequences(proforma, ends=("-", "-")) + "/" + df["charge"].astype(str)
            annotation = chunk.labels(
                lambda ion, loss, n: f"{ion.series}{n}{loss}" + (f"^{ion.charge}" if ion.charge > 1 else "")
            )
            numbers = (pa.array(values).cast(pa.string()) for values in (chunk.mz, chunk.intensity))
            lines = pc.binary_join_element_wise(*numbers, annotation, "\t")
            times = _text(df["time"], lambda v: f"MS:1000896|normalized retention time={v:.5f}\n")
            mobilities = _text(
                df["mobility"],
                lambda v: (
                    f"[1]MS:1002815|inverse reduced ion mobility={v:.6g}\n"
                    "[1]UO:0000000|unit=MS:1002814|volt-second per square centimeter\n"
                ),
            )
            origins = np.where(df["decoy"], "MS:1003192|decoy spectrum", "MS:1003074|predicted spectrum")
            genes = _text(df["genes"], lambda v: f"[1]MS:1000934|gene name={v}\n")
            table = zip(
                ions, df["sequence"], df["charge"], df["precursor_mz"], times, mobilities, origins, genes,
                _text(df["proteins"], _accessions), np.diff(chunk.bounds), _joined(lines, chunk.bounds, "\n"),
                strict=True,
            )  # fmt: skip
            for ion, sequence, charge, mz, time, mobility, origin, gene, proteins, n, peaks in table:
                key += 1
                file.write(
                    f"<Spectrum={key}>\nMS:1003061|library spectrum name={ion}\nMS:1000744|selected ion m/z={mz:.7g}\n"
                    f"MS:1000041|charge state={charge}\nMS:1003072|spectrum origin type={origin}\n{time}{mobility}"
                    f"MS:1003059|number of peaks={n}\n<Analyte=1>\n"
                    f"MS:1003270|proforma peptidoform ion notation={ion}\n"
                    f"MS:1000888|stripped peptide sequence={sequence}\n"
                    f"MS:1001117|theoretical mass={(mz - PROTON) * charge:.6f}\n{gene}{proteins}"
                    f"<Peaks>\n{peaks}\n\n"
                )
