"""What other programs found, in the form of each, of one and the same truth."""

import sqlite3
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from alphabase.peptide.fragment import create_fragment_mz_dataframe
from alphabase.peptide.precursor import update_precursor_mz

TYPES = ("b_z1", "y_z1")
RUN = "run_1"
NAMES = {"Acetyl": (1, 42.010565), "Carbamidomethyl": (4, 57.021464), "Oxidation": (35, 15.994915)}


def made_truth(n=60, seed=1):
    """Precursors with times (s), mobilities and, in ``ions``, fragments as (series, number, m/z, intensity)."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        sequence = (
            "".join(rng.choice(list("ADEFGHILNPSTVWY"), rng.integers(6, 12))) + ("CM" if i % 3 == 0 else "") + "K"
        )
        mods = [(0, "Acetyl@Protein_N-term")] if i % 4 == 0 else []
        mods += [(p, "Carbamidomethyl@C") for p, r in enumerate(sequence, 1) if r == "C"]
        mods += [(p, "Oxidation@M") for p, r in enumerate(sequence, 1) if r == "M"]
        time = float(rng.uniform(300, 3000))
        for charge in (2, 3)[: 1 + i % 2]:
            rows.append(
                {
                    "sequence": sequence,
                    "mods": ";".join(m for _, m in mods),
                    "mod_sites": ";".join(str(s) for s, _ in mods),
                    "charge": charge,
                    "nAA": len(sequence),
                    "rt": time,
                    "mobility": 0.6 + charge / 10 + time / 1e5,
                    "q": 0.001 + 0.00001 * i,
                }
            )
    df = update_precursor_mz(pd.DataFrame(rows).sort_values("nAA", kind="stable").reset_index(drop=True))
    mz = create_fragment_mz_dataframe(df.copy(), list(TYPES)).to_numpy()
    stop = (df["nAA"] - 1).cumsum()
    df["ions"] = [
        [
            ("by"[c], int(r + 1 if c == 0 else length - 1 - r), float(mz[at - (length - 1) + r, c]), float(v))
            for r in range(length - 1)
            for c, v in enumerate(np.round(rng.uniform(100, 1000, 2)))
            if (r + c) % 2 and mz[at - (length - 1) + r, c] > 200
        ]
        for length, at in zip(df["nAA"], stop, strict=True)
    ]
    return df


def written(row, style):
    """Return the modified sequence as a program writes it."""
    parts = ["", *row["sequence"]]
    sites = row["mod_sites"].split(";") if row["mods"] else []
    for site, mod in zip(sites, row["mods"].split(";") if row["mods"] else [], strict=True):
        name, place = mod.split("@")
        number, mass = NAMES[name]
        text = {
            "unimod": f"(UniMod:{number})",
            "name": f"[{name} ({'Protein N-term' if int(site) == 0 else place})]",
            "maxquant": "" if place == "C" else f"({name} ({'Protein N-term' if int(site) == 0 else place}))",
            "mass": f"[+{mass}]",
            "dash": f"[+{mass}]-" if int(site) == 0 else f"[+{mass}]",
            "proforma": f"[{name}]-" if int(site) == 0 else f"[{name}]",
            "bare": "",
        }[style]
        parts[int(site)] += text
    return "".join(parts)


def _long(df, columns):
    rows = [
        {**{k: f(r) for k, f in columns.items()}, "t": t, "n": n, "mz": mz, "v": v}
        for _, r in df.iterrows()
        for t, n, mz, v in r["ions"]
    ]
    return pd.DataFrame(rows)


def diann(df):
    """A report of DIA-NN 1.8 with --report-lib-info."""
    return pd.DataFrame(
        {
            "File.Name": RUN + ".raw",
            "Run": RUN,
            "Modified.Sequence": [written(r, "unimod") for _, r in df.iterrows()],
            "Precursor.Charge": df["charge"],
            "Q.Value": df["q"],
            "Global.Q.Value": df["q"],
            "RT": df["rt"] / 60,
            "IM": df["mobility"],
            "Fragment.Quant.Raw": ["".join(f"{v};" for *_, v in ions) for ions in df["ions"]],
            "Fragment.Info": ["".join(f"{t}{n}^1/{mz:.4f};" for t, n, mz, _ in ions) for ions in df["ions"]],
        }
    )


def diann2(df):
    """A report of DIA-NN 2 with --export-quant."""
    table = diann(df).drop(columns=["File.Name", "Fragment.Quant.Raw", "Fragment.Info"])
    for i in range(12):
        here = [ions[i] if i < len(ions) else None for ions in df["ions"]]
        table[f"Fr.{i}.Id"] = [f"{x[0]}{x[1]}^1/{x[2]:.4f}" if x else "" for x in here]
        table[f"Fr.{i}.Quantity"] = [x[3] if x else 0.0 for x in here]
    return table.assign(Decoy=0, **{"Precursor.Mz": df["precursor_mz"].astype(np.float32)})


def spectronaut(df):
    """A report with fragments, one row for each."""
    columns = {
        "R.FileName": lambda r: RUN,
        "EG.PrecursorId": lambda r: f"_{written(r, 'name')}_.{r['charge']}",
        "EG.ApexRT": lambda r: r["rt"] / 60,
        "FG.ApexIonMobility": lambda r: r["mobility"],
        "EG.Qvalue": lambda r: r["q"],
        "EG.IsDecoy": lambda r: "False",
    }
    names = {"t": "F.FrgType", "n": "F.FrgNum", "v": "F.PeakArea"}
    return _long(df, columns).rename(columns=names).assign(**{"F.Charge": 1, "F.FrgLossType": "noloss"})


def maxquant(df):
    """An msms.txt with fixed carbamidomethylation."""
    return pd.DataFrame(
        {
            "Raw file": RUN,
            "Modified sequence": [f"_{written(r, 'maxquant')}_" for _, r in df.iterrows()],
            "Charge": df["charge"],
            "m/z": df["precursor_mz"],
            "Retention time": df["rt"] / 60,
            "1/K0": df["mobility"],
            "PEP": df["q"],
            "Reverse": "",
            "Matches": [";".join(f"{t}{n}" for t, n, *_ in ions) for ions in df["ions"]],
            "Intensities": [";".join(str(v) for *_, v in ions) for ions in df["ions"]],
        }
    )


def fragpipe(df):
    """A psm.tsv."""

    def assigned(row):
        pairs = zip(row["mods"].split(";"), row["mod_sites"].split(";"), strict=True) if row["mods"] else []
        at = {"0": "N-term"}
        return ", ".join(f"{at.get(s, s + m.split('@')[1])}({NAMES[m.split('@')[0]][1]:.4f})" for m, s in pairs)

    return pd.DataFrame(
        {
            "Spectrum": [f"{RUN}.{i:05d}.{i:05d}.{z}" for i, z in enumerate(df["charge"])],
            "Peptide": df["sequence"],
            "Charge": df["charge"],
            "Retention": df["rt"],
            "Calculated M/Z": df["precursor_mz"],
            "Assigned Modifications": [assigned(r) for _, r in df.iterrows()],
            "Ion Mobility": df["mobility"],
            "Expectation": df["q"],
        }
    )


def sage(df):
    """A results.sage.tsv."""
    return pd.DataFrame(
        {
            "peptide": [written(r, "dash") for _, r in df.iterrows()],
            "filename": RUN,
            "charge": df["charge"],
            "rt": df["rt"] / 60,
            "ion_mobility": df["mobility"],
            "spectrum_q": df["q"],
            "is_decoy": False,
        }
    )


def alphadia(df):
    """A precursors table of alphaDIA 2."""
    names = {"sequence": "sequence", "mods": "mods", "mod_sites": "mod_sites", "charge": "charge", "q": "qval"}
    names |= {"rt": "rt.observed", "mobility": "mobility.observed"}
    table = df[list(names)].rename(columns={k: f"precursor.{v}" for k, v in names.items()})
    return table.assign(**{"raw.name": RUN, "precursor.decoy": 0})


def library(df):
    """A long library of DIA-NN 1.8; its times have no unit."""
    columns = {
        "ModifiedPeptide": lambda r: written(r, "unimod"),
        "PrecursorCharge": lambda r: r["charge"],
        "PrecursorMz": lambda r: r["precursor_mz"],
        "Tr_recalibrated": lambda r: r["rt"] / 30 - 20,
        "IonMobility": lambda r: r["mobility"],
        "QValue": lambda r: r["q"],
    }
    names = {"t": "FragmentType", "n": "FragmentSeriesNumber", "v": "LibraryIntensity", "mz": "ProductMz"}
    return _long(df, columns).rename(columns=names).assign(FragmentCharge=1, FragmentLossType="noloss", decoy=0)


def openswath(df):
    """A long library that names no fragments, but their m/z."""
    table = library(df).drop(columns=["FragmentType", "FragmentSeriesNumber", "FragmentCharge", "FragmentLossType"])
    return table.rename(
        columns={"ModifiedPeptide": "ModifiedPeptideSequence", "Tr_recalibrated": "NormalizedRetentionTime"}
    )


def write_tsv(table, path, **how):
    table.to_csv(path, sep="\t", index=False, **how)


def write_dlib(df, path, noise=0):
    """An EncyclopeDIA library; with so many peaks per spectrum that are no fragments."""
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE entries (PrecursorMz double, PrecursorCharge int, PeptideModSeq string, PeptideSeq string, "
            "RTInSeconds double, MassEncodedLength int, MassArray blob, IntensityEncodedLength int, "
            "IntensityArray blob, SourceFile string)"
        )
        db.execute("CREATE TABLE peptidescores (PeptideModSeq string, PrecursorCharge int, QValue double, IsDecoy int)")
        db.execute("CREATE TABLE peptidetoprotein (PeptideSeq string, isDecoy int, ProteinAccession string)")
        for _, r in df.iterrows():
            mz = np.array([x[2] for x in r["ions"]] + [210.2 + i for i in range(noise)], ">f8")
            value = np.array([x[3] for x in r["ions"]] + [5.0] * noise, ">f4")
            data = (8 * len(mz), zlib.compress(mz.tobytes()), 4 * len(mz), zlib.compress(value.tobytes()))
            row = (r["precursor_mz"], r["charge"], written(r, "mass"), r["sequence"], r["rt"], *data, RUN)
            db.execute("INSERT INTO entries VALUES (?,?,?,?,?,?,?,?,?,?)", row)
            db.execute("INSERT INTO peptidescores VALUES (?,?,?,0)", (written(r, "mass"), r["charge"], r["q"]))
    db.close()


def write_blib(df, path):
    """A BiblioSpec library, small arrays of it not compressed."""
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE RefSpectra (id INTEGER, peptideSeq TEXT, precursorMZ REAL, precursorCharge INTEGER, "
            "peptideModSeq TEXT, numPeaks INTEGER, ionMobility REAL, ionMobilityType INTEGER, retentionTime REAL, "
            "fileID INTEGER)"
        )
        db.execute("CREATE TABLE RefSpectraPeaks (RefSpectraID INTEGER, peakMZ BLOB, peakIntensity BLOB)")
        db.execute("CREATE TABLE Modifications (id INTEGER, RefSpectraID INTEGER, position INTEGER, mass REAL)")
        db.execute("CREATE TABLE SpectrumSourceFiles (id INTEGER, fileName TEXT)")
        db.execute("INSERT INTO SpectrumSourceFiles VALUES (1, ?)", (f"D:\\data\\{RUN}",))
        for i, r in df.iterrows():
            mz, value = (np.array([x[k] for x in r["ions"]], t) for k, t in ((2, "<f8"), (3, "<f4")))
            values = (i, r["sequence"], r["precursor_mz"], r["charge"], "not looked at", len(mz), r["mobility"], 2)
            db.execute("INSERT INTO RefSpectra VALUES (?,?,?,?,?,?,?,?,?,?)", (*values, r["rt"] / 60, 1))
            db.execute("INSERT INTO RefSpectraPeaks VALUES (?,?,?)", (i, zlib.compress(mz.tobytes()), value.tobytes()))
            for site, mod in zip(r["mod_sites"].split(";"), r["mods"].split(";"), strict=True):
                if mod:
                    row = (0, i, max(1, int(site)), NAMES[mod.split("@")[0]][1])
                    db.execute("INSERT INTO Modifications VALUES (?,?,?,?)", row)
    db.close()


def write_mzspeclib(df, path):
    """A text of mzSpecLib, times in minutes."""
    lines = ["<mzSpecLib>", "MS:1003186|library format version=1.0", "MS:1003188|library name=made"]
    for i, r in df.iterrows():
        lines += [
            f"<Spectrum={i + 1}>",
            f"MS:1000744|selected ion m/z={r['precursor_mz']:.5f}",
            f"[1]MS:1000894|retention time={r['rt'] / 60:.6f}",
            "[1]UO:0000000|unit=UO:0000031|minute",
            f"MS:1003203|constituent spectrum file={RUN}",
            "<Analyte=1>",
            f"MS:1003270|proforma peptidoform ion notation={written(r, 'proforma')}/{r['charge']}",
            f"MS:1000041|charge state={r['charge']}",
            "<Peaks>",
            *(f"{mz:.5f}\t{v}\t{t}{n}/0.1ppm" for t, n, mz, v in r["ions"]),
            "",
        ]
    Path(path).write_text("\n".join(lines))
